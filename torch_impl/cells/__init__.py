"""One step: a file for each kind of cell, the activations, and the dense layer."""

from torch_impl.cells.basic_rnn import BasicRNNCell
from torch_impl.cells.cell import Cell
from torch_impl.cells.gru import GRUCell
from torch_impl.cells.lstm import LSTMCell

__all__ = ["CELLS", "Cell"]

# The class for each kind of network (unrolled.networks) that is a cell.
CELLS: dict[str, type[Cell]] = {kind.kind: kind for kind in (BasicRNNCell, LSTMCell, GRUCell)}
