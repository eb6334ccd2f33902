"""A dense layer on a network: classifier (program 7), regressor in two forms (program 8), speller.

The chapter's `fully_connected(..., activation_fn=None)` is `tf.layers.dense` here, since tf.contrib is gone from
TensorFlow 2.x: the same layer, Glorot uniform with zero bias, but its variables are named kernel and bias. Each model
makes its own network, in the dtype of the inputs.
"""

from __future__ import annotations

from typing import Any

from tf_reference import cells, states
from tf_reference.tf1 import tf
from tf_reference.unrolling import dynamic_rnn, unroll
from unrolled.networks import Network

__all__ = ["OutputProjectionWrapper", "classifier", "regressor", "speller"]


def classifier(network: Network, inputs: Any, classes: int, lengths: Any | None = None) -> Any:
    """Program 7: one dense layer, without activation, on the final state.

    inputs: [batch, steps, inputs]; lengths: integers [batch]. Returns the logits [batch, classes].
    """
    _, state = unroll(network, inputs, lengths)
    return tf.layers.dense(states.read_out(network, state), classes, name="dense")


class OutputProjectionWrapper(tf.nn.rnn_cell.RNNCell):
    """A cell with a dense layer, without activation, on its output; what it passes on is the inner cell's state.

    As tf.contrib.rnn.OutputProjectionWrapper (TensorFlow 1.15, contrib/rnn/python/ops/core_rnn_cell.py), which 2.x no
    longer has: the same variables under the same names, kernel [output_size, outputs], Glorot uniform, and bias
    [outputs], zeros.
    """

    def __init__(self, cell: Any, output_size: int) -> None:
        super().__init__(name="output_projection_wrapper")
        self._cell = cell
        self._output_size = output_size

    @property
    def state_size(self) -> Any:
        return self._cell.state_size

    @property
    def output_size(self) -> int:
        return self._output_size

    def zero_state(self, batch_size: Any, dtype: Any) -> Any:
        return self._cell.zero_state(batch_size, dtype)

    def call(self, inputs: Any, state: Any) -> Any:
        output, new_state = self._cell(inputs, state)
        kernel = tf.get_variable("kernel", [self._cell.output_size, self._output_size], output.dtype)
        bias = tf.get_variable("bias", [self._output_size], output.dtype, initializer=tf.zeros_initializer())
        return tf.nn.bias_add(tf.matmul(output, kernel), bias), new_state


def regressor(
    network: Network, inputs: Any, outputs: int, projection: str = "stacked", lengths: Any | None = None
) -> Any:
    """Program 8: one dense layer, without activation, on every output.

    inputs: [batch, steps, inputs]; lengths: integers [batch]. Returns the predictions [batch, steps, outputs].
    projection: "wrapped" has the layer inside the loop, and zeros on padded steps; "stacked", which is faster, applies
    it once to all outputs as [-1, output_size], and has the layer's bias on padded steps.
    """
    if projection == "wrapped":
        cell = OutputProjectionWrapper(cells.cell(network, inputs.dtype), outputs)
        predictions, _ = dynamic_rnn(cell, inputs, lengths)
        return predictions
    rnn_outputs, _ = unroll(network, inputs, lengths)
    stacked_outputs = tf.reshape(rnn_outputs, [-1, network.output_size])
    stacked_predictions = tf.layers.dense(stacked_outputs, outputs, name="dense")
    return tf.reshape(stacked_predictions, [-1, tf.shape(inputs)[1], outputs])


def speller(
    network: Network, decoder: Any, inputs: Any, tokens: Any, max_steps: int, lengths: Any | None = None
) -> tuple[Any, Any, Any]:
    """An encoder reads a sequence, and from its final state a decoder writes tokens until it writes its `end`.

    network: the encoder's. inputs: [batch, steps, inputs]; lengths: integers [batch]; tokens: int64 [batch, any steps].
    Returns (loss, logits, predictions): the teacher-forced loss of the tokens; the logits [batch, max_steps,
    vocabulary] of greedy decoding, zero past a row's end, and its tokens [batch, max_steps], `end` past it.
    """
    _, state = unroll(network, inputs, lengths, scope="encoder")
    loss = decoder.loss(decoder.teach(state, tokens), tokens)
    decoded = decoder.decode(state, max_steps)
    rest = [0, max_steps - tf.shape(decoded.tokens)[1]]
    logits = tf.pad(decoded.logits, [[0, 0], rest, [0, 0]])
    past = tf.fill([tf.shape(inputs)[0], rest[1]], decoder.end)
    return loss, logits, tf.concat([decoded.tokens, past], axis=1)
