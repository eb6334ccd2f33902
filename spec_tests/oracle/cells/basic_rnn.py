"""The plain cell: h' = f(concat(x, h) kernel + bias), which is both output and state.

kernel [inputs + units, units]; bias [units]; the state's one part h [batch, units].
"""

from __future__ import annotations

from typing import Any

import numpy as np

from spec_tests.oracle.activations import ACTIVATIONS, SLOPES
from spec_tests.oracle.arrays import Arrays, float64
from unrolled.networks import BasicRNN


def step(network: BasicRNN, w: Arrays, x: np.ndarray, state: Arrays, factors: Arrays) -> tuple[np.ndarray, Arrays, Any]:
    """h' = f(concat(x, h) kernel + bias)."""
    xh = np.concatenate([x, state["h"]], axis=1)
    z = xh @ w["kernel"] + w["bias"]
    h = ACTIVATIONS[network.activation](z)
    return h, {"h": h}, (xh, z, h)


def step_back(
    network: BasicRNN, w: Arrays, kept: Any, doutput: np.ndarray, dstate: Arrays
) -> tuple[Arrays, np.ndarray, Arrays]:
    """dz = (dy + dh') f'(h'); dkernel = concat(x, h)^T dz; dbias = sum over rows of dz; [dx, dh] = dz kernel^T."""
    xh, z, h = kept
    dz = (doutput + dstate["h"]) * SLOPES[network.activation](z, h)
    dx, dh = np.split(dz @ w["kernel"].T, [xh.shape[1] - network.units], axis=1)
    return {"kernel": xh.T @ dz, "bias": dz.sum(axis=0)}, dx, {"h": dh}


def two_step(network: Any, weights: Arrays, x0: np.ndarray, x1: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """y0 = f(x0 Wx + b); y1 = f(y0 Wy + x1 Wx + b), from a zero state. x0, x1: [batch, inputs]."""
    f, w = ACTIVATIONS[network.activation], float64(weights)
    wx, wy = w["kernel"][: x0.shape[1]], w["kernel"][x0.shape[1] :]
    y0 = f(np.asarray(x0, np.float64) @ wx + w["bias"])
    y1 = f(y0 @ wy + np.asarray(x1, np.float64) @ wx + w["bias"])
    return y0, y1
