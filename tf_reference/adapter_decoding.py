"""The adapter's part for decoding: NumPy arrays and plain values in and out of `graphs.decoding_graph`."""

from __future__ import annotations

from typing import Any, Dict

import numpy as np

from tf_reference import checks
from tf_reference.graphs import decoding_graph
from tf_reference.sessions import Graph, GraphCache

Arrays = Dict[str, np.ndarray]


class DecodingMethods:
    """Methods of the backend. weights: the cell's, "dense/kernel", "dense/bias", and "embedding" unless one-hot.

    initial_state: [batch, units]. start, end: tokens. Every argument that breaks a rule raises ValueError.
    """

    _graphs: GraphCache

    def decode(
        self, cell: Any, weights: Arrays, initial_state: np.ndarray, start: int, end: int, max_steps: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Greedy decoding -> (tokens [batch, steps], lengths [batch], finished [batch], outputs [batch, steps, units],
        state [batch, units])."""
        graph, feeds, _ = self._decoding(cell, weights, initial_state, start, end)
        feeds["max_steps"] = np.array(checks.check_integer("max_steps", max_steps, 1))
        tokens, lengths, finished, outputs, state = graph.run(
            ["tokens", "lengths", "finished", "outputs", "state"], feeds
        )
        return tokens, lengths, finished, outputs, state

    def decode_gradients(
        self, cell: Any, weights: Arrays, initial_state: np.ndarray, start: int, end: int, tokens: np.ndarray
    ) -> tuple[float, Arrays]:
        """Teacher forcing on integers tokens [batch, steps] -> (loss, gradients by weight, and "initial_state")."""
        graph, feeds, vocabulary = self._decoding(cell, weights, initial_state, start, end)
        feeds["taught"] = checks.check_tokens("tokens", tokens, len(initial_state), vocabulary)
        names = [*weights, "initial_state"]
        found = graph.run(["loss"] + ["gradients/" + name for name in names], feeds)
        return float(found[0]), dict(zip(names, found[1:]))

    def _decoding(
        self, cell: Any, weights: Arrays, initial_state: np.ndarray, start: int, end: int
    ) -> tuple[Graph, dict[str, Any], int]:
        """The decoder's graph with these weights, what to feed it, and the size of the vocabulary."""
        checks.check_cell(cell)
        vocabulary, embedding = checks.decoding_sizes(weights)
        dtype = checks.check_weights(weights, checks.decoding_shapes(cell.units, vocabulary, embedding))
        checks.check_array("initial_state", initial_state, dtype, ("batch", cell.units))
        feeds: dict[str, Any] = {"initial_state": initial_state}
        for name, token in (("start", start), ("end", end)):
            feeds[name] = np.array(checks.check_token(name, token, vocabulary))
        graph = self._graphs.get(decoding_graph, cell, vocabulary, embedding, dtype.name)
        graph.load(weights)
        return graph, feeds, vocabulary
