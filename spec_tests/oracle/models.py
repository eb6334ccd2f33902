"""Dense layers on a network: classifier, regressor, tagger, speller; their losses and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from spec_tests.oracle.arrays import Arrays, float64
from spec_tests.oracle.decoding import decode, decode_gradients
from spec_tests.oracle.dense import dense, dense_back, embedded, embedded_back
from spec_tests.oracle.losses import cross_entropy
from spec_tests.oracle.unrolling import bptt, unroll, valid_steps
from unrolled.models import END, START, Model
from unrolled.networks import Network, below


def read_out(network: Network, state: Arrays) -> np.ndarray:
    """The parts of the final state that a classifier's dense layer reads, side by side: [batch, width]."""
    return np.concatenate([state[name] for name in network.read_out], axis=1)


def _read_out_back(network: Network, gradient: np.ndarray) -> Arrays:
    """The gradient by each part of the state, from the one by `read_out`: zero by a part that is not read."""
    widths = [network.state[name] for name in network.read_out]
    parts = {name: np.zeros((len(gradient), width)) for name, width in network.state.items()}
    parts.update(zip(network.read_out, np.split(gradient, np.cumsum(widths)[:-1], axis=1)))
    return parts


def _asked(
    model: Model, w: Arrays, inputs: np.ndarray, lengths: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, Any]:
    """(what the network reads, where y counts, y, what the dense layers' way back needs)."""
    x = embedded(model, w, inputs)
    outputs, state = unroll(model.network, w, x, lengths)
    y, kept = dense(model, w, read_out(model.network, state) if model.kind == "classifier" else outputs)
    return x, valid_steps(x, lengths), y, kept


def forward(model: Model, weights: Arrays, inputs: np.ndarray, lengths: np.ndarray | None = None) -> np.ndarray:
    """y = dense(r), r the read-out of the final state (classifier) or every output (regressor, tagger; "wrapped": 0
    past the length)."""
    if model.kind == "speller":
        return spell(model, weights, inputs, lengths)[1]
    _, valid, y, _ = _asked(model, float64(weights), inputs, lengths)
    return np.where(valid, y, 0.0) if model.projection == "wrapped" else y


def predict(model: Model, weights: Arrays, inputs: np.ndarray, lengths: np.ndarray | None = None) -> np.ndarray:
    """What `forward` gives of a regressor, else the place of the largest logit; a tagger's is 0 past the length."""
    y = forward(model, weights, inputs, lengths)
    if model.kind == "regressor":
        return y
    predicted = y.argmax(axis=-1)
    return np.where(valid_steps(inputs, lengths)[:, :, 0], predicted, 0) if model.kind == "tagger" else predicted


def _cost(model: Model, y: np.ndarray, valid: np.ndarray, targets: np.ndarray) -> tuple[float, np.ndarray]:
    """The loss and its gradient by y. classifier: mean cross-entropy; tagger: the same over valid steps alone, 0 where
    there are none; regressor: mean over entries of (y - target)^2, its gradient 2 (y - target) / entries."""
    if model.kind == "classifier":
        return cross_entropy(y, targets)
    if model.kind == "tagger":
        on, dy = valid[:, :, 0], np.zeros_like(y)
        value, dy[on] = cross_entropy(y[on], targets[on]) if on.any() else (0.0, 0.0)
        return value, dy
    if model.projection == "wrapped":
        y = np.where(valid, y, 0.0)
    error = y - np.asarray(targets, np.float64)
    dy = 2.0 * error / error.size
    return float(np.mean(error**2)), np.where(valid, dy, 0.0) if model.projection == "wrapped" else dy


def loss(
    model: Model, weights: Arrays, inputs: np.ndarray, targets: np.ndarray, lengths: np.ndarray | None = None
) -> float:
    if model.kind == "speller":
        return _speller_gradients(model, weights, inputs, targets, lengths)[0]
    _, valid, y, _ = _asked(model, float64(weights), inputs, lengths)
    return _cost(model, y, valid, targets)[0]


def loss_gradients(
    model: Model, weights: Arrays, inputs: np.ndarray, targets: np.ndarray, lengths: np.ndarray | None = None
) -> tuple[float, Arrays]:
    """(loss, gradients by weight): from dy back through the dense layers, and from there `bptt`."""
    if model.kind == "speller":
        return _speller_gradients(model, weights, inputs, targets, lengths)
    network, w = model.network, float64(weights)
    x, valid, y, kept = _asked(model, w, inputs, lengths)
    value, dy = _cost(model, y, valid, targets)
    dr, gradients = dense_back(model, w, kept, dy)
    by_outputs, by_state = (None, _read_out_back(network, dr)) if model.kind == "classifier" else (dr, None)
    gradients.update(bptt(network, w, x, by_outputs, by_state, lengths))
    gradients.update(embedded_back(model, w, inputs, gradients["inputs"]))
    return value, {name: gradients[name] for name in w}


def part_of(weights: Arrays, part: str) -> Arrays:
    """The weights of a speller's "encoder", or of its "decoder" with the dense layer, without the prefix."""
    own = below(part + "/", weights)
    dense = {name: array for name, array in weights.items() if name.startswith("dense/")}
    return own if part == "encoder" else dict(own, **dense)


def spell(model: Model, weights: Arrays, inputs: np.ndarray, lengths: np.ndarray | None = None) -> Any:
    """`decode` from the encoder's final state: (tokens, logits) padded to max_steps, with END and with zeros."""
    w = float64(weights)
    encoder = part_of(w, "encoder")
    _, state = unroll(model.network, encoder, embedded(model, encoder, inputs), lengths)
    tokens, ends, _, outputs, _ = decode(model.network, part_of(w, "decoder"), state, START, END, model.max_steps)
    logits = np.where(valid_steps(outputs, ends), outputs @ w["dense/kernel"] + w["dense/bias"], 0.0)
    rest = model.max_steps - tokens.shape[1]
    padding = ((0, 0), (0, rest), (0, 0))
    return np.pad(tokens, padding[:2], "constant", constant_values=END), np.pad(logits, padding, "constant")


def _speller_gradients(
    model: Model, weights: Arrays, inputs: np.ndarray, targets: np.ndarray, lengths: np.ndarray | None
) -> tuple[float, Arrays]:
    """`decode_gradients` from the encoder's final state, whose gradient goes back through the encoder."""
    w, network = float64(weights), model.network
    encoder, decoder = part_of(w, "encoder"), part_of(w, "decoder")
    x = embedded(model, encoder, inputs)
    _, state = unroll(network, encoder, x, lengths)
    value, found = decode_gradients(network, decoder, state, START, END, targets)
    by_state = {name: found.pop("initial_state/" + name) for name in network.state}
    back = bptt(network, encoder, x, None, by_state, lengths)
    back.update(embedded_back(model, encoder, inputs, back["inputs"]))
    own = network.weights(model.outputs)
    gradients = {"encoder/" + name: back[name] for name in encoder}
    gradients.update({"decoder/" + name if name in own else name: array for name, array in found.items()})
    return value, gradients
