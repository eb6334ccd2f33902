"""Execution phase: a graph and its session; graphs kept by what determines them."""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import Any, Callable, Iterable, Mapping, NamedTuple

import numpy as np

from tf_reference.tf1 import quiet_warnings, tf


class Construction(NamedTuple):
    """A built graph: what can be fed and fetched, by name (tensors, lists and dicts of tensors), and its variables."""

    tensors: dict[str, Any]
    variables: dict[str, Any]


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
            raise ValueError("TensorFlow refused the values: %s" % _reason(error.message)) from None

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
