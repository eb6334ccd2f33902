"""The adapter's part for decoding: NumPy arrays and plain values in and out of `decoding.Decoder`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import skip_init

from torch_impl.arrays import dtype_of, floats_like, integers, to_numpy
from torch_impl.decoding import Decoder

Arrays = dict[str, np.ndarray]


class DecodingMethods:
    """Methods of the backend. weights: the cell's, "dense/kernel", "dense/bias", and "embedding" unless one-hot.

    initial_state: [batch, units]. start, end: tokens. Every argument that breaks a rule raises ValueError.
    """

    device: torch.device

    def decode(
        self, cell: Any, weights: Arrays, initial_state: np.ndarray, start: int, end: int, max_steps: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Greedy decoding -> (tokens [batch, steps], lengths [batch], finished [batch], outputs [batch, steps, units],
        state [batch, units])."""
        module, state = self._decoder(cell, weights, initial_state, start, end)
        if isinstance(max_steps, bool) or not isinstance(max_steps, (int, np.integer)) or max_steps < 1:
            raise ValueError(f"max_steps must be an integer of at least 1, got {max_steps!r}")
        tokens, lengths, finished, outputs, last, _ = module.decode(state, int(max_steps))
        return to_numpy(tokens), to_numpy(lengths), to_numpy(finished), to_numpy(outputs), to_numpy(last)

    def decode_gradients(
        self, cell: Any, weights: Arrays, initial_state: np.ndarray, start: int, end: int, tokens: np.ndarray
    ) -> tuple[float, Arrays]:
        """Teacher forcing on integers tokens [batch, steps] -> (loss, gradients by weight, and "initial_state")."""
        module, state = self._decoder(cell, weights, initial_state, start, end)
        targets = integers("tokens", tokens).to(self.device)
        state.requires_grad_()
        loss = module.loss(module(state, targets), targets)
        loss.backward()
        assert state.grad is not None
        return float(loss.detach()), {**module.canonical_gradients(), "initial_state": to_numpy(state.grad)}

    def _decoder(
        self, cell: Any, weights: Mapping[str, Any], initial_state: Any, start: Any, end: Any
    ) -> tuple[Decoder, Tensor]:
        """The module with these weights, and the initial state as a tensor."""
        if cell.kind != "basic_rnn":
            raise ValueError(f"cell.kind must be 'basic_rnn', got {cell.kind!r}")
        vocabulary = _size(weights, "dense/bias", 1)[0]
        embedding = _size(weights, "embedding", 2)[1] if "embedding" in weights else None
        tokens = (_token("start", start, vocabulary), _token("end", end, vocabulary))
        settings = {"device": self.device, "dtype": dtype_of(weights)}
        module = skip_init(Decoder, vocabulary, cell.units, cell.activation, *tokens, embedding, **settings)
        module.load_canonical(weights)
        return module, floats_like("initial_state", initial_state, module.dense.bias, ("batch", cell.units))


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
