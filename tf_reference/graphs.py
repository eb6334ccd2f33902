"""Construction phase: the graph of each program, with its placeholders.

Weights go in and come out as NumPy arrays under canonical names (TF1's names and layouts, so nothing is transposed or
reshaped); each construction has its table of canonical name -> name of the variable in the graph. A state is fed by its
parts ("initial_state/h"); states and gradients are fetched as dicts by name.
"""

from __future__ import annotations

from typing import Any, Mapping

from tf_reference import decoding, losses, models, training, unrolling
from tf_reference.cells import basic_rnn
from tf_reference.sessions import Construction
from tf_reference.tf1 import tf
from unrolled.models import END, START, Model
from unrolled.networks import BasicRNN, Network, prefixed
from unrolled.programs import Adam

__all__ = ["decoding_graph", "in_top_k_graph", "model_graph", "rnn_graph", "two_step_graph"]

DENSE = {"dense/kernel": "dense/kernel", "dense/bias": "dense/bias"}
WRAPPER = "rnn/output_projection_wrapper"
WRAPPED_DENSE = {"dense/kernel": WRAPPER + "/kernel", "dense/bias": WRAPPER + "/bias"}


def _model_table(model: Model) -> dict[str, str]:
    if model.kind == "speller":
        encoder, decoder = (unrolling.variables(model.network, scope) for scope in ("encoder", "decoder"))
        return dict(prefixed("encoder/", encoder), **prefixed("decoder/", decoder), **DENSE)
    if model.projection == "wrapped":
        return dict(unrolling.variables(model.network, WRAPPER), **WRAPPED_DENSE)
    return dict(unrolling.variables(model.network), **DENSE)


def _variables(table: Mapping[str, str]) -> dict[str, Any]:
    """The trainable variables of the graph under their canonical names; the table names every one of them."""
    found = {variable.op.name: variable for variable in tf.trainable_variables()}
    if set(found) != set(table.values()):
        raise RuntimeError("the graph holds %s; its table expects %s" % (sorted(found), sorted(table.values())))
    return {name: found[graph_name] for name, graph_name in table.items()}


def _gradients(loss: Any, sources: Mapping[str, Any]) -> dict[str, Any]:
    """By name; the gradient by an embedding, IndexedSlices of the rows that were fed, is asked for whole."""
    found = tf.gradients(loss, list(sources.values()))
    return {name: tf.convert_to_tensor(gradient) for name, gradient in zip(sources, found)}


def two_step_graph(network: BasicRNN, inputs: int, dtype: str) -> Construction:
    """Program 1."""
    x0 = tf.placeholder(dtype, [None, inputs], name="x0")
    x1 = tf.placeholder(dtype, [None, inputs], name="x1")
    for name, weight in network.weights(inputs).items():
        tf.get_variable(name, weight.shape, dtype)
    variables = _variables({"kernel": "kernel", "bias": "bias"})
    wx, wy = variables["kernel"][:inputs], variables["kernel"][inputs:]
    y0, y1 = basic_rnn.two_step(x0, x1, wx, wy, variables["bias"], network.activation)
    return Construction({"x0": x0, "x1": x1, "y0": y0, "y1": y1}, variables)


def rnn_graph(
    network: Network, inputs: int, dtype: str, steps: int | None, with_lengths: bool, backwards: bool
) -> Construction:
    """Programs 2 (steps given: unrolled statically), 3 and 4 (steps None: dynamically), and with `backwards` 6."""
    x = tf.placeholder(dtype, [None, steps, inputs], name="inputs")
    lengths = tf.placeholder(tf.int32, [None], name="lengths") if with_lengths else None
    zeros = {name: tf.zeros([tf.shape(x)[0], width], dtype) for name, width in network.state.items()}
    initial_state = _state_placeholders("initial_state", zeros)
    static = steps is not None
    sequence = tf.unstack(x, axis=1) if static else x
    outputs, state = unrolling.unroll(network, sequence, lengths, initial_state, static)
    initial = prefixed("initial_state/", initial_state)
    tensors = dict(initial, inputs=x, lengths=lengths, outputs=outputs, state=state)
    variables = _variables(unrolling.variables(network, static=static))
    if backwards:
        outputs = tf.stack(outputs, axis=1) if static else outputs
        by_outputs = tf.placeholder_with_default(
            tf.zeros_like(outputs), [None, None, network.output_size], name="output_gradients"
        )
        by_state = _state_placeholders("state_gradients", zeros)
        tensors.update(prefixed("state_gradients/", by_state), output_gradients=by_outputs)
        sources = dict(variables, inputs=x, **initial)
        found = unrolling.gradients(outputs, state, by_outputs, by_state, list(sources.values()))
        tensors["gradients"] = dict(zip(sources, found))
    return Construction(tensors, variables)


