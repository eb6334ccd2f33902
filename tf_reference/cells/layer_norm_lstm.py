"""The long short-term memory with layer normalisation."""

from __future__ import annotations

from typing import Any

from tf_reference.tf1 import tf
from unrolled.networks import LayerNormLSTM

__all__ = ["LayerNormLSTMCell", "cell", "variables"]

NAME = "layer_norm_basic_lstm_cell"


class LayerNormLSTMCell(tf.nn.rnn_cell.RNNCell):
    """As tf.contrib.rnn.LayerNormBasicLSTMCell (TensorFlow 1.15, contrib/rnn/python/ops/rnn_cell.py), which 2.x no
    longer has, with the same variables under the same names; its dropout's mask is given."""

    def __init__(self, network: LayerNormLSTM, dtype: Any, masks: Any | None) -> None:
        super().__init__(name=NAME, dtype=dtype)
        self._network = network
        self._activation = tf.keras.activations.get(network.activation)
        self._masks = masks if network.masks(1) else None

    @property
    def state_size(self) -> Any:
        return tf.nn.rnn_cell.LSTMStateTuple(self._network.units, self._network.units)

    @property
    def output_size(self) -> int:
        return self._network.units

    def call(self, inputs: Any, state: Any) -> Any:
        c, h = state
        joined = tf.concat([inputs, h], 1)
        kernel = tf.get_variable("kernel", [joined.shape[1], 4 * self._network.units], joined.dtype)
        gates = tf.split(tf.matmul(joined, kernel), 4, axis=1)
        i, j, f, o = (
            self._normalised(gate, name) for gate, name in zip(gates, ("input", "transform", "forget", "output"))
        )
        g = self._activation(j)
        if self._masks is not None:
            rate = tf.constant(1.0 - self._network.candidate_keep, g.dtype)
            g = g * (1 / (1 - rate)) * self._masks["candidate"]
        c = self._normalised(c * tf.sigmoid(f + self._network.forget_bias) + tf.sigmoid(i) * g, "state")
        h = self._activation(c) * tf.sigmoid(o)
        return h, tf.nn.rnn_cell.LSTMStateTuple(c, h)

    def _normalised(self, values: Any, name: str) -> Any:
        """As tf.contrib.layers.layer_norm: each row by its own mean and (biased) variance; epsilon 1e-12."""
        with tf.variable_scope(name):
            gamma = tf.get_variable("gamma", values.shape[1:], values.dtype, tf.ones_initializer())
            beta = tf.get_variable("beta", values.shape[1:], values.dtype, tf.zeros_initializer())
        mean, variance = tf.nn.moments(values, [1], keep_dims=True)
        return tf.nn.batch_normalization(values, mean, variance, beta, gamma, 1e-12)


def cell(network: LayerNormLSTM, dtype: Any = tf.float32, masks: Any | None = None) -> Any:
    return LayerNormLSTMCell(network, dtype, masks)


def variables(network: LayerNormLSTM) -> dict[str, str]:
    return {name: NAME + "/" + name for name in network.weights(1)}
