"""A cell over whole sequences, padded or packed: TF1's dynamic_rnn. See `torch_impl.unrolling` for the length law."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from torch_impl import states
from torch_impl.cells.basic_rnn import BasicRNNCell
from torch_impl.cells.cell import Cell
from torch_impl.cells.gru import GRUCell
from torch_impl.cells.keras_gru import KerasGRUCell
from torch_impl.cells.keras_lstm import KerasLSTMCell
from torch_impl.cells.lstm import LSTMCell
from torch_impl.checks import check_lengths, check_tensor, tracing
from torch_impl.masks import Masks
from torch_impl.states import State
from torch_impl.structures import STRUCTURES, Structure
from torch_impl.unrolling.fast import fast
from torch_impl.unrolling.native import plain_rnn
from torch_impl.unrolling.native_gru import gru
from torch_impl.unrolling.native_keras import keras_gru, keras_lstm
from torch_impl.unrolling.native_lstm import lstm
from torch_impl.unrolling.static import by_steps, masks_of


def dynamic_rnn(
    cell: Cell,
    inputs: Any,
    lengths: Any = None,
    initial_state: State | None = None,
    outputs: bool = True,
    time_major: bool = False,
    masks: Masks | None = None,
) -> tuple[Any, Any]:
    """The cell over whole sequences: TF1's dynamic_rnn.

    inputs: [batch, steps, inputs], batch and steps at least 1; with time_major [steps, batch, inputs], and so are the
    outputs then. lengths: integers [batch] from 0 to steps, or None for all steps; keep them on the CPU, since on a GPU
    they cost a transfer. initial_state: parts [batch, width], or None: zeros.
    Returns (outputs [batch, steps, width], state) under the length law. A PackedSequence, which holds its own lengths,
    gives a PackedSequence packed alike; the states are in the order before packing. outputs: False where only the state
    is wanted: None stands for them then, and the time that they take is spared. masks: those of the network's dropouts
    by name, all that `cell.network.masks(cell.inputs)` tells, ones and zeros [batch, steps, width] or [width]; rows are
    in the order before packing. None: parts in training mode have fresh ones, and others drop nothing.
    Raises TypeError or ValueError that names the argument.
    """
    if not isinstance(cell, Cell):
        raise TypeError(f"cell must be one of torch_impl.cells, got {type(cell).__name__}; static_rnn takes any cell")
    return _called(cell, inputs, initial_state, partial(_unroll, lengths, outputs, time_major, masks))


# What runs the steps of a cell over whole sequences, where there is something faster than `by_steps`, whose arguments
# and results it has, and which it falls back to. A subclass with another step has no part in it.
FASTER: dict[Callable[..., Any], Callable[..., tuple[Any, Any]]] = {
    BasicRNNCell.step: partial(fast, plain_rnn),
    LSTMCell.step: partial(fast, lstm),
    GRUCell.step: partial(fast, gru),
    KerasLSTMCell.step: keras_lstm,
    KerasGRUCell.step: keras_gru,
}


def _called(cell: Cell, inputs: Any, state: State | None, unroll: Callable[[Any, Any, Any], Any]) -> Any:
    """The cell's call, which does `unroll`."""
    if type(cell).forward is not Cell.forward:
        try:
            inspect.signature(cell.forward).bind(inputs, state, unroll=unroll)
        except TypeError:
            raise TypeError(
                f"{type(cell).__name__} must leave `forward` as Cell has it, which takes unroll, and say in `step` "
                "what it does at a step; or be run by static_rnn"
            ) from None
    return cell(inputs, state, unroll=unroll)


def _run(cell: Any, *arguments: Any, masks: Masks) -> tuple[Any, Any]:
    """`by_steps`, by the fastest code there is."""
    run = FASTER.get(type(cell).step, by_steps)
    return run(cell, *arguments, masks=masks) if masks else run(cell, *arguments)


def _run_within(
    cell: Cell,
    inputs: Tensor,
    lengths: Tensor | None,
    state: State | None,
    outputs: bool,
    batch_sizes: Tensor | None,
    masks: Masks,
) -> tuple[Any, Any]:
    """`_run` of a cell of a structure, by its call, for what hangs on that."""

    def unroll(cell: Cell, inputs: Tensor, state: State | None) -> tuple[Any, Any]:
        return _run(cell, inputs, lengths, state, outputs, batch_sizes, masks=masks)

    return _called(cell, inputs, state, unroll)


def _structure(
    structure: Structure,
    inputs: Tensor,
    lengths: Tensor | None,
    state: State | None,
    outputs: bool = True,
    batch_sizes: Tensor | None = None,
    masks: Masks | None = None,
) -> tuple[Any, Any]:
    given = (inputs, lengths, state, outputs, batch_sizes, masks)
    return structure.unroll(_run_within, *given) if structure.whole(masks or {}) else by_steps(structure, *given)


FASTER.update((kind.step, _structure) for kind in STRUCTURES.values())


def _unroll(
    lengths: Any, outputs: bool, time_major: bool, masks: Any, cell: Cell, inputs: Any, state: State | None
) -> tuple[Any, Any]:
    """What the cell's call does for `dynamic_rnn`. It checks here, after the cell's own hooks."""
    if isinstance(inputs, PackedSequence):
        if lengths is not None:
            raise ValueError("lengths must be None with a PackedSequence, which holds its own lengths")
        return _unroll_packed(cell, inputs, state, outputs, masks)
    names = ("steps", "batch") if time_major else ("batch", "steps")
    check_tensor("inputs", inputs, (*names, cell.inputs), cell.reference)
    inputs = inputs.transpose(0, 1) if time_major else inputs
    batch, steps, _ = inputs.shape
    _check_state(cell, batch, state)
    if lengths is not None:
        lengths = check_lengths(lengths, batch, steps)
        if not tracing() and int(lengths.min()) == steps:
            lengths = None
    masks = masks_of(cell, masks, batch, steps)
    found, state = _run(cell, inputs, lengths, state, outputs, None, masks=masks)
    if not outputs:
        return None, state
    return found.transpose(0, 1) if time_major else found, state


def _unroll_packed(
    cell: Cell, packed: PackedSequence, state: State | None, outputs: bool, masks: Any
) -> tuple[Any, Any]:
    data, batch_sizes, order, inverse = packed
    check_tensor("inputs.data", data, ("values", cell.inputs), cell.reference)
    batch = batch_sizes[0] if tracing() else int(batch_sizes[0])
    _check_state(cell, batch, state)
    given = masks is not None
    masks = masks_of(cell, masks, batch, batch_sizes.shape[0])
    if order is not None and given:  # fresh ones have no order
        masks = {name: mask.index_select(0, order) if mask.ndim == 3 else mask for name, mask in masks.items()}
    if order is not None and state is not None:
        state = states.mapped(lambda part: part.index_select(0, order), state)
    values, state = _run(cell, data, None, state, outputs, batch_sizes, masks=masks)
    if inverse is not None:
        state = states.mapped(lambda part: part.index_select(0, inverse), state)
    return PackedSequence(values, batch_sizes, order, inverse) if outputs else None, state


def _check_state(cell: Cell, batch: Any, state: State | None) -> None:
    """A state that was given; None stays, for what needs no zeros to begin with."""
    if state is not None:
        states.checked(cell.network, state, batch, cell.reference)