def _state_placeholders(name: str, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """A placeholder for each part of a state; defaults: the parts that hold where none are fed."""
    return {
        part: tf.placeholder_with_default(default, default.shape, name=name + "/" + part)
        for part, default in defaults.items()
    }


def in_top_k_graph(classes: int, dtype: str) -> Construction:
    """Program 7's measure, by itself."""
    logits = tf.placeholder(dtype, [None, classes], name="logits")
    targets = tf.placeholder(tf.int64, [None], name="targets")
    k = tf.placeholder(tf.int64, [], name="k")  # in the dtype of the targets
    return Construction({"logits": logits, "targets": targets, "k": k, "hits": losses.in_top_k(logits, targets, k)}, {})


def decoding_graph(network: Network, vocabulary: int, embedding: int | None, dtype: str) -> Construction:
    """Greedy decoding, and teacher forcing with its gradients. embedding: values per token; None is one-hot."""
    initial_state = {
        name: tf.placeholder(dtype, [None, width], name="initial_state/" + name)
        for name, width in network.state.items()
    }
    tokens = tf.placeholder(tf.int64, [None, None], name="tokens")
    given = {name: tf.placeholder(tf.int64, [], name=name) for name in ("start", "end", "max_steps")}
    decoder = decoding.Decoder(network, vocabulary, given["start"], given["end"], embedding, dtype)
    loss = decoder.loss(decoder.teach(initial_state, tokens), tokens)
    decoded = decoder.decode(initial_state, given["max_steps"])
    table = dict(unrolling.variables(network, "decoder"), **DENSE)
    variables = _variables(table if embedding is None else dict(table, embedding="embedding"))
    initial = prefixed("initial_state/", initial_state)
    tensors = dict(given, loss=loss, taught=tokens, **initial, **decoded._asdict())
    tensors["gradients"] = _gradients(loss, dict(variables, **initial))
    return Construction(tensors, variables)


def model_graph(model: Model, dtype: str, with_lengths: bool, optimizer: Adam | None = None) -> Construction:
    """Programs 7 and 8, and the speller: a model and its loss, and the loss's gradients, or the step of an optimizer.

    The optimizer's slots are among the variables, under TF1's names: "<weight>/Adam", "<weight>/Adam_1",
    "beta1_power", "beta2_power".
    """
    x = tf.placeholder(dtype, [None, None, model.inputs], name="inputs")
    lengths = tf.placeholder(tf.int32, [None], name="lengths") if with_lengths else None
    tensors = {"inputs": x, "lengths": lengths}
    if model.kind == "classifier":
        y = tf.placeholder(tf.int64, [None], name="targets")
        logits = models.classifier(model.network, x, model.outputs, lengths)
        loss = losses.cross_entropy(logits, y)
        tensors.update(forward=logits, predict=tf.argmax(logits, axis=1))
    elif model.kind == "speller":
        y = tf.placeholder(tf.int64, [None, None], name="targets")
        decoder = decoding.Decoder(model.network, model.outputs, START, END, dtype=dtype)
        loss, logits, tokens = models.speller(model.network, decoder, x, y, model.max_steps, lengths)
        tensors.update(forward=logits, predict=tokens)
    else:
        y = tf.placeholder(dtype, [None, None, model.outputs], name="targets")
        predictions = models.regressor(model.network, x, model.outputs, model.projection, lengths)
        loss = losses.mean_square(predictions, y)
        tensors.update(forward=predictions, predict=predictions)
    variables = _variables(_model_table(model))
    tensors.update(targets=y, loss=loss)
    if optimizer is None:
        tensors["gradients"] = _gradients(loss, variables)
    else:
        tensors["training_op"], slots = training.adam(optimizer, loss, variables)
        variables = dict(variables, **slots)
    return Construction(tensors, variables)
