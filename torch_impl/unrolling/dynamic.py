"""A cell over whole sequences, padded or packed: TF1's dynamic_rnn. See `torch_impl.unrolling` for the length law."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from torch_impl import states
from torch_impl.cells.basic_rnn import BasicRNNCell
from torch_impl.cells.cell import Cell
from torch_impl.checks import check_lengths, check_tensor, tracing
from torch_impl.states import State
from torch_impl.unrolling.packing import pack, padded
from torch_impl.unrolling.plain import plain_rnn
from torch_impl.unrolling.static import loop


def dynamic_rnn(
    cell: Cell,
    inputs: Any,
    lengths: Any = None,
    initial_state: State | None = None,
    outputs: bool = True,
    time_major: bool = False,
) -> tuple[Any, Any]:
    """The cell over whole sequences: TF1's dynamic_rnn.

    inputs: [batch, steps, inputs], batch and steps at least 1; with time_major [steps, batch, inputs], and so are the
    outputs then. lengths: integers [batch] from 0 to steps, or None for all steps; keep them on the CPU, since on a GPU
    they cost a transfer. initial_state: parts [batch, width], or None: zeros.
    Returns (outputs [batch, steps, width], state) under the length law. A PackedSequence, which holds its own lengths,
    gives a PackedSequence packed alike; the states are in the order before packing. outputs: False where only the state
    is wanted: None stands for them then, and the time that they take is spared.
    Raises TypeError or ValueError that names the argument.
    """
    if not isinstance(cell, Cell):
        raise TypeError(f"cell must be one of torch_impl.cells, got {type(cell).__name__}; static_rnn takes any cell")
    return cell(inputs, initial_state, unroll=partial(_unroll, lengths, outputs, time_major))


def by_steps(
    cell: Cell,
    inputs: Tensor,
    lengths: Any,
    state: State | None,
    outputs: bool = True,
    batch_sizes: Tensor | None = None,
) -> tuple[Tensor | None, State]:
    """One step after the other, whatever the cell.

    inputs: [batch, steps, inputs], with lengths [batch] or None; or packed values with their batch_sizes. outputs:
    whether they are wanted; they are of the same kind as inputs, and None may stand for those that are not wanted.
    """
    if batch_sizes is not None:
        inputs, lengths = padded(inputs, batch_sizes)
    state = cell.zero_state(inputs.shape[0]) if state is None else state
    found, state = loop(cell.step, inputs.unbind(1), lengths, state)
    whole = torch.stack(found, 1) if outputs else None
    return whole if batch_sizes is None or whole is None else pack(whole, lengths), state


# What runs the steps of a cell over whole sequences, where there is something faster; its arguments are those of
# `by_steps`. A subclass with another step has no part in it.
FASTER: dict[Callable[..., Any], Callable[..., tuple[Any, Any]]] = {BasicRNNCell.step: plain_rnn}


def _unroll(
    lengths: Any, outputs: bool, time_major: bool, cell: Cell, inputs: Any, state: State | None
) -> tuple[Any, Any]:
    """What the cell's call does for `dynamic_rnn`. It checks here, after the cell's own hooks."""
    if isinstance(inputs, PackedSequence):
        if lengths is not None:
            raise ValueError("lengths must be None with a PackedSequence, which holds its own lengths")
        return _unroll_packed(cell, inputs, state, outputs)
    names = ("steps", "batch") if time_major else ("batch", "steps")
    check_tensor("inputs", inputs, (*names, cell.inputs), cell.reference)
    inputs = inputs.transpose(0, 1) if time_major else inputs
    batch, steps, _ = inputs.shape
    _check_state(cell, batch, state)
    if lengths is not None:
        lengths = check_lengths(lengths, batch, steps)
        if not tracing() and int(lengths.min()) == steps:
            lengths = None
    found, state = FASTER.get(type(cell).step, by_steps)(cell, inputs, lengths, state, outputs)
    if not outputs:
        return None, state
    return found.transpose(0, 1) if time_major else found, state


def _unroll_packed(cell: Cell, packed: PackedSequence, state: State | None, outputs: bool) -> tuple[Any, Any]:
    data, batch_sizes, order, inverse = packed
    check_tensor("inputs.data", data, ("values", cell.inputs), cell.reference)
    _check_state(cell, batch_sizes[0] if tracing() else int(batch_sizes[0]), state)
    if order is not None and state is not None:
        state = states.mapped(lambda part: part.index_select(0, order), state)
    run = FASTER.get(type(cell).step, by_steps)
    values, state = run(cell, data, None, state, outputs, batch_sizes)
    if inverse is not None:
        state = states.mapped(lambda part: part.index_select(0, inverse), state)
    return PackedSequence(values, batch_sizes, order, inverse) if outputs else None, state


def _check_state(cell: Cell, batch: Any, state: State | None) -> None:
    """A state that was given; None stays, for what needs no zeros to begin with."""
    if state is not None:
        states.checked(cell.network, state, batch, cell.reference)
