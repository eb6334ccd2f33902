"""Unrolling a cell step by step, in a Python loop: TF1's static_rnn. See `torch_impl.unrolling` for the length law."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from torch_impl.checks import check_lengths, check_tensor, shown


def static_rnn(
    cell: nn.Module, inputs: Sequence[Tensor], lengths: Any = None, initial_state: Tensor | None = None
) -> tuple[list[Tensor], Tensor]:
    """The cell repeated once per element of inputs, in a Python loop: TF1's static_rnn.

    cell: a BasicRNNCell, or any module (inputs, state) -> state with `zero_state(batch)`.
    inputs: a list of `steps` tensors [batch, inputs]. lengths: integers [batch] from 0 to steps, or None for all steps.
    initial_state: [batch, units], or None for zeros.
    Returns (outputs, state): a list of `steps` tensors [batch, units], and [batch, units], under the length law.
    Raises TypeError or ValueError that names the argument.
    """
    if not isinstance(inputs, (list, tuple)):
        raise TypeError(f"inputs must be a list of tensors [batch, inputs], one per step, got {shown(inputs)}")
    if not inputs:
        raise ValueError("inputs must hold at least one step, got an empty list")
    first = inputs[0]
    if not isinstance(first, Tensor):
        raise TypeError(f"inputs[0] must be a tensor [batch, inputs], got {shown(first)}")
    batch, _ = check_tensor("inputs[0]", first, ("batch", "inputs"), first).shape
    for step, x in enumerate(inputs):
        check_tensor(f"inputs[{step}]", x, tuple(first.shape), first)
    state = _first_state(cell, batch, initial_state)
    if lengths is None:
        outputs = []
        for x in inputs:
            state = cell(x, state)
            outputs.append(state)
        return outputs, state
    return masked_steps(cell, inputs, check_lengths(lengths, batch, len(inputs)), state)


def masked_steps(
    cell: nn.Module, inputs: Sequence[Tensor], lengths: Tensor, state: Tensor
) -> tuple[list[Tensor], Tensor]:
    limits = lengths.to(state.device, non_blocking=True)[:, None]
    outputs = []
    for step, x in enumerate(inputs):
        valid = limits > step
        # The padding is masked before the cell sees it: the gradient of a branch not taken is zero *times* what the
        # cell computed, and zero times NaN is NaN.
        new = cell(x.masked_fill(~valid, 0.0), state)
        outputs.append(new.masked_fill(~valid, 0.0))
        state = torch.where(valid, new, state)
    return outputs, state


def _first_state(cell: Any, batch: int, initial_state: Tensor | None) -> Tensor:
    zeros = cell.zero_state(batch)
    if initial_state is None:
        return zeros
    return check_tensor("initial_state", initial_state, tuple(zeros.shape), zeros)
