"""What `Trainer`, training runs and truncated back-propagation ask of a model.

Any nn.Module will do that has `forward` and `training_loss` as in `Trainable`. What else it may have is used where it
is there:

    inputs: int                             values per step; then inputs are checked to be [rows, steps, inputs]
    check_inputs(inputs) -> Tensor          the inputs, checked, where they are anything else, such as tokens
    prediction_shape(rows, steps) -> tuple  of what `forward` gives, for
    check_targets(targets, shape)           which raises TypeError or ValueError for targets that do not fit it
    valid_targets(targets, lengths)         -> targets, those past a row's length replaced, where they may be anything
    table                                   how parameters map to canonical weights: see torch_impl.conversion; without
                                            it each is a weight under its own name, with "/" for "."
    segment_loss(inputs, targets, lengths, state) -> (loss, state), with
    zero_state(batch) -> state              the loss of some steps of the sequences, for truncated back-propagation
    row_weights(targets, lengths)           -> [rows], each row's share in the mean loss, where they differ; for several
                                            processes

`torch_impl.models` has examples. In all of them lengths are integers [rows], or None where every row is full.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Protocol

from torch import Tensor, nn

from torch_impl.checks import check_tensor, shown
from torch_impl.types import Lengths

__all__ = ["Trainable", "check_inputs", "check_model", "check_targets", "evaluating"]


class Trainable(Protocol):
    """An nn.Module that can be trained."""

    def __call__(self, inputs: Tensor, lengths: Lengths = None) -> Any:
        """The predictions for rows of inputs [rows, steps, ...]: a tensor [rows, ...]."""

    def training_loss(self, inputs: Tensor, targets: Tensor, lengths: Lengths = None) -> Tensor:
        """The mean loss of these rows, a scalar with its graph. The arguments have been checked."""

    def parameters(self) -> Iterator[nn.Parameter]: ...

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]: ...


def check_model(model: Any) -> nn.Module:
    """The model, or TypeError for what cannot be trained."""
    if not isinstance(model, nn.Module) or not callable(getattr(model, "training_loss", None)):
        raise TypeError(
            f"model must be an nn.Module with training_loss(inputs, targets, lengths=None), got {type(model).__name__}"
        )
    return model


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """A block with the model in evaluation mode, without dropout; each part has its own mode again afterwards."""
    modes = [(part, part.training) for part in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def check_inputs(model: Trainable, inputs: Any) -> Tensor:
    """The inputs, if the model can read them; TypeError or ValueError otherwise."""
    if hasattr(model, "check_inputs"):
        return model.check_inputs(inputs)
    width = getattr(model, "inputs", None)
    if isinstance(width, int):
        return check_tensor("inputs", inputs, ("rows", "steps", width), next(model.parameters()))
    if not isinstance(inputs, Tensor):
        raise TypeError(f"inputs must be a tensor [rows, steps, ...], got {shown(inputs)}")
    if inputs.ndim < 2 or 0 in inputs.shape[:2]:
        raise ValueError(f"inputs must be [rows, steps, ...], rows and steps at least 1, got {shown(inputs)}")
    return inputs


def check_targets(model: Any, targets: Any, inputs: Tensor, lengths: Lengths = None) -> Tensor:
    """The targets, integers as int64, if they fit the inputs and the model; TypeError or ValueError otherwise."""
    rows, steps = inputs.shape[:2]
    fits = isinstance(targets, Tensor) and targets.shape[:2] == (rows, steps)  # of others check_targets speaks
    if fits and lengths is not None and hasattr(model, "valid_targets"):
        targets = model.valid_targets(targets, lengths)
    if hasattr(model, "check_targets"):
        model.check_targets(targets, model.prediction_shape(rows, steps))
    elif not isinstance(targets, Tensor):
        raise TypeError(f"targets must be a tensor [rows, ...], got {shown(targets)}")
    elif targets.ndim == 0 or len(targets) != rows:
        raise ValueError(f"targets must be [{rows}, ...], a row for each of the inputs', got {shown(targets)}")
    return targets if targets.is_floating_point() else targets.long()
