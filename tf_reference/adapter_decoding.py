"""The adapter's part for decoding: NumPy arrays and plain values in and out of `graphs.decoding_graph`."""

from __future__ import annotations

from typing import Dict

import numpy as np

from tf_reference import checks
from tf_reference.build import KINDS
from tf_reference.graphs import decoding_graph
from tf_reference.sessions import Graph, GraphCache
from unrolled.networks import Network

Array = np.ndarray
Arrays = Dict[str, Array]


class DecodingMethods:
    """Methods of the backend. weights: the network's, "dense/kernel", "dense/bias", and "embedding" unless one-hot.

    initial_state: whole. start, end: tokens. Every argument that breaks a rule raises ValueError.
    """

    _graphs: GraphCache

    def decode(
        self, network: Network, weights: Arrays, initial_state: Arrays, start: int, end: int, max_steps: int
    ) -> tuple[Array, Array, Array, Array, Arrays]:
        """Greedy decoding -> (tokens [batch, steps], lengths [batch], finished [batch], outputs [batch, steps,
        output_size], final state)."""
        graph, feeds = self._decoding(network, weights, initial_state, start, end)
        feeds["max_steps"] = np.array(checks.check_integer("max_steps", max_steps, 1))
        tokens, lengths, finished, outputs, state = graph.run(
            ["tokens", "lengths", "finished", "outputs", "state"], feeds
        )
        return tokens, lengths, finished, outputs, state

    def decode_gradients(
        self, network: Network, weights: Arrays, initial_state: Arrays, start: int, end: int, tokens: Array
    ) -> tuple[float, Arrays]:
        """Teacher forcing on integers tokens [batch, steps] -> (loss, gradients by weights and initial state)."""
        graph, feeds = self._decoding(network, weights, initial_state, start, end)
        batch, vocabulary = len(next(iter(initial_state.values()))), len(weights["dense/bias"])
        feeds["taught"] = checks.check_tokens("tokens", tokens, batch, vocabulary)
        loss, gradients = graph.run(["loss", "gradients"], feeds)
        return float(loss), gradients

    def _decoding(
        self, network: Network, weights: Arrays, initial_state: Arrays, start: int, end: int
    ) -> tuple[Graph, dict[str, Array]]:
        """The decoder's graph with these weights, and what to feed it."""
        checks.check_kind(network, KINDS, stepwise=True)
        vocabulary, embedding = checks.decoding_sizes(weights)
        dtype = checks.check_weights(weights, checks.decoding_shapes(network, vocabulary, embedding))
        feeds = checks.check_state("initial_state", initial_state, network, dtype, "batch")
        for name, token in (("start", start), ("end", end)):
            feeds[name] = np.array(checks.check_token(name, token, vocabulary))
        graph = self._graphs.get(decoding_graph, network, vocabulary, embedding, dtype.name)
        graph.load(weights)
        return graph, feeds
