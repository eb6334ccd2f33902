"""Keras's LSTM; kernel [inputs, 4 units], recurrent_kernel [units, 4 units], gates in Keras's order i, f, z, o.

i, f, z, o = split(x K + h R + b);   g = the recurrent activation, a = the activation
c' = g(f) c + g(i) a(z);   h' = g(o) a(c'), which is also the output
"""

from __future__ import annotations

from typing import Any

import numpy as np

from spec_tests.oracle.activations import ACTIVATIONS, SLOPES
from spec_tests.oracle.arrays import Arrays
from unrolled.networks import KerasLSTM


def step(
    network: KerasLSTM, w: Arrays, x: np.ndarray, state: Arrays, factors: Arrays
) -> tuple[np.ndarray, Arrays, Any]:
    a, g = ACTIVATIONS[network.activation], ACTIVATIONS[network.recurrent_activation]
    c, h = state["c"], state["h"]
    zi, zf, z, zo = np.split(x @ w["kernel"] + h @ w["recurrent_kernel"] + w["bias"], 4, axis=1)
    i, f, n, o = g(zi), g(zf), a(z), g(zo)
    c_new = c * f + i * n
    h_new = a(c_new) * o
    return h_new, {"c": c_new, "h": h_new}, (x, c, h, (zi, zf, z, zo), (i, f, n, o), c_new)


def step_back(
    network: KerasLSTM, w: Arrays, kept: Any, doutput: np.ndarray, dstate: Arrays
) -> tuple[Arrays, np.ndarray, Arrays]:
    """do = dh' a(c') g'; dc' = dc' + dh' o a'(c'); df = dc' c g'; di = dc' n g'; dn = dc' i a'(z);
    dx = dz K^T; dh = dz R^T; dc = dc' f."""
    x, c, h, (zi, zf, z, zo), (i, f, n, o), c_new = kept
    a, slope, slope_of_gate = (
        ACTIVATIONS[network.activation],
        SLOPES[network.activation],
        SLOPES[network.recurrent_activation],
    )
    dh = doutput + dstate["h"]
    dc = dstate["c"] + dh * o * slope(c_new, a(c_new))
    dgates = (
        dc * n * slope_of_gate(zi, i),
        dc * c * slope_of_gate(zf, f),
        dc * i * slope(z, n),
        dh * a(c_new) * slope_of_gate(zo, o),
    )
    dz = np.concatenate(dgates, axis=1)
    dweights = {"kernel": x.T @ dz, "recurrent_kernel": h.T @ dz, "bias": dz.sum(axis=0)}
    return dweights, dz @ w["kernel"].T, {"c": dc * f, "h": dz @ w["recurrent_kernel"].T}
