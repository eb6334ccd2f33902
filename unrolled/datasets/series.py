"""The chapter's time series: f(x) = x sin(x) / 3 + 2 sin(5 x) at 101 points from 12 to 15.

Everything is computed in float64 and cast at the end, so that the float32 arrays are the float64 ones rounded once.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

__all__ = ["FIRST", "LAST", "POINTS", "Pair", "function", "points", "prediction_pair", "training_pair"]

FIRST, LAST, POINTS = 12.0, 15.0, 101


class Pair(NamedTuple):
    """One sequence: inputs [1, 100, 1], the points x; targets [1, 100, 1], f at the same points."""

    inputs: np.ndarray
    targets: np.ndarray


def function(x: np.ndarray) -> np.ndarray:
    """f(x) = x sin(x) / 3 + 2 sin(5 x), in the dtype of x."""
    return x * np.sin(x) / 3 + 2 * np.sin(5 * x)


def points() -> np.ndarray:
    """The 101 evenly spaced points, float64 [101]."""
    return np.linspace(FIRST, LAST, POINTS)


def training_pair(dtype: Any = np.float32) -> Pair:
    """The sequence to train on: the first 100 points. dtype: float32 or float64; any other raises ValueError."""
    return _pair(points()[:-1], dtype)


def prediction_pair(dtype: Any = np.float32) -> Pair:
    """The sequence to predict: the last 100 points, the training sequence shifted by one. dtype as above."""
    return _pair(points()[1:], dtype)


def _pair(x: np.ndarray, dtype: Any) -> Pair:
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise ValueError("dtype is %s, expected float32 or float64" % np.dtype(dtype))
    sequence = x.reshape(1, -1, 1)
    return Pair(sequence.astype(dtype), function(sequence).astype(dtype))
