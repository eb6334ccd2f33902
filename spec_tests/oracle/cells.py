"""One step of a cell."""

from __future__ import annotations

from typing import Callable, Dict

import numpy as np

from unrolled.programs import Cell

Arrays = Dict[str, np.ndarray]


Function = Callable[[np.ndarray], np.ndarray]


# f(z), and f'(z) written by h = f(z). ReLU's slope at 0 is 0, as in TF1.
ACTIVATIONS: dict[str, Function] = {"tanh": np.tanh, "relu": lambda z: np.maximum(z, 0.0)}


SLOPES: dict[str, Function] = {"tanh": lambda h: 1.0 - h * h, "relu": lambda h: (h > 0.0).astype(np.float64)}


def float64(arrays: Arrays) -> Arrays:
    return {name: np.asarray(array, np.float64) for name, array in arrays.items()}


def two_step(cell: Cell, weights: Arrays, x0: np.ndarray, x1: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """y0 = f(x0 Wx + b); y1 = f(y0 Wy + x1 Wx + b), from a zero state. x0, x1: [batch, inputs]."""
    f, w = ACTIVATIONS[cell.activation], float64(weights)
    wx, wy = w["kernel"][: x0.shape[1]], w["kernel"][x0.shape[1] :]
    y0 = f(np.asarray(x0, np.float64) @ wx + w["bias"])
    y1 = f(y0 @ wy + np.asarray(x1, np.float64) @ wx + w["bias"])
    return y0, y1
