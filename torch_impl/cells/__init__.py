"""One step: a file for each kind of cell, the activations, and the dense layer."""

from torch_impl.cells.basic_rnn import BasicRNNCell
from torch_impl.cells.cell import Cell
from torch_impl.cells.gru import GRUCell
from torch_impl.cells.keras_gru import KerasGRUCell
from torch_impl.cells.keras_lstm import KerasLSTMCell
from torch_impl.cells.layer_norm_lstm import LayerNormLSTMCell
from torch_impl.cells.lstm import LSTMCell

__all__ = ["CELLS", "Cell"]

# The class for each kind of network (unrolled.networks) that is a cell.
_KINDS = (BasicRNNCell, LSTMCell, GRUCell, LayerNormLSTMCell, KerasLSTMCell, KerasGRUCell)
CELLS: dict[str, type[Cell]] = {kind.kind: kind for kind in _KINDS}
