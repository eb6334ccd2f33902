"""The trainer of a run: `torch_impl.training.trainer.Trainer` with what only a run asks of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torch_impl.adapter import Arrays, NumpyTrainer, TorchBackend
from torch_impl.arrays import optional_lengths
from torch_impl.runs.eager import PLAIN, EagerTrainer, StepOptions
from torch_impl.runs.processes import ALONE, Processes
from torch_impl.training.trainer import Trainer

__all__ = ["Snapshot", "open_trainer"]


class Snapshot:
    """A trainer's weights and optimizer state at one moment, to return to."""

    def __init__(self, trainer: Trainer) -> None:
        optimizer = trainer.optimizer
        self._weights = [p.detach().clone() for p in trainer.model.parameters()]
        self._group = {key: value for key, value in optimizer.param_groups[0].items() if key != "params"}
        self._moments = [
            {name: value.clone() for name, value in optimizer.state.get(p, {}).items()}
            for p in trainer.model.parameters()
        ]

    @torch.no_grad()
    def restore(self, trainer: Trainer) -> None:
        """Put the trainer back; its tensors stay the same objects."""
        optimizer = trainer.optimizer
        optimizer.param_groups[0].update(self._group)
        for p, weight, moments in zip(trainer.model.parameters(), self._weights, self._moments, strict=True):
            p.copy_(weight)
            for name, tensor in optimizer.state.get(p, {}).items():
                tensor.copy_(moments[name] if moments else torch.zeros_like(tensor))


class RunTrainer(NumpyTrainer):
    """NumPy in and out, as the command line's tasks know it, and what saving and resuming need."""

    def __init__(self, backend: TorchBackend, trainer: Trainer) -> None:
        super().__init__(backend, trainer)
        self.inner = trainer

    @property
    def steps(self) -> int:
        """The steps that Adam has counted."""
        return int(self.inner.optimizer.param_groups[0]["steps"])

    def set_learning_rate(self, rate: float) -> None:
        """From the next step on."""
        self.inner.optimizer.param_groups[0]["lr"] = rate

    def finite(self) -> bool:
        """Whether every weight is."""
        return all(bool(p.detach().isfinite().all()) for p in self.inner.model.parameters())

    def gradient_norm(self, rows: np.ndarray) -> float:
        """The 2-norm of the loss's gradient by all weights, of one batch of rows, with the weights of now."""
        trainer = self.inner
        here = torch.from_numpy(rows).to(trainer.inputs.device)
        lengths = None if trainer.lengths is None else trainer.lengths[torch.from_numpy(rows)]
        trainer.optimizer.zero_grad()
        with trainer.cast():
            loss = trainer.model._training_loss(trainer.inputs[here], trainer.targets[here], lengths)
        loss.backward()
        norm = torch.nn.utils.get_total_norm([p.grad for p in trainer.model.parameters() if p.grad is not None])
        trainer.optimizer.zero_grad()
        return float(norm)

    def restore_steps(self, steps: int) -> None:
        """Set Adam's own count, which the powers of a resumed optimizer give only to rounding."""
        optimizer = self.inner.optimizer
        optimizer.param_groups[0]["steps"] = steps
        for state in optimizer.state.values():
            step: Tensor = state["step"]
            step.fill_(float(steps))


def open_trainer(
    adapter: TorchBackend,
    task: Any,
    weights: Arrays,
    slots: Mapping[str, Any] | None = None,
    precision: str = "fp32",
    options: StepOptions = PLAIN,
    processes: Processes = ALONE,
) -> RunTrainer:
    """The trainer of a task: steps by autograd only where the options or the number of processes ask for them.

    Raises ValueError for weights or slots that do not fit the task's model, and for options that do not.
    """
    part = task.train
    module = adapter._loaded(task.model, weights)
    values = adapter._sequences(module, part.inputs), adapter._targets(module, part.targets)
    given = (module, task.optimizer, *values, optional_lengths(part.lengths), slots, precision)
    if options == PLAIN and processes.world == 1:
        return RunTrainer(adapter, Trainer(*given))
    return RunTrainer(adapter, EagerTrainer(*given, options=options, processes=processes))
