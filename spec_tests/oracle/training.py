"""Adam as TensorFlow 1 computes it, and a loop over batches."""

from __future__ import annotations

import numpy as np

from spec_tests.oracle.arrays import Arrays, float64
from spec_tests.oracle.models import loss_gradients
from unrolled.models import Model
from unrolled.programs import Adam


def fresh_slots(weights: Arrays, optimizer: Adam) -> Arrays:
    """Zero moments, and the powers that the first step uses: beta1 and beta2 themselves, in float32."""
    slots = {name + slot: np.zeros(array.shape) for name, array in weights.items() for slot in ("/Adam", "/Adam_1")}
    slots["beta1_power"], slots["beta2_power"] = np.array(optimizer[1:3], np.float32)
    return slots


def adam(weights: Arrays, gradients: Arrays, slots: Arrays, optimizer: Adam) -> tuple[Arrays, Arrays]:
    """One step of TF1's Adam: m += (1 - b1)(g - m); v += (1 - b2)(g^2 - v);
    weight -= lr sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + epsilon).

    TF1 rounds lr, b1, b2 and epsilon to float32 and accumulates the powers b1^t, b2^t in float32, whatever the weights.
    """
    rounded = np.array(optimizer, np.float32)
    lr, beta1, beta2, epsilon = rounded.astype(np.float64)
    power1, power2 = np.float32(slots["beta1_power"]), np.float32(slots["beta2_power"])
    rate = lr * np.sqrt(1.0 - np.float64(power2)) / (1.0 - np.float64(power1))
    new_weights, new_slots = {}, {"beta1_power": power1 * rounded[1], "beta2_power": power2 * rounded[2]}
    for name, gradient in gradients.items():
        m, v = slots[name + "/Adam"], slots[name + "/Adam_1"]
        m = m + (1.0 - beta1) * (gradient - m)
        v = v + (1.0 - beta2) * (gradient**2 - v)
        new_weights[name] = weights[name] - rate * m / (np.sqrt(v) + epsilon)
        new_slots[name + "/Adam"], new_slots[name + "/Adam_1"] = m, v
    return new_weights, new_slots


def train(
    model: Model,
    weights: Arrays,
    optimizer: Adam,
    inputs: np.ndarray,
    targets: np.ndarray,
    batches: np.ndarray,
    lengths: np.ndarray | None = None,
    slots: Arrays | None = None,
) -> tuple[np.ndarray, Arrays, Arrays]:
    """One Adam step per row of batches [iterations, batch]: (losses, each before its step; weights; slots)."""
    weights, losses = float64(weights), []
    slots = fresh_slots(weights, optimizer) if slots is None else dict(slots)
    for rows in batches:
        valid = None if lengths is None else lengths[rows]
        value, gradients = loss_gradients(model, weights, inputs[rows], targets[rows], valid)
        weights, slots = adam(weights, gradients, slots, optimizer)
        losses.append(value)
    return np.array(losses), weights, slots
