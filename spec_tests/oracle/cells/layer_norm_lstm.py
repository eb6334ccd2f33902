"""The LSTM with layer normalisation; kernel [inputs + units, 4 units], gates in TF1's order i, j, f, o; no bias.

i, j, f, o = split(concat(x, h) kernel), and of each its norm;   s = sigmoid, a = the activation
c' = norm(s(f + fb) c + s(i) a(j) m);   h' = s(o) a(c'), which is also the output;   m = mask / keep
norm(z) = (z - mean(z)) / sqrt(mean((z - mean(z))^2) + 1e-12) gamma + beta, over a row's units
"""

from __future__ import annotations

from typing import Any

import numpy as np

from spec_tests.oracle.activations import ACTIVATIONS, SLOPES, sigmoid
from spec_tests.oracle.arrays import Arrays
from unrolled.networks import LayerNormLSTM

EPSILON = 1e-12
GATES = ("input", "transform", "forget", "output")


def _norm(w: Arrays, name: str, z: np.ndarray) -> tuple[np.ndarray, Any]:
    """norm(z), and what the way back needs: n = norm(z) before gamma and beta, and the root."""
    away = z - z.mean(axis=1, keepdims=True)
    root = np.sqrt(np.mean(away**2, axis=1, keepdims=True) + EPSILON)
    n = away / root
    return n * w[name + "/gamma"] + w[name + "/beta"], (n, root)


def _norm_back(w: Arrays, name: str, kept: Any, dy: np.ndarray) -> tuple[np.ndarray, Arrays]:
    """dgamma = sum of dy n; dbeta = sum of dy; with dn = dy gamma, dz = (dn - mean(dn) - n mean(dn n)) / root."""
    n, root = kept
    dn = dy * w[name + "/gamma"]
    dz = (dn - dn.mean(axis=1, keepdims=True) - n * np.mean(dn * n, axis=1, keepdims=True)) / root
    return dz, {name + "/gamma": (dy * n).sum(axis=0), name + "/beta": dy.sum(axis=0)}


def step(
    network: LayerNormLSTM, w: Arrays, x: np.ndarray, state: Arrays, factors: Arrays
) -> tuple[np.ndarray, Arrays, Any]:
    a, c, xh = ACTIVATIONS[network.activation], state["c"], np.concatenate([x, state["h"]], axis=1)
    parts = zip(GATES, np.split(xh @ w["kernel"], 4, axis=1))
    (zi, zj, zf, zo), norms = zip(*(_norm(w, name, z) for name, z in parts))
    m = factors.get("candidate", 1.0)
    i, j, f, o = sigmoid(zi), a(zj), sigmoid(zf + network.forget_bias), sigmoid(zo)
    c_new, norm = _norm(w, "state", c * f + i * j * m)
    h_new = a(c_new) * o
    return h_new, {"c": c_new, "h": h_new}, (xh, c, zj, i, j, f, o, m, c_new, norms, norm)


def step_back(
    network: LayerNormLSTM, w: Arrays, kept: Any, doutput: np.ndarray, dstate: Arrays
) -> tuple[Arrays, np.ndarray, Arrays]:
    """do = dh' a(c') s'; dc' = dc' + dh' o a'(c'), back through its norm: d; df = d c s'; di = d j m s';
    dj = d i m a'(zj), each back through its norm; [dx, dh] = dz kernel^T; dc = d f."""
    xh, c, zj, i, j, f, o, m, c_new, norms, norm = kept
    a, slope = ACTIVATIONS[network.activation], SLOPES[network.activation]
    dh = doutput + dstate["h"]
    d, dweights = _norm_back(w, "state", norm, dstate["c"] + dh * o * slope(c_new, a(c_new)))
    dgates = (
        d * j * m * i * (1.0 - i),
        d * i * m * slope(zj, j),
        d * c * f * (1.0 - f),
        dh * a(c_new) * o * (1.0 - o),
    )
    back = [_norm_back(w, name, of_gate, dgate) for name, of_gate, dgate in zip(GATES, norms, dgates)]
    for _, of_norm in back:
        dweights.update(of_norm)
    dz = np.concatenate([dgate for dgate, _ in back], axis=1)
    dx, dh_before = np.split(dz @ w["kernel"].T, [xh.shape[1] - network.units], axis=1)
    return dict(dweights, kernel=xh.T @ dz), dx, {"c": d * f, "h": dh_before}
