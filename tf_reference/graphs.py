"""Construction phase: the graph of each program, with its placeholders. Execution phase: a graph and its session.

Weights go in and come out as NumPy arrays under canonical names (TF1's names and layouts, so nothing is transposed or
reshaped); each construction has its table of canonical name -> name of the variable in the graph.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Mapping

from tf_reference import decoding, losses, models, training, unrolling
from tf_reference.cells import basic_rnn
from tf_reference.sessions import Construction
from tf_reference.tf1 import tf

__all__ = [
    "decoding_graph",
    "in_top_k_graph",
    "model_graph",
    "rnn_graph",
    "two_step_graph",
]

CELL_TABLE = {"kernel": "rnn/basic_rnn_cell/kernel", "bias": "rnn/basic_rnn_cell/bias"}
STACKED_TABLE = dict(CELL_TABLE, **{"dense/kernel": "dense/kernel", "dense/bias": "dense/bias"})
WRAPPED_TABLE = {
    "kernel": "rnn/output_projection_wrapper/basic_rnn_cell/kernel",
    "bias": "rnn/output_projection_wrapper/basic_rnn_cell/bias",
    "dense/kernel": "rnn/output_projection_wrapper/kernel",
    "dense/bias": "rnn/output_projection_wrapper/bias",
}
DECODER_TABLE = {
    "kernel": "decoder/basic_rnn_cell/kernel",
    "bias": "decoder/basic_rnn_cell/bias",
    "dense/kernel": "dense/kernel",
    "dense/bias": "dense/bias",
}
SPELLER_TABLE = {
    "encoder/kernel": "encoder/basic_rnn_cell/kernel",
    "encoder/bias": "encoder/basic_rnn_cell/bias",
    "decoder/kernel": "decoder/basic_rnn_cell/kernel",
    "decoder/bias": "decoder/basic_rnn_cell/bias",
    "dense/kernel": "dense/kernel",
    "dense/bias": "dense/bias",
}
START = END = 0  # of the contract's spellers


def _variables(table: Mapping[str, str]) -> dict[str, Any]:
    """The trainable variables of the graph under their canonical names; the table names every one of them."""
    found = {variable.op.name: variable for variable in tf.trainable_variables()}
    if set(found) != set(table.values()):
        raise RuntimeError(f"the graph holds {sorted(found)}; its table expects {sorted(table.values())}")
    return {name: found[graph_name] for name, graph_name in table.items()}


def two_step_graph(cell: Any, inputs: int, dtype: str) -> Construction:
    """Program 1. cell: has units and activation."""
    x0 = tf.placeholder(dtype, [None, inputs], name="x0")
    x1 = tf.placeholder(dtype, [None, inputs], name="x1")
    kernel = tf.get_variable("kernel", [inputs + cell.units, cell.units], dtype)
    bias = tf.get_variable("bias", [cell.units], dtype, initializer=tf.zeros_initializer())
    wx, wy = kernel[:inputs], kernel[inputs:]
    y0, y1 = basic_rnn.two_step(x0, x1, wx, wy, bias, cell.activation)
    return Construction({"x0": x0, "x1": x1, "y0": y0, "y1": y1}, _variables({"kernel": "kernel", "bias": "bias"}))


def rnn_graph(
    cell: Any, inputs: int, dtype: str, steps: int | None, with_lengths: bool, backwards: bool
) -> Construction:
    """Programs 2 (steps given: unrolled statically), 3 and 4 (steps None: dynamically), and with `backwards` 6."""
    x = tf.placeholder(dtype, [None, steps, inputs], name="inputs")
    lengths = tf.placeholder(tf.int32, [None], name="lengths") if with_lengths else None
    rnn_cell = basic_rnn.basic_rnn_cell(cell.units, cell.activation, dtype)
    zero_state = rnn_cell.zero_state(tf.shape(x)[0], dtype)
    initial_state = tf.placeholder_with_default(zero_state, [None, cell.units], name="initial_state")
    tensors = {"inputs": x, "lengths": lengths, "initial_state": initial_state}
    if steps is None:
        outputs, state = unrolling.dynamic_rnn(rnn_cell, x, lengths, initial_state)
        tensors.update(outputs=outputs, state=state)
    else:
        output_list, state = unrolling.static_rnn(rnn_cell, tf.unstack(x, axis=1), lengths, initial_state)
        tensors.update(outputs=output_list, state=state)
        outputs = tf.stack(output_list, axis=1)
    variables = _variables(CELL_TABLE)
    if backwards:
        by_outputs = tf.placeholder_with_default(
            tf.zeros_like(outputs), [None, None, cell.units], name="output_gradients"
        )
        by_state = tf.placeholder_with_default(tf.zeros_like(state), [None, cell.units], name="state_gradient")
        sources = OrderedDict(variables, inputs=x, initial_state=initial_state)
        found = unrolling.gradients(outputs, state, by_outputs, by_state, list(sources.values()))
        tensors.update(output_gradients=by_outputs, state_gradient=by_state)
        tensors.update({"gradients/" + name: gradient for name, gradient in zip(sources, found)})
    return Construction(tensors, variables)


def in_top_k_graph(classes: int, dtype: str) -> Construction:
    """Program 7's measure, by itself."""
    logits = tf.placeholder(dtype, [None, classes], name="logits")
    targets = tf.placeholder(tf.int64, [None], name="targets")
    k = tf.placeholder(tf.int64, [], name="k")  # in the dtype of the targets
    return Construction({"logits": logits, "targets": targets, "k": k, "hits": losses.in_top_k(logits, targets, k)}, {})


