"""A dense layer on a network: classifier, regressor, speller; their losses and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from spec_tests.oracle.arrays import Arrays, below, float64
from spec_tests.oracle.decoding import decode, decode_gradients
from spec_tests.oracle.losses import cross_entropy
from spec_tests.oracle.unrolling import bptt, unroll, valid_steps
from unrolled.models import END, START, Model
from unrolled.networks import Network


def read_out(network: Network, state: Arrays) -> np.ndarray:
    """The parts of the final state that a classifier's dense layer reads, side by side: [batch, width]."""
    return np.concatenate([state[name] for name in network.read_out], axis=1)


def _read_out_back(network: Network, gradient: np.ndarray) -> Arrays:
    """The gradient by each part of the state, from the one by `read_out`: zero by a part that is not read."""
    widths = [network.state[name] for name in network.read_out]
    parts = {name: np.zeros((len(gradient), width)) for name, width in network.state.items()}
    parts.update(zip(network.read_out, np.split(gradient, np.cumsum(widths)[:-1], axis=1)))
    return parts


def forward(model: Model, weights: Arrays, inputs: np.ndarray, lengths: np.ndarray | None = None) -> np.ndarray:
    """r K + c, r the read-out of the final state (classifier) or every output (regressor; "wrapped": 0 past the
    length)."""
    if model.kind == "speller":
        return spell(model, weights, inputs, lengths)[1]
    w = float64(weights)
    outputs, state = unroll(model.network, w, inputs, lengths)
    r = read_out(model.network, state) if model.kind == "classifier" else outputs
    y = r @ w["dense/kernel"] + w["dense/bias"]
    return np.where(valid_steps(inputs, lengths), y, 0.0) if model.projection == "wrapped" else y


def _cost(model: Model, y: np.ndarray, targets: np.ndarray) -> tuple[float, np.ndarray]:
    """The loss and its gradient by y = forward(...). regressor: mean over entries of (y - target)^2; gradient
    2 (y - target) / entries."""
    if model.kind == "classifier":
        return cross_entropy(y, targets)
    error = y - np.asarray(targets, np.float64)
    return float(np.mean(error**2)), 2.0 * error / error.size


def loss(
    model: Model, weights: Arrays, inputs: np.ndarray, targets: np.ndarray, lengths: np.ndarray | None = None
) -> float:
    if model.kind == "speller":
        return _speller_gradients(model, weights, inputs, targets, lengths)[0]
    return _cost(model, forward(model, weights, inputs, lengths), targets)[0]


def loss_gradients(
    model: Model, weights: Arrays, inputs: np.ndarray, targets: np.ndarray, lengths: np.ndarray | None = None
) -> tuple[float, Arrays]:
    """(loss, gradients by weight): dK = r^T dy; dc = sum of dy; dr = dy K^T, and from there `bptt`."""
    if model.kind == "speller":
        return _speller_gradients(model, weights, inputs, targets, lengths)
    network, w = model.network, float64(weights)
    value, dy = _cost(model, forward(model, w, inputs, lengths), targets)
    if model.projection == "wrapped":
        dy = np.where(valid_steps(inputs, lengths), dy, 0.0)
    outputs, state = unroll(network, w, inputs, lengths)
    dr = dy @ w["dense/kernel"].T
    if model.kind == "classifier":
        r, back = read_out(network, state), bptt(network, w, inputs, None, _read_out_back(network, dr), lengths)
    else:
        r, back = outputs, bptt(network, w, inputs, dr, None, lengths)
    rows = dy.reshape(-1, dy.shape[-1])
    gradients = {name: back[name] for name in network.weights(model.inputs)}
    gradients["dense/kernel"] = r.reshape(-1, r.shape[-1]).T @ rows
    gradients["dense/bias"] = rows.sum(axis=0)
    return value, gradients


def part_of(weights: Arrays, part: str) -> Arrays:
    """The weights of a speller's "encoder", or of its "decoder" with the dense layer, without the prefix."""
    own = below(part + "/", weights)
    dense = {name: array for name, array in weights.items() if name.startswith("dense/")}
    return own if part == "encoder" else dict(own, **dense)


def spell(model: Model, weights: Arrays, inputs: np.ndarray, lengths: np.ndarray | None = None) -> Any:
    """`decode` from the encoder's final state: (tokens, logits) padded to max_steps, with END and with zeros."""
    w = float64(weights)
    _, state = unroll(model.network, part_of(w, "encoder"), inputs, lengths)
    tokens, ends, _, outputs, _ = decode(model.network, part_of(w, "decoder"), state, START, END, model.max_steps)
    logits = np.where(valid_steps(outputs, ends), outputs @ w["dense/kernel"] + w["dense/bias"], 0.0)
    rest = model.max_steps - tokens.shape[1]
    padding = ((0, 0), (0, rest), (0, 0))
    return np.pad(tokens, padding[:2], "constant", constant_values=END), np.pad(logits, padding, "constant")


def _speller_gradients(
    model: Model, weights: Arrays, inputs: np.ndarray, targets: np.ndarray, lengths: np.ndarray | None
) -> tuple[float, Arrays]:
    """`decode_gradients` from the encoder's final state, whose gradient goes back through the encoder."""
    network, encoder, decoder = model.network, part_of(weights, "encoder"), part_of(weights, "decoder")
    _, state = unroll(network, encoder, inputs, lengths)
    value, found = decode_gradients(network, decoder, state, START, END, targets)
    by_state = {name: found.pop("initial_state/" + name) for name in network.state}
    back = bptt(network, encoder, inputs, None, by_state, lengths)
    own = network.weights(model.outputs)
    gradients = {"encoder/" + name: back[name] for name in own}
    gradients.update({"decoder/" + name if name in own else name: array for name, array in found.items()})
    return value, gradients
