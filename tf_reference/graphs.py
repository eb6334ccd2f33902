"""Construction phase: the graph of each program, with its placeholders.

Weights go in and come out as NumPy arrays under canonical names (TF1's names and layouts, so nothing is transposed or
reshaped); each construction has its table of canonical name -> name of the variable in the graph. A state is fed by its
parts ("initial_state/h"); states and gradients are fetched as dicts by name.
"""

from __future__ import annotations

from typing import Any, Mapping, NamedTuple

from tf_reference import decoding, losses, models, training, unrolling
from tf_reference.cells import basic_rnn
from tf_reference.sessions import Construction
from tf_reference.tf1 import tf
from unrolled.models import END, START, Model
from unrolled.networks import BasicRNN, Masks, Network, prefixed
from unrolled.programs import Adam

__all__ = ["decoding_graph", "in_top_k_graph", "model_graph", "rnn_graph", "two_step_graph"]

DENSE = {"dense/kernel": "dense/kernel", "dense/bias": "dense/bias"}  # of a decoder
WRAPPER = "rnn/output_projection_wrapper"
WRAPPED_DENSE = {"dense/kernel": WRAPPER + "/kernel", "dense/bias": WRAPPER + "/bias"}


def _model_table(model: Model) -> dict[str, str]:
    """The networks' variables by their own table; the embedding and the dense layers are called as their weights."""
    if model.kind == "speller":
        encoder, decoder = (unrolling.variables(model.network, scope) for scope in ("encoder", "decoder"))
        table = dict(prefixed("encoder/", encoder), **prefixed("decoder/", decoder))
    elif model.projection == "wrapped":
        table = dict(unrolling.variables(model.network, WRAPPER), **WRAPPED_DENSE)
    else:
        table = unrolling.variables(model.network)
    return {name: table.get(name, name) for name in model.weights()}


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
    network: Network,
    inputs: int,
    dtype: str,
    steps: int | None,
    with_lengths: bool,
    with_masks: bool,
    backwards: bool,
) -> Construction:
    """Programs 2 (steps given: unrolled statically), 3 and 4 (steps None: dynamically), and with `backwards` 6."""
    x = tf.placeholder(dtype, [None, steps, inputs], name="inputs")
    lengths = tf.placeholder(tf.int32, [None], name="lengths") if with_lengths else None
    zeros = {name: tf.zeros([tf.shape(x)[0], width], dtype) for name, width in network.state.items()}
    initial_state = _state_placeholders("initial_state", zeros)
    masks = _mask_placeholders(network.masks(inputs) if with_masks else {}, dtype, steps)
    static = steps is not None
    sequence = tf.unstack(x, axis=1) if static else x
    outputs, state = unrolling.unroll(network, sequence, lengths, initial_state, static, masks=masks)
    initial = prefixed("initial_state/", initial_state)
    tensors = dict(initial, inputs=x, lengths=lengths, outputs=outputs, state=state, **prefixed("masks/", masks))
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


def _mask_placeholders(masks: Masks, dtype: str, steps: int | None = None) -> dict[str, Any]:
    """A placeholder for each mask, by its name."""
    return {
        name: tf.placeholder(dtype, [None, steps, mask.width] if mask.per_step else [mask.width], name="masks/" + name)
        for name, mask in masks.items()
    }


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


class _Head(NamedTuple):
    """What a kind of model has in its graph: a placeholder for its targets, its loss, and its results."""

    targets: Any
    loss: Any
    forward: Any = None
    predict: Any = None


Masked = Mapping[str, Any]


def _classifier(model: Model, x: Any, lengths: Any | None, masks: Masked) -> _Head:
    y = tf.placeholder(tf.int64, [None], name="targets")
    logits = models.classifier(model, x, lengths, masks)
    return _Head(y, losses.cross_entropy(logits, y), logits, tf.argmax(logits, axis=1))


def _regressor(model: Model, x: Any, lengths: Any | None, masks: Masked) -> _Head:
    y = tf.placeholder(x.dtype, [None, None, model.outputs], name="targets")
    predictions = models.regressor(model, x, lengths, masks)
    return _Head(y, losses.mean_square(predictions, y), predictions, predictions)


def _tagger(model: Model, x: Any, lengths: Any | None, masks: Masked) -> _Head:
    y = tf.placeholder(tf.int64, [None, None], name="targets")
    logits = models.tagger(model, x, lengths, masks)
    classes = tf.argmax(logits, axis=2)
    valid = tf.ones_like(classes, tf.bool) if lengths is None else tf.sequence_mask(lengths, tf.shape(classes)[1])
    loss = losses.valid_cross_entropy(logits, y, valid)
    return _Head(y, loss, logits, tf.where(valid, classes, tf.zeros_like(classes)))


def _speller(model: Model, x: Any, lengths: Any | None, masks: Masked) -> _Head:
    y = tf.placeholder(tf.int64, [None, None], name="targets")
    decoder = decoding.Decoder(model.network, model.outputs, START, END, dtype=x.dtype)
    if masks:
        return _Head(y, models.taught(model, decoder, x, y, lengths, masks)[1])
    return _Head(y, *models.speller(model, decoder, x, y, lengths))


_HEADS = {"classifier": _classifier, "regressor": _regressor, "tagger": _tagger, "speller": _speller}


def model_graph(
    model: Model, dtype: str, with_lengths: bool, optimizer: Adam | None = None, with_masks: bool = False
) -> Construction:
    """Programs 7 and 8, tagger and speller: a model and its loss, and its gradients or the step of an optimizer.

    with_masks: the graph is for training alone, and takes the masks of `models.masks_of`, "masks/..."; without them
    nothing is dropped. The optimizer's slots are among the variables, under TF1's names: "<weight>/Adam",
    "<weight>/Adam_1", "beta1_power", "beta2_power".
    """
    shape = [None, None] if model.embedding else [None, None, model.inputs]
    given = tf.placeholder(tf.int64 if model.embedding else dtype, shape, name="inputs")
    lengths = tf.placeholder(tf.int32, [None], name="lengths") if with_lengths else None
    with tf.variable_scope("encoder" if model.kind == "speller" else ""):
        x = models.embedded(model, given, dtype)
    masks = _mask_placeholders(models.masks_of(model) if with_masks else {}, dtype)
    head = _HEADS[model.kind](model, x, lengths, masks)
    variables = _variables(_model_table(model))
    tensors = dict(head._asdict(), inputs=given, lengths=lengths, **prefixed("masks/", masks))
    if optimizer is None:
        tensors["gradients"] = _gradients(head.loss, variables)
    else:
        tensors["training_op"], slots = training.adam(optimizer, head.loss, variables)
        variables = dict(variables, **slots)
    return Construction(tensors, variables)
