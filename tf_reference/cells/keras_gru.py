"""Keras's gated recurrent unit."""

from __future__ import annotations

from typing import Any

from tf_reference.tf1 import tf
from unrolled.networks import KerasGRU

__all__ = ["KerasGRUCell", "cell", "variables"]


class KerasGRUCell(tf.nn.rnn_cell.RNNCell):
    """As tf.keras.layers.GRU in TensorFlow 1 (python/keras/layers/recurrent.py), but a cell for TensorFlow's own
    unrollers, with their lengths; the same variables under the same names."""

    def __init__(self, network: KerasGRU, dtype: Any) -> None:
        super().__init__(name="gru", dtype=dtype)
        self._network = network
        self._activation = tf.keras.activations.get(network.activation)
        self._gate = tf.keras.activations.get(network.recurrent_activation)

    @property
    def state_size(self) -> int:
        return self._network.units

    @property
    def output_size(self) -> int:
        return self._network.units

    def build(self, inputs_shape: Any) -> None:
        inputs = tf.TensorShape(inputs_shape).as_list()[-1]
        kernel, recurrent_kernel, bias = (weight.shape for weight in self._network.weights(inputs).values())
        self._kernel = self.add_weight("kernel", kernel)
        self._recurrent_kernel = self.add_weight(
            "recurrent_kernel", recurrent_kernel, initializer=tf.orthogonal_initializer()
        )
        self._bias = self.add_weight("bias", bias, initializer=tf.zeros_initializer())
        self.built = True

    def call(self, inputs: Any, state: Any) -> Any:
        units, reset_after = self._network.units, self._network.reset_after
        bias, recurrent_bias = tf.unstack(self._bias) if reset_after else (self._bias, None)
        from_inputs = tf.nn.bias_add(tf.matmul(inputs, self._kernel), bias)
        if reset_after:
            from_state = tf.nn.bias_add(tf.matmul(state, self._recurrent_kernel), recurrent_bias)
        else:
            from_state = tf.matmul(state, self._recurrent_kernel[:, : 2 * units])
        z = self._gate(from_inputs[:, :units] + from_state[:, :units])
        r = self._gate(from_inputs[:, units : 2 * units] + from_state[:, units : 2 * units])
        if reset_after:
            to_candidate = r * from_state[:, 2 * units :]
        else:
            to_candidate = tf.matmul(r * state, self._recurrent_kernel[:, 2 * units :])
        new = z * state + (1 - z) * self._activation(from_inputs[:, 2 * units :] + to_candidate)
        return new, new


def cell(network: KerasGRU, dtype: Any = tf.float32, masks: Any | None = None) -> Any:
    return KerasGRUCell(network, dtype)


def variables(network: KerasGRU) -> dict[str, str]:
    return {name: "gru/" + name for name in network.weights(1)}
