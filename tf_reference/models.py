"""Dense layers on a network: classifier (program 7), regressor in two forms (program 8), tagger, speller; an embedding
before it.

The chapter's `fully_connected(..., activation_fn=None)` is `tf.layers.dense` here, since tf.contrib is gone from
TensorFlow 2.x: the same layer, Glorot uniform with zero bias, but its variables are named kernel and bias. Each model
makes its own network, in the dtype of the inputs.
"""

from __future__ import annotations

from typing import Any, Mapping

from tf_reference import build, states
from tf_reference.given import Given
from tf_reference.masks import beside
from tf_reference.tf1 import tf
from tf_reference.unrolling import dynamic_rnn, unroll
from unrolled.models import Model
from unrolled.networks import Masks, Network, prefixed

__all__ = ["OutputProjectionWrapper", "classifier", "embedded", "masks_of", "regressor", "speller", "tagger", "taught"]

Tensors = Mapping[str, Any]


def masks_of(model: Model) -> Masks:
    """The masks that its networks have in training, by name; a speller's begin with "encoder/" and "decoder/"."""
    masks = model.network.masks(model.network_inputs)
    if model.kind != "speller":
        return masks
    return dict(prefixed("encoder/", masks), **prefixed("decoder/", model.network.masks(model.outputs)))


def embedded(model: Model, inputs: Any, dtype: Any) -> Any:
    """What the network reads: the inputs themselves, or of tokens [batch, steps] their rows of the embedding."""
    if not model.embedding:
        return inputs
    embedding = tf.get_variable("embedding", [model.inputs, model.embedding], dtype)
    return tf.nn.embedding_lookup(embedding, inputs)


def _dense(model: Model, values: Any) -> Any:
    """The model's dense layers, one above the other. values: [rows, width]. Returns [rows, outputs]."""
    for number, layer in enumerate(model.hidden):
        activation = tf.keras.activations.get(layer.activation)
        values = tf.layers.dense(values, layer.units, activation=activation, name="hidden_%d" % number)
    return tf.layers.dense(values, model.outputs, activation=tf.keras.activations.get(model.activation), name="dense")


def _dense_on_every_output(model: Model, outputs: Any) -> Any:
    """The same on outputs [batch, steps, width], stacked as [-1, width]. Returns [batch, steps, outputs]."""
    stacked = _dense(model, tf.reshape(outputs, [-1, model.network.output_size]))
    return tf.reshape(stacked, [-1, tf.shape(outputs)[1], model.outputs])


def classifier(model: Model, inputs: Any, lengths: Any | None = None, masks: Tensors | None = None) -> Any:
    """Program 7: the dense layers on the final state.

    inputs: [batch, steps, inputs]; lengths: integers [batch]; masks: see `unroll`. Returns the logits [batch, outputs].
    """
    _, state = unroll(model.network, inputs, lengths, masks=masks)
    return _dense(model, states.read_out(model.network, state))


def tagger(model: Model, inputs: Any, lengths: Any | None = None, masks: Tensors | None = None) -> Any:
    """The dense layers on every output; arguments as for `classifier`. Returns the logits [batch, steps, outputs]."""
    outputs, _ = unroll(model.network, inputs, lengths, masks=masks)
    return _dense_on_every_output(model, outputs)


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


def regressor(model: Model, inputs: Any, lengths: Any | None = None, masks: Tensors | None = None) -> Any:
    """Program 8: one dense layer on every output, or where "stacked", several.

    inputs: [batch, steps, inputs]; lengths: integers [batch]; masks: see `unroll`. Returns the predictions [batch,
    steps, outputs].
    projection: "wrapped" has the layer inside the loop, and zeros on padded steps; "stacked", which is faster, applies
    it once to all outputs as [-1, output_size], and has what it makes of zeros on padded steps.
    """
    if model.projection == "wrapped":
        dtype = inputs.dtype

        def wrapped(network: Network, masks: Any | None = None) -> Any:
            return OutputProjectionWrapper(build.cell(network, dtype, masks), model.outputs)

        cells, inputs = beside({"": model.network}, wrapped, Given(inputs, lengths, None, masks, False))
        predictions, _ = dynamic_rnn(cells[""], inputs, lengths)
        return predictions
    outputs, _ = unroll(model.network, inputs, lengths, masks=masks)
    return _dense_on_every_output(model, outputs)


def speller(model: Model, decoder: Any, inputs: Any, tokens: Any, lengths: Any | None = None) -> tuple[Any, Any, Any]:
    """An encoder reads a sequence, and from its final state a decoder writes tokens until it writes its `end`.

    inputs: [batch, steps, inputs]; lengths: integers [batch]; tokens: int64 [batch, any steps].
    Returns (loss, logits, predictions): the teacher-forced loss of the tokens; the logits [batch, max_steps,
    vocabulary] of greedy decoding, zero past a row's end, and its tokens [batch, max_steps], `end` past it.
    """
    state, loss = taught(model, decoder, inputs, tokens, lengths)
    decoded = decoder.decode(state, model.max_steps)
    rest = [0, model.max_steps - tf.shape(decoded.tokens)[1]]
    logits = tf.pad(decoded.logits, [[0, 0], rest, [0, 0]])
    past = tf.fill([tf.shape(inputs)[0], rest[1]], decoder.end)
    return loss, logits, tf.concat([decoded.tokens, past], axis=1)


def taught(
    model: Model, decoder: Any, inputs: Any, tokens: Any, lengths: Any | None = None, masks: Tensors | None = None
) -> tuple[dict[str, Any], Any]:
    """The first half of `speller`: the encoder's final state, each part [batch, width], and the teacher-forced loss.

    masks: those of `masks_of`, or None.
    """
    _, state = unroll(model.network, inputs, lengths, scope="encoder", masks=states.below("encoder/", masks))
    logits = decoder.teach(state, tokens, states.below("decoder/", masks))
    return state, decoder.loss(logits, tokens)
