"""Networks by TensorFlow 1's own names, with its arguments and defaults: what `tf.nn.rnn_cell.LSTMCell(100)` computes
is `tf1.LSTMCell(100)`.

An argument that changes no values, such as an initializer, `reuse`, `name`, `dtype` or `state_is_tuple`, has no
counterpart. An activation is given by its name. All raise ValueError as the networks do. Defaults are those of 1.15.5:
rnn_cell_impl.py, rnn_cell_wrapper_impl.py, and contrib's lstm_ops.py, gru_ops.py, rnn_cell.py, cudnn_rnn_ops.py.
"""

from __future__ import annotations

from typing import Sequence

from unrolled.networks.basic_rnn import BasicRNN
from unrolled.networks.bidirectional import Bidirectional
from unrolled.networks.dropout import Dropout
from unrolled.networks.gru import GRU
from unrolled.networks.layer_norm_lstm import LayerNormLSTM
from unrolled.networks.layers import Layers
from unrolled.networks.lstm import LSTM
from unrolled.networks.residual import Residual
from unrolled.networks.values import Network

__all__ = [
    "BasicLSTMCell",
    "BasicRNNCell",
    "CudnnCompatibleGRUCell",
    "CudnnCompatibleLSTMCell",
    "DropoutWrapper",
    "GRUBlockCell",
    "GRUBlockCellV2",
    "GRUCell",
    "LSTMBlockCell",
    "LSTMBlockFusedCell",
    "LSTMCell",
    "LayerNormBasicLSTMCell",
    "MultiRNNCell",
    "ResidualWrapper",
    "bidirectional_dynamic_rnn",
    "stack_bidirectional_dynamic_rnn",
]


def BasicRNNCell(num_units: int, activation: str = "tanh") -> BasicRNN:
    """tf.nn.rnn_cell.BasicRNNCell."""
    return BasicRNN(num_units, activation)


def BasicLSTMCell(num_units: int, forget_bias: float = 1.0, activation: str = "tanh") -> LSTM:
    """tf.nn.rnn_cell.BasicLSTMCell."""
    return LSTM(num_units, activation, forget_bias)


def LSTMCell(
    num_units: int,
    use_peepholes: bool = False,
    cell_clip: float | None = None,
    num_proj: int | None = None,
    proj_clip: float | None = None,
    forget_bias: float = 1.0,
    activation: str = "tanh",
) -> LSTM:
    """tf.nn.rnn_cell.LSTMCell. Without a projection a proj_clip does nothing, as there; a cell_clip of 0 clips to 0."""
    clip = None if num_proj is None else proj_clip
    return LSTM(num_units, activation, forget_bias, use_peepholes, num_proj, cell_clip, clip)


def GRUCell(num_units: int, activation: str = "tanh") -> GRU:
    """tf.nn.rnn_cell.GRUCell: the reset gate before the product."""
    return GRU(num_units, activation)


def LSTMBlockCell(
    num_units: int, forget_bias: float = 1.0, cell_clip: float | None = None, use_peephole: bool = False
) -> LSTM:
    """tf.contrib.rnn.LSTMBlockCell: a cell_clip of 0 or below is none, and its gradient takes no notice of one.

    Up to TensorFlow 1.3 the default of cell_clip was 3.
    """
    clip = None if cell_clip is None or cell_clip <= 0 else cell_clip
    return LSTM(num_units, "tanh", forget_bias, use_peephole, None, clip, None, straight_through=clip is not None)


LSTMBlockFusedCell = LSTMBlockCell  # the same law over a whole sequence, and the same arguments


def GRUBlockCellV2(num_units: int) -> GRU:
    """tf.contrib.rnn.GRUBlockCellV2, and GRUBlockCell, whose weights have other names."""
    return GRU(num_units)


GRUBlockCell = GRUBlockCellV2


def CudnnCompatibleLSTMCell(num_units: int) -> LSTM:
    """tf.contrib.cudnn_rnn.CudnnCompatibleLSTMCell, and a layer of CudnnLSTM: no forget bias."""
    return LSTM(num_units, forget_bias=0.0)


def CudnnCompatibleGRUCell(num_units: int) -> GRU:
    """tf.contrib.cudnn_rnn.CudnnCompatibleGRUCell, and a layer of CudnnGRU: the reset gate after the product."""
    return GRU(num_units, reset_after=True)


def LayerNormBasicLSTMCell(
    num_units: int,
    forget_bias: float = 1.0,
    activation: str = "tanh",
    layer_norm: bool = True,
    dropout_keep_prob: float = 1.0,
) -> Network:
    """tf.contrib.rnn.LayerNormBasicLSTMCell, normalised; without normalisation, and then without dropout, an LSTM."""
    if layer_norm:
        return LayerNormLSTM(num_units, activation, forget_bias, dropout_keep_prob)
    if dropout_keep_prob < 1:
        raise ValueError("dropout_keep_prob must be 1 without layer_norm here, got %r" % dropout_keep_prob)
    return LSTM(num_units, activation, forget_bias)


def MultiRNNCell(cells: Sequence[Network]) -> Layers:
    """tf.nn.rnn_cell.MultiRNNCell."""
    return Layers(tuple(cells))


def ResidualWrapper(cell: Network) -> Residual:
    """tf.nn.rnn_cell.ResidualWrapper, without a residual_fn."""
    return Residual(cell)


def DropoutWrapper(
    cell: Network,
    input_keep_prob: float = 1.0,
    output_keep_prob: float = 1.0,
    state_keep_prob: float = 1.0,
    variational_recurrent: bool = False,
) -> Dropout:
    """tf.nn.rnn_cell.DropoutWrapper, without a dropout_state_filter_visitor."""
    return Dropout(cell, input_keep_prob, output_keep_prob, state_keep_prob, variational_recurrent)


def bidirectional_dynamic_rnn(cell_fw: Network, cell_bw: Network) -> Bidirectional:
    """tf.nn.bidirectional_dynamic_rnn, its two outputs side by side."""
    return Bidirectional(cell_fw, cell_bw)


def stack_bidirectional_dynamic_rnn(cells_fw: Sequence[Network], cells_bw: Sequence[Network]) -> Layers:
    """tf.contrib.rnn.stack_bidirectional_dynamic_rnn."""
    if len(cells_fw) != len(cells_bw):
        raise ValueError("cells_bw must be as many as cells_fw, %d, got %d" % (len(cells_fw), len(cells_bw)))
    return Layers(tuple(map(Bidirectional, cells_fw, cells_bw)))
