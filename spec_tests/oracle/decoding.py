"""Tokens until the end of sequence: greedy decoding and teacher forcing."""

from __future__ import annotations

import numpy as np

from spec_tests.oracle.arrays import Arrays, float64
from spec_tests.oracle.losses import cross_entropy
from spec_tests.oracle.unrolling import bptt, over_time, unroll, valid_steps
from unrolled.networks import Network


def _embedding(weights: Arrays) -> np.ndarray:
    """What each token puts in: [vocabulary, inputs], by default one-hot."""
    return weights["embedding"] if "embedding" in weights else np.eye(weights["dense/bias"].size)


def decode(
    network: Network, weights: Arrays, initial_state: Arrays, start: int, end: int, max_steps: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, Arrays]:
    """y, s = step(E[token], s), a sequence of one step; token = argmax(y K + c); frozen once a row's token is `end`.

    Returns (tokens [batch, steps], lengths, finished, outputs [batch, steps, output_size], state).
    """
    w, state = float64(weights), float64(initial_state)
    batch = len(next(iter(state.values())))
    token, lengths, finished = np.full(batch, start), np.zeros(batch, np.int64), np.zeros(batch, bool)
    tokens: list[np.ndarray] = []
    outputs: list[np.ndarray] = []
    while len(tokens) < max_steps and not finished.all():
        going = ~finished
        valid = going[:, None, None]
        y, state, _ = over_time(network, w, np.where(valid, _embedding(w)[token][:, None], 0.0), valid, state, {})
        outputs.append(y[:, 0])
        token = np.where(going, (outputs[-1] @ w["dense/kernel"] + w["dense/bias"]).argmax(axis=1), end)
        tokens.append(token)
        lengths += going
        finished = finished | (token == end)
    return np.stack(tokens, axis=1), lengths, finished, np.stack(outputs, axis=1), state


def token_lengths(tokens: np.ndarray, end: int) -> np.ndarray:
    """The valid steps of each row: up to and with its first `end`, all of them where there is none."""
    ends = np.asarray(tokens) == end
    return np.where(ends.any(axis=1), ends.argmax(axis=1) + 1, tokens.shape[1])


def decode_gradients(
    network: Network, weights: Arrays, initial_state: Arrays, start: int, end: int, tokens: np.ndarray
) -> tuple[float, Arrays]:
    """Teacher forcing: x_t = E[token_t-1], token_-1 = start; n = number of valid steps in the batch;

    loss = 1/n sum over valid steps of log(sum(exp(z_t))) - z_t[token_t], with z_t = y_t K + c;
    dz_t = (softmax(z_t) - onehot(token_t)) / n on valid steps, then `bptt`; dE[token] = sum of dx where it was fed.
    """
    w, lengths = float64(weights), token_lengths(tokens, end)
    fed = np.concatenate([np.full((len(tokens), 1), start), tokens[:, :-1]], axis=1)
    x = _embedding(w)[fed]
    outputs, _ = unroll(network, w, x, lengths, initial_state)
    valid = valid_steps(x, lengths)[:, :, 0]
    value, dz_valid = cross_entropy(outputs[valid] @ w["dense/kernel"] + w["dense/bias"], np.asarray(tokens)[valid])
    dz = np.zeros(fed.shape + w["dense/bias"].shape)
    dz[valid] = dz_valid
    gradients = bptt(network, w, x, dz @ w["dense/kernel"].T, lengths=lengths, initial_state=initial_state)
    dx = gradients.pop("inputs")
    gradients["dense/kernel"] = np.einsum("btu,btv->uv", outputs, dz)
    gradients["dense/bias"] = dz.sum(axis=(0, 1))
    if "embedding" in w:
        gradients["embedding"] = np.zeros_like(w["embedding"])
        np.add.at(gradients["embedding"], fed, dx)
    return value, gradients
