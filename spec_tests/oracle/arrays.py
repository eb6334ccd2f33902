"""Arrays by name: weights, states, gradients."""

from __future__ import annotations

from typing import Dict

import numpy as np

Arrays = Dict[str, np.ndarray]


def at_step(factors: Arrays, t: int) -> Arrays:
    """A step's share of what a dropout multiplies by: each [batch, steps, width] becomes [batch, width]."""
    return {name: each[:, t] for name, each in factors.items()}


def float64(arrays: Arrays) -> Arrays:
    return {name: np.asarray(array, np.float64) for name, array in arrays.items()}
