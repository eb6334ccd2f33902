"""The activations that TF1's cells take by name: f(z), and f'(z) written by z and f = f(z).

ReLU's slope is 0 at its corner; hard_sigmoid's is 0.2 at both of its own, as where TF1 clips.
"""

from __future__ import annotations

from typing import Callable

import numpy as np

_ALPHA, _SCALE = 1.6732632423543772, 1.0507009873554805  # SELU's, Klambauer et al. 2017, section 2


def sigmoid(z: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-z)), written so that neither side overflows."""
    e = np.exp(-np.abs(z))
    return np.where(z >= 0.0, 1.0, e) / (1.0 + e)


ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0.0),
    "sigmoid": sigmoid,
    "hard_sigmoid": lambda z: np.clip(0.2 * z + 0.5, 0.0, 1.0),
    "softsign": lambda z: z / (1.0 + np.abs(z)),
    "softplus": lambda z: np.logaddexp(z, 0.0),
    "elu": lambda z: np.where(z > 0.0, z, np.expm1(np.minimum(z, 0.0))),
    "selu": lambda z: _SCALE * np.where(z > 0.0, z, _ALPHA * np.expm1(np.minimum(z, 0.0))),
    "linear": lambda z: z,
}
SLOPES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "tanh": lambda z, f: 1.0 - f * f,
    "relu": lambda z, f: (f > 0.0).astype(np.float64),
    "sigmoid": lambda z, f: f * (1.0 - f),
    "hard_sigmoid": lambda z, f: np.where(np.abs(z) <= 2.5, 0.2, 0.0),
    "softsign": lambda z, f: 1.0 / (1.0 + np.abs(z)) ** 2,
    "softplus": lambda z, f: sigmoid(z),
    "elu": lambda z, f: np.where(z > 0.0, 1.0, f + 1.0),
    "selu": lambda z, f: np.where(z > 0.0, _SCALE, f + _SCALE * _ALPHA),
    "linear": lambda z, f: np.ones_like(z),
}
