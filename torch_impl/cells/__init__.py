"""One step: a file for each kind of cell, and the dense layer."""

from torch_impl.cells.basic_rnn import BasicRNNCell
from torch_impl.cells.cell import Cell

__all__ = ["CELLS", "Cell"]

# The class for each kind of network (unrolled.networks) that is a cell.
CELLS: dict[str, type[Cell]] = {kind.kind: kind for kind in (BasicRNNCell,)}
