"""A dense layer on a cell: classifier, regressor, speller; their losses and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from spec_tests.oracle.cells import Arrays, float64
from spec_tests.oracle.decoding import decode, decode_gradients
from spec_tests.oracle.losses import cross_entropy
from spec_tests.oracle.unrolling import bptt, unroll, valid_steps
from unrolled.programs import END, START, Model


def forward(model: Model, weights: Arrays, inputs: np.ndarray, lengths: np.ndarray | None = None) -> np.ndarray:
    """h K + c, on the final state (classifier) or on every output (regressor; "wrapped": 0 past the length)."""
    if model.kind == "speller":
        return spell(model, weights, inputs, lengths)[1]
    w = float64(weights)
    outputs, state = unroll(model.cell, w, inputs, lengths)
    y = (state if model.kind == "classifier" else outputs) @ w["dense/kernel"] + w["dense/bias"]
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
    """(loss, gradients by weight): dK = h^T dy; dc = sum of dy; dh = dy K^T, and from there `bptt`."""
    if model.kind == "speller":
        return _speller_gradients(model, weights, inputs, targets, lengths)
    w = float64(weights)
    value, dy = _cost(model, forward(model, w, inputs, lengths), targets)
    if model.projection == "wrapped":
        dy = np.where(valid_steps(inputs, lengths), dy, 0.0)
    outputs, state = unroll(model.cell, w, inputs, lengths)
    h, dh = state if model.kind == "classifier" else outputs, dy @ w["dense/kernel"].T
    cost = {"state_gradient" if model.kind == "classifier" else "output_gradients": dh}
    gradients = bptt(model.cell, w, inputs, lengths=lengths, **cost)
    dense_kernel = h.reshape(-1, h.shape[-1]).T @ dy.reshape(-1, dy.shape[-1])
    dense_bias = dy.reshape(-1, dy.shape[-1]).sum(axis=0)
    return value, {
        "kernel": gradients["kernel"],
        "bias": gradients["bias"],
        "dense/kernel": dense_kernel,
        "dense/bias": dense_bias,
    }


def part_of(weights: Arrays, part: str) -> Arrays:
    """The weights of a speller's "encoder", or of its "decoder" with the dense layer, without the prefix."""
    own = {name[len(part) + 1 :]: array for name, array in weights.items() if name.startswith(part + "/")}
    dense = {name: array for name, array in weights.items() if name.startswith("dense/")}
    return own if part == "encoder" else dict(own, **dense)


def spell(model: Model, weights: Arrays, inputs: np.ndarray, lengths: np.ndarray | None = None) -> Any:
    """`decode` from the encoder's final state: (tokens, logits) padded to max_steps, with END and with zeros."""
    w = float64(weights)
    _, state = unroll(model.cell, part_of(w, "encoder"), inputs, lengths)
    tokens, ends, _, outputs, _ = decode(model.cell, part_of(w, "decoder"), state, START, END, model.max_steps)
    logits = np.where(valid_steps(outputs, ends), outputs @ w["dense/kernel"] + w["dense/bias"], 0.0)
    rest = model.max_steps - tokens.shape[1]
    padding = ((0, 0), (0, rest), (0, 0))
    return np.pad(tokens, padding[:2], "constant", constant_values=END), np.pad(logits, padding, "constant")


def _speller_gradients(
    model: Model, weights: Arrays, inputs: np.ndarray, targets: np.ndarray, lengths: np.ndarray | None
) -> tuple[float, Arrays]:
    """`decode_gradients` from the encoder's final state, whose gradient goes back through the encoder."""
    encoder, decoder = part_of(weights, "encoder"), part_of(weights, "decoder")
    _, state = unroll(model.cell, encoder, inputs, lengths)
    value, found = decode_gradients(model.cell, decoder, state, START, END, targets)
    back = bptt(model.cell, encoder, inputs, state_gradient=found.pop("initial_state"), lengths=lengths)
    gradients = {"encoder/" + name: back[name] for name in ("kernel", "bias")}
    gradients.update({name if "/" in name else "decoder/" + name: array for name, array in found.items()})
    return value, gradients
