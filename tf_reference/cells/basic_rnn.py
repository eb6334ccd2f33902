"""A recurrent step: two of them by hand (program 1), and TensorFlow's own cell."""

from __future__ import annotations

from typing import Any

from tf_reference.tf1 import tf
from unrolled.networks import BasicRNN

__all__ = ["cell", "two_step", "variables"]


def two_step(x0: Any, x1: Any, wx: Any, wy: Any, b: Any, activation: str = "tanh") -> tuple[Any, Any]:
    """Program 1: a layer of recurrent neurons over two steps, from a zero state.

    x0, x1: [batch, inputs]; wx: [inputs, units]; wy: [units, units]; b: [units].
    Returns (y0, y1), each [batch, units]: y0 = f(x0 @ wx + b), y1 = f(y0 @ wy + x1 @ wx + b).
    """
    f = tf.keras.activations.get(activation)
    y0 = f(tf.matmul(x0, wx) + b)
    y1 = f(tf.matmul(y0, wy) + tf.matmul(x1, wx) + b)
    return y0, y1


def cell(network: BasicRNN, dtype: Any = tf.float32, masks: Any | None = None) -> Any:
    """TF1's BasicRNNCell. It takes its activation by Keras's name."""
    return tf.nn.rnn_cell.BasicRNNCell(network.units, activation=network.activation, dtype=dtype)


def variables(network: BasicRNN) -> dict[str, str]:
    return {name: "basic_rnn_cell/" + name for name in network.weights(1)}
