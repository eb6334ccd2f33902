"""Training steps by autograd, for what is not compiled as a whole: clipping, weight decay, truncation, many processes.

A step is: gradients of the batch's mean loss; clipped to a norm, see `torch_impl.training.clipping`; every weight
shrunk by learning rate x decay (decoupled, as AdamW does it, so that Adam's moments do not see it); Adam. Truncated, a
sequence is run in segments that each begin with the state of the one before and are each differentiated alone: nothing
flows back over their boundaries, and memory is that of one segment; the loss and the number of steps stay those of the
whole sequence.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from torch_impl import states
from torch_impl.runs.processes import ALONE, Processes
from torch_impl.states import State
from torch_impl.training.trainer import Trainer

__all__ = ["PLAIN", "EagerTrainer", "StepOptions"]


class StepOptions(NamedTuple):
    """clip_norm: the largest 2-norm of the gradient, None for any. weight_decay: 0 for none. truncate: steps of a
    segment, None for the whole sequence. class_weights: of a classifier, by class; None for none."""

    clip_norm: float | None = None
    weight_decay: float = 0.0
    truncate: int | None = None
    class_weights: tuple[float, ...] | None = None


PLAIN = StepOptions()


class _Objective(nn.Module):
    """The loss as a module's forward, which is what DistributedDataParallel wraps."""

    def __init__(self, model: Any, loss: Callable[..., Tensor]) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, inputs: Tensor, targets: Tensor, lengths: Tensor | None, state: State | None) -> Any:
        """The mean loss; with the state to begin with, also the state at the end."""
        if state is None:
            return self.loss(inputs, targets, lengths)
        return self.model.segment_loss(inputs, targets, lengths, state)


class EagerTrainer(Trainer):
    """See the module. processes: those that share each batch."""

    def __init__(
        self, *arguments: Any, options: StepOptions = PLAIN, processes: Processes = ALONE, **keywords: Any
    ) -> None:
        """Arguments as for Trainer. Raises ValueError for truncation of a model without an output at every step."""
        super().__init__(
            *arguments, **{**keywords, "clip_norm": options.clip_norm, "class_weights": options.class_weights}
        )
        if options.truncate is not None and not hasattr(self.model, "segment_loss"):
            raise ValueError(
                "truncation is for a model with an output at every step, a regressor: the loss of this one hangs on "
                "the last state alone"
            )
        self.options, self.processes = options, processes
        self.objective: nn.Module = processes.shared(_Objective(self.model, self.batch_loss))

    def run(self, batches: Any) -> np.ndarray:
        """As Trainer.run, the losses in float64."""
        checked = self._checked(batches)
        losses = torch.zeros(len(checked), dtype=torch.float64, device=self.inputs.device)
        parameters = list(self.model.parameters())
        group = self.optimizer.param_groups[0]
        for i, rows in enumerate(checked):
            self.optimizer.zero_grad()
            with self.clipping(shared=lambda squares: self.processes.sum(squares) / self.processes.world**2):
                losses[i] = self._backward(rows)
            if self.options.weight_decay:
                with torch.no_grad():
                    for p in parameters:
                        p.mul_(1.0 - group["lr"] * self.options.weight_decay)
            self.optimizer.step()
        return self.processes.sum(losses).cpu().numpy()

    def _backward(self, rows: Tensor) -> Tensor:
        """Leave the gradients of the batch's mean loss; returns this process's part of that loss."""
        own, weight = self.processes.part(rows, self._row_weights(rows))
        here = own.to(self.inputs.device)
        inputs, targets = self.inputs.index_select(0, here), self.targets.index_select(0, here)
        lengths = None if self.lengths is None else self.lengths.index_select(0, own)
        scale = weight * self.processes.world  # DistributedDataParallel takes the mean over the processes
        if self.options.truncate is not None:
            return self._segments(inputs, targets, lengths, scale) / self.processes.world
        with self.cast():
            loss = self.objective(inputs, targets, lengths, None)
        (loss * scale).backward()
        return loss.detach().double() * weight

    def _segments(self, inputs: Tensor, targets: Tensor, lengths: Tensor | None, scale: float) -> Tensor:
        """Backward through the segments, one after the other; the whole sequence's loss times scale."""
        size, steps = self.options.truncate or 1, inputs.shape[1]
        state = self.model.zero_state(len(inputs))
        total = torch.zeros((), dtype=torch.float64, device=inputs.device)
        for start in range(0, steps, size):
            part = slice(start, min(start + size, steps))
            share = scale * (part.stop - start) / steps
            limits = None if lengths is None else (lengths - start).clamp(0, part.stop - start)
            last = part.stop == steps
            with contextlib.nullcontext() if last else self.processes.unsynchronized(self.objective):
                with self.cast():
                    loss, state = self.objective(inputs[:, part], targets[:, part], limits, state)
                (loss * share).backward()
            state = states.mapped(Tensor.detach, state)
            total += loss.detach().double() * share
        return total

    def _row_weights(self, rows: Tensor) -> Tensor | None:
        """How much of the mean loss is each row's; None where all have the same part."""
        if self.processes.world == 1 or not hasattr(self.model, "row_weights"):
            return None
        targets = self.targets.index_select(0, rows.to(self.targets.device))
        lengths = None if self.lengths is None else self.lengths.index_select(0, rows)
        return self.model.row_weights(targets, lengths).double().cpu()
