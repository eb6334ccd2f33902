"""Whole training steps of a plain RNN on the CPU: their memory, and the calls of compiled code that run them.

The numbers are those of the other paths to rounding, and the optimizer's state stays where `Adam` keeps it, so that a
run may change between the two. It imports Numba, so nothing imports it before it is used: see `whole_steps`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torch_impl.models import Classifier
from torch_impl.training import compiled_steps
from torch_impl.unrolling.compiled import padded, parts_of, shared

__all__ = ["HostSteps"]

# Steps between two looks at the keyboard, where one call runs many.
STEPS_PER_CALL = 64


class HostSteps:
    """The memory of the steps of one model with one size of batch, and the calls that run them."""

    def __init__(self, model: Any, optimizer: Any, inputs: Tensor, targets: Tensor, batch: int) -> None:
        cell, dense = model.rnn.cell, model.dense
        self.optimizer = optimizer
        self.parameters = (cell.weight_ih, cell.weight_hh, cell.bias, dense.weight, dense.bias)
        self.classifier = isinstance(model, Classifier)
        self.relu = cell.activation == "relu"
        self.batch, self.steps, self.units = batch, inputs.shape[1], cell.units
        self.dtype = inputs.detach().numpy().dtype
        self.data = (
            inputs.detach().contiguous().numpy(),
            targets.contiguous().numpy() if self.classifier else np.empty(0, np.int64),
            np.empty((0, 1, 1), self.dtype) if self.classifier else targets.detach().contiguous().numpy(),
        )
        self.buffers = self._buffers(cell.inputs, dense.out_features)

    def _buffers(self, inputs: int, outputs: int) -> tuple[np.ndarray, ...]:
        """See torch_impl.training.compiled_steps."""
        width, columns = padded(self.units), padded(outputs)
        row, rows = width + padded(1 + inputs), self.steps * self.batch
        dense = self.batch * (1 if self.classifier else self.steps) * columns
        sizes = (
            (rows + self.batch) * row, rows * width, (self.units + 1 + inputs) * width, self.units * width,
            self.units * row, (self.units + 1) * columns, outputs * width, dense, outputs * row,
        )  # fmt: skip
        return (*(np.empty(size, self.dtype) for size in sizes), np.empty(self.batch))

    def run(self, batches: Tensor) -> np.ndarray:
        """One step per row of batches, int64 row numbers [iterations, batch] -> losses [iterations], each before its
        step."""
        rows = batches.contiguous().numpy()
        (group,) = self.optimizer.param_groups
        beta1, beta2 = group["betas"]
        lr, beta1, beta2, eps = (np.float32(value) for value in (group["lr"], beta1, beta2, group["eps"]))
        settings = np.array([0, beta1, beta2, eps, 1, lr], self.dtype)
        powers = np.array([group["beta1_power"], group["beta2_power"], beta1, beta2], np.float32)
        moments = self._moments()
        weights = tuple(p.detach().numpy() for p in self.parameters)
        losses = np.empty(len(rows), self.dtype)

        def call(part: int, first: int, last: int, begin: int = 0, end: int = 0) -> None:
            compiled_steps.train(
                part, *self.data, rows[first:last], losses[first:last],
                weights, moments, self.buffers, settings, powers, self.relu, begin, end,
            )  # fmt: skip

        done = 0
        try:
            while done < len(rows):
                done = self._some(call, done, len(rows))
        finally:
            self._finish(group, powers, done)
        return losses

    def _some(self, call: Callable[..., None], done: int, total: int) -> int:
        """Run some steps; how many are done then. On several threads it is one step, part by part."""
        width = padded(self.units)
        work = self.batch * self.steps * width * (width + padded(1 + self.data[0].shape[2]))
        if parts_of(self.batch, work) == 1:
            last = min(total, done + STEPS_PER_CALL)
            call(compiled_steps.ALL, done, last)
            return last
        call(compiled_steps.BEGIN, done, done + 1)
        shared(self.batch, work, lambda begin, end: call(compiled_steps.ROWS, done, done + 1, begin, end))
        shared(self.units, work, lambda begin, end: call(compiled_steps.UNITS, done, done + 1, begin, end))
        call(compiled_steps.END, done, done + 1)
        return done + 1

    def _moments(self) -> tuple[np.ndarray, ...]:
        """The optimizer's own first and second moments, created where it has none yet."""
        for p in self.parameters:
            self.optimizer.ensure_moments(p)
        state = self.optimizer.state
        return tuple(state[p][name].detach().numpy() for name in ("exp_avg", "exp_avg_sq") for p in self.parameters)

    def _finish(self, group: dict[str, Any], powers: np.ndarray, done: int) -> None:
        """Leave model and optimizer as `Adam` would after that many steps."""
        group["steps"] += done
        group["beta1_power"], group["beta2_power"] = float(powers[0]), float(powers[1])
        for p in self.parameters:
            self.optimizer.state[p]["step"] += done
            torch.autograd.graph.increment_version(p)
            p.grad = None