def decoding_graph(cell: Any, vocabulary: int, embedding: int | None, dtype: str) -> Construction:
    """Greedy decoding, and teacher forcing with its gradients. embedding: values per token; None is one-hot.

    The gradient by the embedding, IndexedSlices of the rows that were fed, is asked for whole.
    """
    initial_state = tf.placeholder(dtype, [None, cell.units], name="initial_state")
    tokens = tf.placeholder(tf.int64, [None, None], name="tokens")
    given = {name: tf.placeholder(tf.int64, [], name=name) for name in ("start", "end", "max_steps")}
    settings = (vocabulary, cell.units, cell.activation, given["start"], given["end"], embedding, dtype)
    decoder = decoding.Decoder(*settings)
    loss = decoder.loss(decoder.teach(initial_state, tokens), tokens)
    decoded = decoder.decode(initial_state, given["max_steps"])
    variables = _variables(DECODER_TABLE if embedding is None else dict(DECODER_TABLE, embedding="embedding"))
    sources = OrderedDict(variables, initial_state=initial_state)
    gradients = tf.gradients(loss, list(sources.values()))
    tensors = dict(given, initial_state=initial_state, loss=loss, taught=tokens, **decoded._asdict())
    tensors.update({"gradients/" + name: tf.convert_to_tensor(g) for name, g in zip(sources, gradients)})
    return Construction(tensors, variables)


def model_graph(model: Any, dtype: str, with_lengths: bool, optimizer: Any | None = None) -> Construction:
    """Programs 7 and 8, and the speller: a model and its loss, and the loss's gradients, or the step of an optimizer.

    The optimizer's slots are among the variables, under TF1's names: "<weight>/Adam", "<weight>/Adam_1",
    "beta1_power", "beta2_power".
    """
    x = tf.placeholder(dtype, [None, None, model.inputs], name="inputs")
    lengths = tf.placeholder(tf.int32, [None], name="lengths") if with_lengths else None
    rnn_cell = basic_rnn.basic_rnn_cell(model.cell.units, model.cell.activation, dtype)
    tensors = {"inputs": x, "lengths": lengths}
    if model.kind == "classifier":
        y = tf.placeholder(tf.int64, [None], name="targets")
        logits = models.classifier(rnn_cell, x, model.outputs, lengths)
        loss = losses.cross_entropy(logits, y)
        tensors.update(forward=logits, predict=tf.argmax(logits, axis=1))
    elif model.kind == "speller":
        y = tf.placeholder(tf.int64, [None, None], name="targets")
        decoder = decoding.Decoder(model.outputs, model.cell.units, model.cell.activation, START, END, dtype=dtype)
        loss, logits, tokens = models.speller(rnn_cell, decoder, x, y, model.max_steps, lengths)
        tensors.update(forward=logits, predict=tokens)
    else:
        y = tf.placeholder(dtype, [None, None, model.outputs], name="targets")
        predictions = models.regressor(rnn_cell, x, model.outputs, model.projection, lengths)
        loss = losses.mean_square(predictions, y)
        tensors.update(forward=predictions, predict=predictions)
    tables = {"speller": SPELLER_TABLE, "regressor": WRAPPED_TABLE if model.projection == "wrapped" else STACKED_TABLE}
    variables = _variables(tables.get(model.kind, STACKED_TABLE))
    tensors.update(targets=y, loss=loss)
    if optimizer is None:
        gradients = tf.gradients(loss, list(variables.values()))
        tensors.update({"gradients/" + name: gradient for name, gradient in zip(variables, gradients)})
    else:
        tensors["training_op"], slots = training.adam(optimizer, loss, variables)
        variables = dict(variables, **slots)
    return Construction(tensors, variables)
