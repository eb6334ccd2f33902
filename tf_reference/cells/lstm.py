"""The long short-term memory: TensorFlow's LSTMCell, which without options is its BasicLSTMCell."""

from __future__ import annotations

from typing import Any

from tf_reference.tf1 import tf
from unrolled.networks import LSTM

__all__ = ["StraightThroughLSTMCell", "cell", "variables"]


class StraightThroughLSTMCell(tf.nn.rnn_cell.LSTMCell):
    """TF1's LSTMCell, but the gradient goes through the cell's clip as if it were not there.

    As in tf.contrib.rnn.LSTMBlockCell (TensorFlow 1.15, contrib/rnn/ops and core/kernels/rnn/lstm_ops.cc), which 2.x no
    longer has. The variables are LSTMCell's, under the same names; the step is its step, written out.
    """

    def call(self, inputs: Any, state: Any) -> Any:
        c, h = state
        gates = tf.nn.bias_add(tf.matmul(tf.concat([inputs, h], 1), self._kernel), self._bias)
        i, j, f, o = tf.split(gates, 4, axis=1)
        if self._use_peepholes:
            i += self._w_i_diag * c
            f += self._w_f_diag * c
        c = tf.sigmoid(f + self._forget_bias) * c + tf.sigmoid(i) * self._activation(j)
        c = _straight_through_clip(c, self._cell_clip)
        if self._use_peepholes:
            o += self._w_o_diag * c
        h = tf.sigmoid(o) * self._activation(c)
        if self._num_proj is not None:
            h = tf.matmul(h, self._proj_kernel)
            if self._proj_clip is not None:
                h = tf.clip_by_value(h, -self._proj_clip, self._proj_clip)
        return h, tf.nn.rnn_cell.LSTMStateTuple(c, h)


def _straight_through_clip(x: Any, limit: float) -> Any:
    clip = tf.custom_gradient(lambda x: (tf.clip_by_value(x, -limit, limit), lambda gradient: gradient))
    return clip(x)


def cell(network: LSTM, dtype: Any = tf.float32, masks: Any | None = None) -> Any:
    """TF1's LSTMCell, or `StraightThroughLSTMCell`."""
    kind = StraightThroughLSTMCell if network.straight_through else tf.nn.rnn_cell.LSTMCell
    return kind(
        network.units,
        use_peepholes=network.peepholes,
        cell_clip=network.cell_clip,
        num_proj=network.projection,
        proj_clip=network.projection_clip,
        forget_bias=network.forget_bias,
        activation=network.activation,
        name="lstm_cell",
        dtype=dtype,
    )


def variables(network: LSTM) -> dict[str, str]:
    return {name: "lstm_cell/" + name for name in network.weights(1)}
