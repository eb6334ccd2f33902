"""A page for each kind of cell, which has a step of its own. Each function is of the network's value:

cell(network, dtype, masks)    a new cell of TensorFlow's; its `state_size` has the parts of `network.state`, in
                               that order. masks: a `masks.StepMasks`, or None where nothing is dropped
variables(network)             canonical name -> the variable's name, below the scope that the cell is unrolled in
"""

from __future__ import annotations

from typing import Any

from tf_reference.cells import basic_rnn, gru, keras_gru, keras_lstm, layer_norm_lstm, lstm

__all__ = ["CELLS"]

CELLS: dict[str, Any] = {
    "basic_rnn": basic_rnn,
    "lstm": lstm,
    "gru": gru,
    "layer_norm_lstm": layer_norm_lstm,
    "keras_lstm": keras_lstm,
    "keras_gru": keras_gru,
}
