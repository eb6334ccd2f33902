"""A network's first values, drawn with NumPy: the same in every framework."""

from __future__ import annotations

import numpy as np

from unrolled.networks import Weight, Weights

__all__ = ["draw", "middle"]


def draw(weights: Weights, random: np.random.RandomState) -> dict[str, np.ndarray]:
    """The first values of each weight, in order, in float32, as `Weight` says them."""
    return {name: _draw(weight, random).astype(np.float32) for name, weight in weights.items()}


def middle(weight: Weight) -> np.ndarray:
    """The middle of a weight's first values: one number, or one for each place on its last axis."""
    values = np.asarray(weight.value, np.float64)
    return values if values.ndim == 0 else np.repeat(values, weight.shape[-1] // len(values))


def _draw(weight: Weight, random: np.random.RandomState) -> np.ndarray:
    if not weight.orthogonal:
        return np.asarray(middle(weight) + random.uniform(-weight.limit, weight.limit, weight.shape))
    rows, columns = sorted(weight.shape, reverse=True)
    matrix, triangle = np.linalg.qr(random.normal(size=(rows, columns)))
    matrix = matrix * np.sign(np.diag(triangle))  # without it the signs would not be uniform
    return matrix if weight.shape == (rows, columns) else matrix.T
