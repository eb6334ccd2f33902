"""What is timed in this process: each path of this library, and nn.RNN with torch.optim.Adam(fused=True).

A contestant is called with a number of training steps, runs them, and returns nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own idiom)
from torch import Tensor, nn

from torch_impl import RNN, Trainer, build
from torch_impl.bench.worker import batches, data, model_of
from torch_impl.bench.workloads import Workload
from torch_impl.models import AnyModel
from torch_impl.training.adam import Settings
from torch_impl.unrolling.paths import forced_path

Contestant = Callable[[int], Any]
NN_RNN = "nn.RNN"
OURS = "unrolled"  # the path that the shapes choose
BF16 = "bf16"  # the same with matrix products in bfloat16


def contestant(name: str, workload: Workload) -> Contestant:
    """name: OURS, one of torch_impl.unrolling.paths.PATHS, BF16, or NN_RNN."""
    if workload.kind == "sequence":
        return _sequence(name, workload)
    if name == NN_RNN:
        inputs, targets = data(workload._asdict())
        return _nn_rnn_training(workload, torch.from_numpy(inputs), torch.from_numpy(targets))
    path, shapes = None if name in (OURS, BF16) else name, workload._asdict()
    trainer = trainer_of(workload, "bf16" if name == BF16 else "fp32")

    def train(steps: int) -> None:
        with forced_path(path):
            trainer.run(batches(shapes, steps))

    return train


def trainer_of(workload: Workload, precision: str = "fp32") -> Trainer[AnyModel]:
    """This library's trainer for a "classifier" or "regressor"."""
    model = build.model(model_of(workload._asdict()))
    model.reset_parameters()
    inputs, targets = map(torch.from_numpy, data(workload._asdict()))
    return Trainer(model, Settings(), inputs, targets, precision=precision)


class _Plain(nn.Module):
    """nn.RNN with a linear layer, as one writes it."""

    def __init__(self, workload: Workload) -> None:
        super().__init__()
        self.rnn = nn.RNN(workload.inputs, workload.units, nonlinearity=workload.activation, batch_first=True)
        self.dense = nn.Linear(workload.units, workload.outputs)
        self.on_state = workload.kind == "classifier"

    def forward(self, inputs: Tensor) -> Tensor:
        outputs, state = self.rnn(inputs)
        return self.dense(state[0] if self.on_state else outputs)


def _nn_rnn_training(workload: Workload, inputs: Tensor, targets: Tensor) -> Contestant:
    model, shapes = _Plain(workload), workload._asdict()
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    loss_of = F.cross_entropy if workload.kind == "classifier" else F.mse_loss

    def train(steps: int) -> None:
        for rows in torch.from_numpy(batches(shapes, steps)):
            loss = loss_of(model(inputs.index_select(0, rows)), targets.index_select(0, rows))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return train


def _sequence(name: str, workload: Workload) -> Contestant:
    """Forward and backward pass of one batch, for a cost on all outputs; gradients by the weights."""
    inputs = torch.from_numpy(data(workload._replace(kind="regressor", outputs=1)._asdict())[0])
    cost = torch.full((workload.batch, workload.steps, workload.units), 1e-3)
    path = None
    if name == NN_RNN:
        rnn: Any = nn.RNN(workload.inputs, workload.units, nonlinearity=workload.activation, batch_first=True)
    else:
        rnn = RNN(workload.inputs, workload.units, workload.activation)
        path = None if name == OURS else name
    parameters = list(rnn.parameters())

    def passes(steps: int) -> None:
        with forced_path(path):
            for _ in range(steps):
                outputs, _ = rnn(inputs)
                outputs.backward(cost)
                for p in parameters:
                    p.grad = None

    return passes
