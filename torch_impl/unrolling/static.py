"""Unrolling a cell step by step, in a Python loop: TF1's static_rnn. See `torch_impl.unrolling` for the length law."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from torch_impl.cells.cell import Cell
from torch_impl.checks import check_lengths, check_tensor, shown
from torch_impl.masks import Masks, by_step, checked, drawn
from torch_impl.states import State, output_and_state, where
from torch_impl.structures import Structure
from torch_impl.unrolling.packing import pack, padded


def static_rnn(
    cell: nn.Module,
    inputs: Sequence[Tensor],
    lengths: Any = None,
    initial_state: State | None = None,
    masks: Masks | None = None,
) -> tuple[list[Tensor], Any]:
    """The cell repeated once per element of inputs, in a Python loop: TF1's static_rnn.

    cell: one of this library, or any module with `zero_state(batch)` that gives (output, new state) for (inputs,
    state), or one tensor that is both. A state is a tensor, or a tuple of states.
    inputs: a list of `steps` tensors [batch, inputs]. lengths: integers [batch] from 0 to steps, or None for all steps.
    initial_state: parts [batch, width], or None for zeros. masks: see `dynamic_rnn`; [batch, steps, width] here too.
    Returns (outputs, state): a list of `steps` tensors [batch, width], and the final state, under the length law.
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
    state = cell.zero_state(batch)  # type: ignore[operator]
    if initial_state is not None:
        state = _checked_like(state, initial_state, "initial_state")
    if lengths is not None:
        lengths = check_lengths(lengths, batch, len(inputs))
    if isinstance(cell, Cell):
        masks = masks_of(cell, masks, batch, len(inputs))
    elif masks:
        raise ValueError(f"masks must be None with a cell that is none of this library, {type(cell).__name__}")
    return _static(cell, inputs, lengths, state, masks or {})


def _static(
    cell: Any, inputs: Sequence[Tensor], lengths: Tensor | None, state: State, masks: Masks
) -> tuple[list[Tensor], Any]:
    if not isinstance(cell, Structure) or cell.network.stepwise:
        return loop(cell, inputs, lengths, state, masks)
    found, state = cell.unroll(_run_static, torch.stack(list(inputs), 1), lengths, state, masks=masks)
    assert found is not None
    return list(found.unbind(1)), state


def _run_static(
    cell: Cell, inputs: Tensor, lengths: Tensor | None, state: State, outputs: bool, _: None, masks: Masks
) -> tuple[Tensor, State]:
    """A cell of a structure that as a whole has no single step."""
    found, state = _static(cell, inputs.unbind(1), lengths, state, masks)
    return torch.stack(found, 1), state


def masks_of(cell: Cell, masks: Any, batch: Any, steps: Any) -> Masks:
    """The masks of a call over so many rows and steps: those given, which are checked, or fresh ones in training."""
    if masks is not None:
        return checked(cell.network, cell.inputs, masks, batch, steps, cell.reference)
    wanted = cell.drawn()
    return drawn(wanted, batch, steps, cell.reference) if wanted else {}


def by_steps(
    cell: Cell,
    inputs: Tensor,
    lengths: Tensor | None,
    state: State | None,
    outputs: bool = True,
    batch_sizes: Tensor | None = None,
    masks: Masks | None = None,
) -> tuple[Any, Any]:
    """One step after the other, whatever the cell.

    inputs: [batch, steps, inputs], with lengths [batch] or None; or packed values with their batch_sizes. outputs:
    whether they are wanted; they are of the same kind as inputs, and None may stand for those that are not wanted.
    masks: see torch_impl.masks, also of packed values [batch, steps, width], the rows in the order of the packing.
    """
    if batch_sizes is not None:
        inputs, lengths = padded(inputs, batch_sizes)
    state = cell.zero_state(inputs.shape[0]) if state is None else state
    found, state = loop(cell.step, inputs.unbind(1), lengths, state, masks or {})
    whole = torch.stack(found, 1) if outputs else None
    return whole if batch_sizes is None or whole is None else pack(whole, lengths), state


def loop(
    step: Any, inputs: Sequence[Tensor], lengths: Tensor | None, state: State, masks: Masks
) -> tuple[list[Tensor], State]:
    """`static_rnn` of arguments that are checked; step: the cell, or what it does at one step: it takes inputs and
    state, and where there are masks, its own as `masks`."""
    here: Iterable[dict[str, Any]] = [{}] * len(inputs)
    if masks:
        here = ({"masks": each} for each in by_step(masks, len(inputs)))
    limits = None if lengths is None else lengths.to(inputs[0].device, non_blocking=True)[:, None]
    outputs = []
    for number, (x, own) in enumerate(zip(inputs, here, strict=True)):
        if limits is None:
            output, state = output_and_state(step(x, state, **own))
            outputs.append(output)
            continue
        valid = limits > number
        # The padding is masked before the cell sees it: the gradient of a branch not taken is zero *times* what the
        # cell computed, and zero times NaN is NaN.
        output, new = output_and_state(step(x.masked_fill(~valid, 0.0), state, **own))
        outputs.append(output.masked_fill(~valid, 0.0))
        state = where(valid, new, state)
    return outputs, state


def _checked_like(zeros: State, state: Any, name: str) -> State:
    """The state, if it has the parts of `zeros`, each of its shape, dtype and device."""
    if isinstance(zeros, Tensor):
        return check_tensor(name, state, tuple(zeros.shape), zeros)
    if not isinstance(state, tuple) or len(state) != len(zeros):
        raise TypeError(f"{name} must be a tuple of {len(zeros)} parts, got {shown(state)}")
    names = getattr(zeros, "_fields", range(len(zeros)))
    for part, zero, given in zip(names, zeros, state, strict=True):
        _checked_like(zero, given, f"{name}/{part}")
    return state
