"""Keras's long short-term memory."""

from __future__ import annotations

from typing import Any

from tf_reference.tf1 import tf
from unrolled.networks import KerasLSTM

__all__ = ["KerasLSTMCell", "cell", "variables"]


class KerasLSTMCell(tf.nn.rnn_cell.RNNCell):
    """As tf.keras.layers.LSTM in TensorFlow 1 (python/keras/layers/recurrent.py), but a cell for TensorFlow's own
    unrollers, with their lengths, its state in their order; the same variables under the same names."""

    def __init__(self, network: KerasLSTM, dtype: Any) -> None:
        super().__init__(name="lstm", dtype=dtype)
        self._network = network
        self._activation = tf.keras.activations.get(network.activation)
        self._gate = tf.keras.activations.get(network.recurrent_activation)

    @property
    def state_size(self) -> Any:
        return tf.nn.rnn_cell.LSTMStateTuple(self._network.units, self._network.units)

    @property
    def output_size(self) -> int:
        return self._network.units

    def build(self, inputs_shape: Any) -> None:
        inputs, units = tf.TensorShape(inputs_shape).as_list()[-1], self._network.units
        bias = tf.constant_initializer([0.0] * units + [1.0] * units + [0.0] * 2 * units)
        self._kernel = self.add_weight("kernel", [inputs, 4 * units])
        self._recurrent_kernel = self.add_weight(
            "recurrent_kernel", [units, 4 * units], initializer=tf.orthogonal_initializer()
        )
        self._bias = self.add_weight("bias", [4 * units], initializer=bias)
        self.built = True

    def call(self, inputs: Any, state: Any) -> Any:
        c, h = state
        from_inputs = tf.nn.bias_add(tf.matmul(inputs, self._kernel), self._bias)
        i, f, z, o = tf.split(from_inputs + tf.matmul(h, self._recurrent_kernel), 4, axis=1)
        c = self._gate(f) * c + self._gate(i) * self._activation(z)
        h = self._gate(o) * self._activation(c)
        return h, tf.nn.rnn_cell.LSTMStateTuple(c, h)


def cell(network: KerasLSTM, dtype: Any = tf.float32, masks: Any | None = None) -> Any:
    return KerasLSTMCell(network, dtype)


def variables(network: KerasLSTM) -> dict[str, str]:
    return {name: "lstm/" + name for name in network.weights(1)}
