"""The gated recurrent unit: TensorFlow's GRUCell, and the one whose reset gate comes after the product."""

from __future__ import annotations

from typing import Any

from tf_reference.tf1 import tf
from unrolled.networks import GRU

__all__ = ["ResetAfterGRUCell", "cell", "variables"]


class ResetAfterGRUCell(tf.nn.rnn_cell.GRUCell):
    """As tf.contrib.cudnn_rnn.CudnnCompatibleGRUCell (TensorFlow 1.15, contrib/cudnn_rnn/python/ops/cudnn_rnn_ops.py),
    which 2.x no longer has: the same variables under the same names."""

    def build(self, inputs_shape: Any) -> None:
        inputs, units = tf.TensorShape(inputs_shape).as_list()[-1], self._num_units
        zeros = tf.zeros_initializer()
        self._gate_kernel = self.add_weight("gates/kernel", [inputs + units, 2 * units])
        self._gate_bias = self.add_weight("gates/bias", [2 * units], initializer=tf.ones_initializer())
        self._input_kernel = self.add_weight("candidate/input_projection/kernel", [inputs, units])
        self._input_bias = self.add_weight("candidate/input_projection/bias", [units], initializer=zeros)
        self._hidden_kernel = self.add_weight("candidate/hidden_projection/kernel", [units, units])
        self._hidden_bias = self.add_weight("candidate/hidden_projection/bias", [units], initializer=zeros)
        self.built = True

    def call(self, inputs: Any, state: Any) -> Any:
        gates = tf.nn.bias_add(tf.matmul(tf.concat([inputs, state], 1), self._gate_kernel), self._gate_bias)
        r, u = tf.split(tf.sigmoid(gates), 2, axis=1)
        from_inputs = tf.nn.bias_add(tf.matmul(inputs, self._input_kernel), self._input_bias)
        from_state = tf.nn.bias_add(tf.matmul(state, self._hidden_kernel), self._hidden_bias)
        new = (1.0 - u) * self._activation(from_inputs + r * from_state) + u * state
        return new, new


def cell(network: GRU, dtype: Any = tf.float32, masks: Any | None = None) -> Any:
    """TF1's GRUCell, or `ResetAfterGRUCell`."""
    kind, name = (
        (ResetAfterGRUCell, "cudnn_compatible_gru_cell")
        if network.reset_after
        else (tf.nn.rnn_cell.GRUCell, "gru_cell")
    )
    return kind(network.units, activation=network.activation, name=name, dtype=dtype)


def variables(network: GRU) -> dict[str, str]:
    scope = "cudnn_compatible_gru_cell/" if network.reset_after else "gru_cell/"
    return {name: scope + name for name in network.weights(1)}
