"""The kinds of cells that the paths over whole sequences know: a file for each, with what it does in torch; the same in
compiled code is in `torch_impl.unrolling.pointwise`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch_impl.cells.basic_rnn import BasicRNNCell
from torch_impl.cells.cell import Cell
from torch_impl.cells.gru import GRUCell
from torch_impl.cells.lstm import LSTMCell
from torch_impl.unrolling.kinds import gru, lstm, plain
from torch_impl.unrolling.kinds.kind import Kind

__all__ = ["Kind", "kind_of"]

_KINDS: dict[Callable[..., Any], Callable[[Any], tuple[Kind, tuple[float, ...]] | None]] = {
    BasicRNNCell.step: plain.kind_of,
    LSTMCell.step: lstm.kind_of,
    GRUCell.step: gru.kind_of,
}


def kind_of(cell: Cell) -> tuple[Kind, tuple[float, ...]] | None:
    """A cell's kind, and what is added to its blocks and not trained; None for a cell that is of none. A subclass with
    another step is of none."""
    found = _KINDS.get(type(cell).step)
    return None if found is None else found(cell)
