"""An nn.Module of your own, trained by `torch_impl.Trainer`, saved as a run, opened again and gone on with.

python -m torch_impl.examples.own_module FOLDER
"""

import sys
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own idiom)
from torch import Tensor, nn

import torch_impl
from unrolled.programs import Adam


class Net(nn.Module):
    """Nothing of this library but `training_loss`, which is all that the trainer asks for; buffers are kept too."""

    def __init__(self, inputs: int = 3, units: int = 6, classes: int = 4) -> None:
        super().__init__()
        self.read = nn.GRU(inputs, units, batch_first=True)
        self.norm = nn.BatchNorm1d(units)
        self.dense = nn.Linear(units, classes)

    def forward(self, inputs: Tensor, lengths: Any = None) -> Tensor:
        return self.dense(self.norm(self.read(inputs)[0].mean(1)))

    def training_loss(self, inputs: Tensor, targets: Tensor, lengths: Any = None) -> Tensor:
        return F.cross_entropy(self(inputs, lengths), targets)


def main(folder: str) -> None:
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    labels = random.integers(0, 4, 400)
    rows = random.normal(size=(400, 7, 3)) + labels[:, None, None] * [0.5, -0.5, 0.2]  # [rows, steps, inputs]
    batches = random.integers(0, 300, (200, 25))  # 200 steps of 25 of the first 300 rows

    trainer = torch_impl.Trainer(Net(), Adam(learning_rate=0.01), torch.tensor(rows).float(), torch.tensor(labels))
    losses = trainer.run(batches)
    torch_impl.save_run(folder, trainer)
    print(f"loss {losses[0]:.3f} before, {losses[-1]:.3f} after {len(losses)} steps")

    run = torch_impl.load_run(folder, model=Net())  # its bytes are verified; another process may do this
    print(f"right of the last 100 rows: {(run.predict(rows[300:]).argmax(1) == labels[300:]).mean():.2f}")
    trainer = run.trainer(rows, labels)  # with Adam's state: the next step is the one that would have followed
    print(f"loss {trainer.run(batches[:50])[-1]:.3f} after 50 more")
    run.save(trainer)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m torch_impl.examples.own_module FOLDER (for the run; one that is not there yet)")
    main(sys.argv[1])
