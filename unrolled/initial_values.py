"""A network's first values, drawn with NumPy: the same in every framework."""

from __future__ import annotations

import numpy as np

from unrolled.networks import Weights

__all__ = ["draw"]


def draw(weights: Weights, random: np.random.RandomState) -> dict[str, np.ndarray]:
    """The first values of each weight, in order, in float32: from U(value - limit, value + limit)."""
    return {
        name: (weight.value + random.uniform(-weight.limit, weight.limit, weight.shape)).astype(np.float32)
        for name, weight in weights.items()
    }
