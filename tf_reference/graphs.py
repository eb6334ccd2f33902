"""Construction phase: the graph of each program, with its placeholders. Execution phase: a graph and its session.

Weights go in and come out as NumPy arrays under canonical names (TF1's names and layouts, so nothing is transposed or
reshaped); each construction has its table of canonical name -> name of the variable in the graph.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import Any, Callable, Iterable, Mapping, NamedTuple

import numpy as np

from tf_reference import cells, decoding, models, training, unrolling
from tf_reference.tf1 import quiet_warnings, tf

__all__ = [
    "Construction",
    "Graph",
    "GraphCache",
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


class Construction(NamedTuple):
    """A built graph: what can be fed and fetched, by name (a value may be a list of tensors), and its variables."""

    tensors: dict[str, Any]
    variables: dict[str, Any]


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
    y0, y1 = cells.two_step(x0, x1, wx, wy, bias, cell.activation)
    return Construction({"x0": x0, "x1": x1, "y0": y0, "y1": y1}, _variables({"kernel": "kernel", "bias": "bias"}))


def rnn_graph(
    cell: Any, inputs: int, dtype: str, steps: int | None, with_lengths: bool, backwards: bool
) -> Construction:
    """Programs 2 (steps given: unrolled statically), 3 and 4 (steps None: dynamically), and with `backwards` 6."""
    x = tf.placeholder(dtype, [None, steps, inputs], name="inputs")
    lengths = tf.placeholder(tf.int32, [None], name="lengths") if with_lengths else None
    rnn_cell = cells.basic_rnn_cell(cell.units, cell.activation, dtype)
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
    return Construction({"logits": logits, "targets": targets, "k": k, "hits": models.in_top_k(logits, targets, k)}, {})


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
    rnn_cell = cells.basic_rnn_cell(model.cell.units, model.cell.activation, dtype)
    tensors = {"inputs": x, "lengths": lengths}
    if model.kind == "classifier":
        y = tf.placeholder(tf.int64, [None], name="targets")
        logits = models.classifier(rnn_cell, x, model.outputs, lengths)
        loss = models.cross_entropy(logits, y)
        tensors.update(forward=logits, predict=tf.argmax(logits, axis=1))
    elif model.kind == "speller":
        y = tf.placeholder(tf.int64, [None, None], name="targets")
        decoder = decoding.Decoder(model.outputs, model.cell.units, model.cell.activation, START, END, dtype=dtype)
        loss, logits, tokens = models.speller(rnn_cell, decoder, x, y, model.max_steps, lengths)
        tensors.update(forward=logits, predict=tokens)
    else:
        y = tf.placeholder(dtype, [None, None, model.outputs], name="targets")
        predictions = models.regressor(rnn_cell, x, model.outputs, model.projection, lengths)
        loss = models.mean_square(predictions, y)
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


class Graph:
    """A graph of its own and a session on it. Arrays go in and come out by name.

    build: makes the construction, in the new default graph. config: a tf.ConfigProto. seed: the graph-level seed of
    the initializers.
    """

    def __init__(self, build: Callable[[], Construction], config: Any, seed: int | None = None) -> None:
        self.graph = tf.Graph()
        with self.graph.as_default(), quiet_warnings():
            if seed is not None:
                tf.set_random_seed(seed)
            self.tensors, self.variables = build()
            self._values = {name: tf.placeholder(v.dtype.base_dtype, v.shape) for name, v in self.variables.items()}
            self._assign = {name: tf.assign(v, self._values[name]) for name, v in self.variables.items()}
            self._init = tf.global_variables_initializer()
        self._session = tf.Session(graph=self.graph, config=config)

    def initialize(self) -> None:
        """Every variable to its initial value: weights drawn, slots zero, beta powers the betas."""
        self._session.run(self._init)

    def load(self, values: Mapping[str, np.ndarray]) -> None:
        """Variables by canonical name; the others stay as they are."""
        self._session.run(
            [self._assign[name].op for name in values], {self._values[name]: value for name, value in values.items()}
        )

    def read(self, names: Iterable[str]) -> dict[str, np.ndarray]:
        """Variables by canonical name."""
        values = self._session.run({name: self.variables[name] for name in names})
        return {name: np.asarray(value) for name, value in values.items()}  # of [], a session gives a scalar

    def run(self, fetches: Iterable[str], feeds: Mapping[str, np.ndarray | None]) -> list[Any]:
        """The values of tensors by name; a feed that is None stands for "not given".

        Raises ValueError, with TensorFlow's own reason, for values that the graph refuses.
        """
        feed_dict = {self.tensors[name]: value for name, value in feeds.items() if value is not None}
        try:
            return self._session.run([self.tensors[name] for name in fetches], feed_dict=feed_dict)
        except tf.errors.InvalidArgumentError as error:
            raise ValueError(f"TensorFlow refused the values: {_reason(error.message)}") from None

    def close(self) -> None:
        self._session.close()


def _reason(message: str) -> str:
    """The line of an error's message that says why: the one before the node, "[[...]]"; 2.x puts a stack before it."""
    found = re.search(r"([^\n]+)\n\s*\[\[", message)
    return found.group(1) if found else message.splitlines()[0]


class GraphCache:
    """Graphs with their sessions by what determines them; of more than `size`, the one longest unused is closed."""

    def __init__(self, config: Any, size: int = 64) -> None:
        self._config = config
        self._size = size
        self._graphs: OrderedDict[tuple[Any, ...], Graph] = OrderedDict()

    def __len__(self) -> int:
        return len(self._graphs)

    def get(self, construct: Callable[..., Construction], *arguments: Any) -> Graph:
        """The graph that construct(*arguments) builds; the arguments are hashable."""
        key = (construct, arguments)
        if key in self._graphs:
            self._graphs.move_to_end(key)
            return self._graphs[key]
        graph = Graph(lambda: construct(*arguments), self._config)
        graph.initialize()
        self._graphs[key] = graph
        if len(self._graphs) > self._size:
            self._graphs.popitem(last=False)[1].close()
        return graph
