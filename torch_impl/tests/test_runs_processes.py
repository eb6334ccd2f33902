"""Several processes that train one run: the parts of a batch add up to the whole, and torchrun gives the same run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import torch_impl
from torch_impl.checkpoints.run_files import load_checkpoint
from torch_impl.runs.eager import EagerTrainer, StepOptions
from torch_impl.runs.processes import Processes, joined
from torch_impl.tests.test_clipping import ADAM, CLASSES, TOKENS, tagger
from torch_impl.tests.training_runs import log, results, trained
from unrolled.programs import Adam

ROWS, STEPS, INPUTS, UNITS = 9, 7, 3, 5


class Pretended(Processes):
    """One of several processes without the others: nothing is exchanged."""

    def shared(self, module: Any) -> Any:
        return module

    def unsynchronized(self, module: Any) -> Any:
        import contextlib

        return contextlib.nullcontext()

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        return values


def case(kind: str) -> tuple[Any, torch.Tensor, Any, StepOptions]:
    """Model, targets, lengths, options."""
    generator, random = torch.Generator().manual_seed(3), np.random.default_rng(0)
    lengths = torch.tensor([7, 0, 1, 3, 4, 5, 2, 6, 7])
    options = StepOptions(truncate=3 if kind == "truncated" else None)
    targets: torch.Tensor
    rnn = torch_impl.RNN(INPUTS, UNITS, dtype=torch.float64)
    if kind == "classifier":
        model: Any = torch_impl.Classifier(rnn, 4)
        targets = torch.tensor(random.integers(0, 4, ROWS))
    elif kind == "speller":
        decoder = torch_impl.Decoder(torch_impl.RNN(4, UNITS, dtype=torch.float64), 4)
        model = torch_impl.Speller(rnn, decoder, 6)
        targets = torch.tensor(random.integers(0, 4, (ROWS, 6)))
    else:
        model = torch_impl.Regressor(rnn, 2, "wrapped")
        targets = torch.tensor(random.normal(size=(ROWS, STEPS, 2)))
    model.reset_parameters(generator)
    return model, targets, lengths, options


@pytest.mark.parametrize("world", [2, 3, 5])
@pytest.mark.parametrize("kind", ["classifier", "regressor", "speller", "truncated"])
def test_the_parts_of_a_batch_add_up_to_the_whole(kind: str, world: int) -> None:
    """Losses and gradients, for a batch of four rows: uneven parts, and with five processes one that has none."""
    inputs = torch.tensor(np.random.default_rng(2).normal(size=(ROWS, STEPS, INPUTS)))

    def gradients(processes: Processes) -> tuple[float, list[torch.Tensor]]:
        model, targets, lengths, options = case(kind)
        trainer = EagerTrainer(model, Adam(0.01), inputs, targets, lengths, options=options, processes=processes)
        trainer.optimizer.step = lambda closure=None: None  # type: ignore[method-assign]
        (loss,) = trainer.run([[4, 8, 2, 0]])
        return float(loss), [p.grad for p in model.parameters()]

    loss, whole = gradients(Processes())
    parts = [gradients(Pretended(rank, world)) for rank in range(world)]
    assert sum(part[0] for part in parts) == pytest.approx(loss, rel=1e-12)
    for i, gradient in enumerate(whole):
        mean = torch.stack([part[1][i] for part in parts]).mean(0)  # what DistributedDataParallel does
        torch.testing.assert_close(mean, gradient, rtol=1e-10, atol=1e-14)


def test_what_processes_cannot_share(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="several processes cannot share the device 'mps'"), joined("mps"):
        pass
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    with pytest.raises(ValueError, match="there are 0 GPUs here, fewer than processes"), joined("cuda"):
        pass
    message = trained("series", "--device", "mps", "--output", tmp_path / "run", code=1)
    assert message == "Error: several processes cannot share the device 'mps'; take --device cpu or cuda\n"


def launched(count: int, *arguments: Any) -> subprocess.CompletedProcess[str]:
    """`torchrun --nproc-per-node COUNT ARGUMENTS`, on one thread each."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*command, *map(str, arguments)], env=environment, capture_output=True, text=True, timeout=120
    )


def test_two_processes_go_on_with_the_run_of_one(tmp_path: Path) -> None:
    """The same losses as of one process alone, one log, and a run that any number can go on with."""
    arguments = ("vowels", "--units", 6, "--batch-size", 31, "--seeds", 1)
    trained(*arguments, "--epochs", 4, "--output", tmp_path / "one")
    trained(*arguments, "--epochs", 2, "--output", tmp_path / "two")
    done = launched(2, "-m", "torch_impl", "train", "vowels", "--resume", tmp_path / "two", "--epochs", 4)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("mean test accuracy") == 1
    one, two = (results(tmp_path / name) for name in ("one", "two"))
    losses = [[epoch["loss"] for epoch in found["epochs"]] for found in (one, two)]
    assert len(losses[1]) == 4 == len(log(tmp_path / "two")) - 1
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-6)
    assert losses[1][:2] == losses[0][:2]
    assert load_checkpoint(tmp_path / "two").state["run"]["finished"] is True
    trained("vowels", "--resume", tmp_path / "two", "--epochs", 5)
    assert len(results(tmp_path / "two")["epochs"]) == 5


def clipped(processes: Processes, most: float) -> dict[str, np.ndarray]:
    """A tagger's weights after steps on batches of uneven parts; the norm of its embedding is over slices."""
    options = StepOptions(clip_norm=most)
    trainer = EagerTrainer(tagger(), ADAM, TOKENS, CLASSES, [4, 3], options=options, processes=processes)
    trainer.run([[0, 1, 1], [1, 0, 0], [1, 1, 0]])
    return trainer.model.canonical_weights()


CLIPPED = """
import sys
import numpy as np
from torch_impl.runs.processes import joined
from torch_impl.tests.test_runs_processes import clipped
with joined("cpu") as (processes, _):
    weights = clipped(processes, float(sys.argv[2]))
    if processes.rank == 0:
        np.savez(sys.argv[1], **weights)
"""


def test_gradients_are_clipped_to_the_norm_of_all_processes_together(tmp_path: Path) -> None:
    most = 0.01
    one, unclipped = clipped(Processes(), most), clipped(Processes(), 1e9)
    done = launched(2, "--no-python", sys.executable, "-c", CLIPPED, tmp_path / "two.npz", most)
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "two.npz") as two:
        for name, array in one.items():
            assert np.abs(unclipped[name] - array).max() > 1e-6
            np.testing.assert_allclose(two[name], array, rtol=1e-9, atol=1e-14, err_msg=name)
