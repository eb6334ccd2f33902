"""What is timed in this process: each path of this library, and PyTorch's own layers with torch.optim.Adam(fused=True).

A contestant is called with a number of training steps, runs them, and returns nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own idiom)
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from torch_impl import Trainer, build
from torch_impl.bench.worker import batches, data, lengths_of, model_of
from torch_impl.bench.workloads import Workload
from torch_impl.models import AnyModel
from torch_impl.training.adam import Settings
from torch_impl.unrolling.paths import forced_path

Contestant = Callable[[int], Any]
PYTORCH = "torch.nn"  # nn.RNN, nn.LSTM or nn.GRU; for TF1's GRU nn.GRU too, the nearest that there is
LOOP = "loop"  # TF1's GRU as one writes it in PyTorch, step by step
OURS = "unrolled"  # the path that the shapes choose
BF16 = "bf16"  # the same with matrix products in bfloat16


def contestant(name: str, workload: Workload) -> Contestant:
    """name: OURS, one of torch_impl.unrolling.paths.PATHS, BF16, PYTORCH, or LOOP."""
    if workload.kind == "sequence":
        return _sequence(name, workload)
    if name in (PYTORCH, LOOP):
        inputs, targets = data(workload._asdict())
        return _pytorch_training(name, workload, torch.from_numpy(inputs), torch.from_numpy(targets))
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
    return Trainer(model, Settings(), inputs, targets, _lengths(workload), precision=precision)


def _lengths(workload: Workload) -> Tensor | None:
    lengths = lengths_of(workload._asdict())
    return None if lengths is None else torch.from_numpy(lengths)


def layer_of(workload: Workload) -> nn.Module:
    """PyTorch's own."""
    shape = (workload.inputs, workload.units)
    rest: dict[str, Any] = {
        "batch_first": True,
        "num_layers": workload.layers,
        "bidirectional": workload.directions == 2,
    }
    if workload.cell == "basic_rnn":
        return nn.RNN(*shape, nonlinearity=workload.activation, **rest)
    return nn.LSTM(*shape, **rest) if workload.cell == "lstm" else nn.GRU(*shape, **rest)


class _Loop(nn.Module):
    """TF1's GRU as one writes it."""

    def __init__(self, workload: Workload) -> None:
        super().__init__()
        inputs, self.units = workload.inputs + workload.units, workload.units
        self.gates, self.candidate = nn.Linear(inputs, 2 * self.units), nn.Linear(inputs, self.units)

    def forward(self, inputs: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        h, outputs = inputs.new_zeros(len(inputs), self.units), []
        for t, x in enumerate(inputs.unbind(1)):
            r, u = torch.sigmoid(self.gates(torch.cat([x, h], 1))).chunk(2, 1)
            n = torch.tanh(self.candidate(torch.cat([x, r * h], 1)))
            new = u * h + (1 - u) * n
            h = new if lengths is None else torch.where((t < lengths)[:, None], new, h)
            outputs.append(h)
        return torch.stack(outputs, 1), h[None]


class _Model(nn.Module):
    """A layer with a linear layer, as one writes it."""

    def __init__(self, name: str, workload: Workload) -> None:
        super().__init__()
        self.rnn = _Loop(workload) if name == LOOP else layer_of(workload)
        self.directions = workload.directions
        self.dense = nn.Linear(workload.units * self.directions, workload.outputs)
        self.on_state = workload.kind == "classifier"

    def forward(self, inputs: Any, lengths: Tensor | None) -> Tensor:
        if isinstance(self.rnn, _Loop):
            outputs, state = self.rnn(inputs, lengths)
        else:
            if lengths is not None:
                inputs = pack_padded_sequence(inputs, lengths, batch_first=True, enforce_sorted=False)
            outputs, state = self.rnn(inputs)
        if not self.on_state:
            return self.dense(outputs)
        h = state[0] if isinstance(state, tuple) else state
        return self.dense(torch.cat(h[-self.directions :].unbind(0), 1))


def _pytorch_training(name: str, workload: Workload, inputs: Tensor, targets: Tensor) -> Contestant:
    model, shapes, lengths = _Model(name, workload), workload._asdict(), _lengths(workload)
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    loss_of = F.cross_entropy if workload.kind == "classifier" else F.mse_loss

    def train(steps: int) -> None:
        for rows in torch.from_numpy(batches(shapes, steps)):
            given = None if lengths is None else lengths.index_select(0, rows)
            loss = loss_of(model(inputs.index_select(0, rows), given), targets.index_select(0, rows))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return train


def _sequence(name: str, workload: Workload) -> Contestant:
    """Forward and backward pass of one batch, for a cost on all outputs; gradients by the weights."""
    inputs = torch.from_numpy(data(workload._replace(kind="regressor", outputs=1)._asdict())[0])
    cost = torch.full((workload.batch, workload.steps, workload.units), 1e-3)
    path = None
    if name == PYTORCH:
        rnn: Any = layer_of(workload)
    else:
        model: Any = build.model(model_of(workload._replace(kind="classifier", outputs=1)._asdict()))
        model.reset_parameters()  # numbers of a network's size: denormal ones, or none, take other times
        rnn = model.rnn
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
