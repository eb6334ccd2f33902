"""The plain cell: h' = f(concat(x, h) kernel + bias), which is both output and state.

kernel [inputs + units, units]; bias [units]; the state's one part h [batch, units].
"""

from __future__ import annotations

from typing import Any, Callable

import numpy as np

from spec_tests.oracle.arrays import Arrays, float64
from unrolled.networks import BasicRNN

Function = Callable[[np.ndarray], np.ndarray]

# f(z), and f'(z) written by h = f(z). ReLU's slope at 0 is 0, as in TF1.
ACTIVATIONS: dict[str, Function] = {"tanh": np.tanh, "relu": lambda z: np.maximum(z, 0.0)}
SLOPES: dict[str, Function] = {"tanh": lambda h: 1.0 - h * h, "relu": lambda h: (h > 0.0).astype(np.float64)}


def step(network: BasicRNN, w: Arrays, x: np.ndarray, state: Arrays) -> tuple[np.ndarray, Arrays, Any]:
    """h' = f(concat(x, h) kernel + bias)."""
    xh = np.concatenate([x, state["h"]], axis=1)
    h = ACTIVATIONS[network.activation](xh @ w["kernel"] + w["bias"])
    return h, {"h": h}, (xh, h)


def step_back(
    network: BasicRNN, w: Arrays, kept: Any, doutput: np.ndarray, dstate: Arrays
) -> tuple[Arrays, np.ndarray, Arrays]:
    """dz = (dy + dh') f'(h'); dkernel = concat(x, h)^T dz; dbias = sum over rows of dz; [dx, dh] = dz kernel^T."""
    xh, h = kept
    dz = (doutput + dstate["h"]) * SLOPES[network.activation](h)
    dx, dh = np.split(dz @ w["kernel"].T, [xh.shape[1] - network.units], axis=1)
    return {"kernel": xh.T @ dz, "bias": dz.sum(axis=0)}, dx, {"h": dh}


def two_step(network: Any, weights: Arrays, x0: np.ndarray, x1: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """y0 = f(x0 Wx + b); y1 = f(y0 Wy + x1 Wx + b), from a zero state. x0, x1: [batch, inputs]."""
    f, w = ACTIVATIONS[network.activation], float64(weights)
    wx, wy = w["kernel"][: x0.shape[1]], w["kernel"][x0.shape[1] :]
    y0 = f(np.asarray(x0, np.float64) @ wx + w["bias"])
    y1 = f(y0 @ wy + np.asarray(x1, np.float64) @ wx + w["bias"])
    return y0, y1
