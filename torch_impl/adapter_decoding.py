"""The adapter's part for decoding: NumPy arrays and plain values in and out of `decoding.Decoder`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from torch_impl import build, states
from torch_impl.arrays import integers, state_of, to_numpy
from torch_impl.decoding import Decoder
from torch_impl.states import State
from torch_impl.unrolling.module import Recurrent
from unrolled.networks import Network

Arrays = dict[str, np.ndarray]


class DecodingMethods:
    """Methods of the backend. weights: the network's, "dense/kernel", "dense/bias", and "embedding" unless one-hot.

    initial_state: each part [batch, width]. start, end: tokens. Every argument that breaks a rule raises ValueError.
    """

    device: torch.device

    def decode(
        self, network: Network, weights: Arrays, initial_state: Arrays, start: int, end: int, max_steps: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, Arrays]:
        """Greedy decoding -> (tokens [batch, steps], lengths [batch], finished [batch], outputs [batch, steps, width],
        state)."""
        module, state = self._decoder(network, weights, initial_state, start, end)
        if isinstance(max_steps, bool) or not isinstance(max_steps, (int, np.integer)) or max_steps < 1:
            raise ValueError(f"max_steps must be an integer of at least 1, got {max_steps!r}")
        tokens, lengths, finished, outputs, last, _ = module.decode(state, int(max_steps))
        return to_numpy(tokens), to_numpy(lengths), to_numpy(finished), to_numpy(outputs), state_arrays(network, last)

    def decode_gradients(
        self, network: Network, weights: Arrays, initial_state: Arrays, start: int, end: int, tokens: np.ndarray
    ) -> tuple[float, Arrays]:
        """Teacher forcing on integers tokens [batch, steps] -> (loss, gradients by weight, and "initial_state/...")."""
        module, state = self._decoder(network, weights, initial_state, start, end)
        targets = integers("tokens", tokens).to(self.device)
        state = states.mapped(torch.Tensor.requires_grad_, state)
        loss = module.loss(module(state, targets), targets)
        loss.backward()
        return float(loss.detach()), {**module.canonical_gradients(), **initial_gradients(network, state)}

    def _decoder(
        self, network: Network, weights: Mapping[str, Any], initial_state: Any, start: Any, end: Any
    ) -> tuple[Decoder, State]:
        """The module with these weights, and the initial state."""
        vocabulary = _size(weights, "dense/bias", 1)[0]
        embedding = _size(weights, "embedding", 2)[1] if "embedding" in weights else None
        tokens = (_token("start", start, vocabulary), _token("end", end, vocabulary))
        rnn = Recurrent(build.cell(network, embedding or vocabulary, "meta"))
        module = build.filled(Decoder(rnn, vocabulary, *tokens, embedding), weights, self.device).eval()
        return module, state_of(network, initial_state, "batch", module.dense.weight)


def state_arrays(network: Network, state: State) -> Arrays:
    """A state as the contract gives it."""
    return {name: to_numpy(part) for name, part in states.parts(network, state).items()}


def initial_gradients(network: Network, state: State) -> Arrays:
    """The gradients by an initial state, under the contract's names."""
    found = states.parts(network, state).items()
    return {
        f"initial_state/{name}": to_numpy(torch.zeros_like(part) if part.grad is None else part.grad)
        for name, part in found
    }


def _size(weights: Mapping[str, Any], name: str, rank: int) -> tuple[int, ...]:
    """The shape of a weight that others are measured by."""
    found = weights.get(name)
    if not isinstance(found, np.ndarray) or found.ndim != rank or 0 in found.shape:
        shown = (
            "none" if found is None else list(found.shape) if isinstance(found, np.ndarray) else type(found).__name__
        )
        raise ValueError(f"weight {name!r} must be an array of rank {rank}, no size 0, got {shown}")
    return found.shape


def _token(name: str, value: Any, vocabulary: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not 0 <= value < vocabulary:
        raise ValueError(f"{name} must be a token, an integer from 0 to {vocabulary - 1}, got {value!r}")
    return int(value)
