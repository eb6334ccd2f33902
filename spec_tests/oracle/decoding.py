"""Tokens until the end of sequence: greedy decoding and teacher forcing."""

from __future__ import annotations

import numpy as np

from spec_tests.oracle.cells import ACTIVATIONS, Arrays, float64
from spec_tests.oracle.losses import cross_entropy
from spec_tests.oracle.unrolling import bptt, unroll, valid_steps
from unrolled.programs import Cell


def _embedding(weights: Arrays) -> np.ndarray:
    """What each token puts into the cell: [vocabulary, inputs], by default one-hot."""
    return weights["embedding"] if "embedding" in weights else np.eye(weights["dense/bias"].size)


def decode(
    cell: Cell, weights: Arrays, initial_state: np.ndarray, start: int, end: int, max_steps: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """h = f(concat(E[token], h) kernel + b); token = argmax(h K + c); frozen once a row's token is `end`.

    Returns (tokens [batch, steps], lengths, finished, outputs [batch, steps, units], state).
    """
    w, f, h = float64(weights), ACTIVATIONS[cell.activation], np.asarray(initial_state, np.float64)
    token, lengths = np.full(len(h), start), np.zeros(len(h), np.int64)
    finished = np.zeros(len(h), bool)
    tokens: list[np.ndarray] = []
    outputs: list[np.ndarray] = []
    while len(tokens) < max_steps and not finished.all():
        going = ~finished
        h_new = f(np.concatenate([_embedding(w)[token], h], axis=1) @ w["kernel"] + w["bias"])
        h = np.where(going[:, None], h_new, h)
        token = np.where(going, (h @ w["dense/kernel"] + w["dense/bias"]).argmax(axis=1), end)
        tokens.append(token)
        outputs.append(np.where(going[:, None], h, 0.0))
        lengths += going
        finished = finished | (token == end)
    return np.stack(tokens, axis=1), lengths, finished, np.stack(outputs, axis=1), h


def token_lengths(tokens: np.ndarray, end: int) -> np.ndarray:
    """The valid steps of each row: up to and with its first `end`, all of them where there is none."""
    ends = np.asarray(tokens) == end
    return np.where(ends.any(axis=1), ends.argmax(axis=1) + 1, tokens.shape[1])


def decode_gradients(
    cell: Cell, weights: Arrays, initial_state: np.ndarray, start: int, end: int, tokens: np.ndarray
) -> tuple[float, Arrays]:
    """Teacher forcing: x_t = E[token_t-1], token_-1 = start; n = number of valid steps in the batch;

    loss = 1/n sum over valid steps of log(sum(exp(y_t))) - y_t[token_t], with y_t = h_t K + c;
    dy_t = (softmax(y_t) - onehot(token_t)) / n on valid steps, then `bptt`; dE[token] = sum of dx where it was fed.
    """
    w, lengths = float64(weights), token_lengths(tokens, end)
    fed = np.concatenate([np.full((len(tokens), 1), start), tokens[:, :-1]], axis=1)
    x = _embedding(w)[fed]
    outputs, _ = unroll(cell, w, x, lengths, initial_state)
    valid = valid_steps(x, lengths)[:, :, 0]
    value, dy_valid = cross_entropy(outputs[valid] @ w["dense/kernel"] + w["dense/bias"], np.asarray(tokens)[valid])
    dy = np.zeros(fed.shape + w["dense/bias"].shape)
    dy[valid] = dy_valid
    gradients = bptt(cell, w, x, dy @ w["dense/kernel"].T, lengths=lengths, initial_state=initial_state)
    dx = gradients.pop("inputs")
    gradients["dense/kernel"] = np.einsum("btu,btv->uv", outputs, dy)
    gradients["dense/bias"] = dy.sum(axis=(0, 1))
    if "embedding" in w:
        gradients["embedding"] = np.zeros_like(w["embedding"])
        np.add.at(gradients["embedding"], fed, dx)
    return value, gradients
