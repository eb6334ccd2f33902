"""The gated recurrent unit, its reset gate before the product, or with `reset_after` after it.

r, u = split(s(concat(x, h) Kg + bg));   h' = u h + (1 - u) n, which is also the output;   s = sigmoid
n = a(concat(x, r h) Kc + bc), or with reset_after n = a(x Kx + bx + r (h Kh + bh));   a = the activation
"""

from __future__ import annotations

from typing import Any

import numpy as np

from spec_tests.oracle.activations import ACTIVATIONS, SLOPES, sigmoid
from spec_tests.oracle.arrays import Arrays
from unrolled.networks import GRU

BEFORE, AFTER_X, AFTER_H = "candidate/", "candidate/input_projection/", "candidate/hidden_projection/"


def step(network: GRU, w: Arrays, x: np.ndarray, state: Arrays, factors: Arrays) -> tuple[np.ndarray, Arrays, Any]:
    h = state["h"]
    xh = np.concatenate([x, h], axis=1)
    r, u = np.split(sigmoid(xh @ w["gates/kernel"] + w["gates/bias"]), 2, axis=1)
    if network.reset_after:
        product = h @ w[AFTER_H + "kernel"] + w[AFTER_H + "bias"]
        z = x @ w[AFTER_X + "kernel"] + w[AFTER_X + "bias"] + r * product
    else:
        product = r * h
        z = np.concatenate([x, product], axis=1) @ w[BEFORE + "kernel"] + w[BEFORE + "bias"]
    n = ACTIVATIONS[network.activation](z)
    h_new = u * h + (1.0 - u) * n
    return h_new, {"h": h_new}, (x, h, xh, r, u, product, z, n)


def step_back(
    network: GRU, w: Arrays, kept: Any, doutput: np.ndarray, dstate: Arrays
) -> tuple[Arrays, np.ndarray, Arrays]:
    """dz = dh' (1 - u) a'(z); du = dh' (h - n) s'; dh = dh' u + ... through the gates and through the candidate."""
    x, h, xh, r, u, product, z, n = kept
    dh_new = doutput + dstate["h"]
    dz = dh_new * (1.0 - u) * SLOPES[network.activation](z, n)
    du = dh_new * (h - n) * u * (1.0 - u)
    dweights, dx, dh, dr = (_after if network.reset_after else _before)(w, x, h, r, product, dz)
    dgates = np.concatenate([dr * r * (1.0 - r), du], axis=1)
    dweights.update({"gates/kernel": xh.T @ dgates, "gates/bias": dgates.sum(axis=0)})
    dx_gates, dh_gates = np.split(dgates @ w["gates/kernel"].T, [x.shape[1]], axis=1)
    return dweights, dx + dx_gates, {"h": dh + dh_gates + dh_new * u}


def _before(w: Arrays, x: np.ndarray, h: np.ndarray, r: np.ndarray, rh: np.ndarray, dz: np.ndarray) -> Any:
    """[dx, d(r h)] = dz Kc^T; dh = d(r h) r; dr = d(r h) h."""
    dx, drh = np.split(dz @ w[BEFORE + "kernel"].T, [x.shape[1]], axis=1)
    dweights = {BEFORE + "kernel": np.concatenate([x, rh], axis=1).T @ dz, BEFORE + "bias": dz.sum(axis=0)}
    return dweights, dx, drh * r, drh * h


def _after(w: Arrays, x: np.ndarray, h: np.ndarray, r: np.ndarray, product: np.ndarray, dz: np.ndarray) -> Any:
    """dx = dz Kx^T; dp = dz r, with p = h Kh + bh; dh = dp Kh^T; dr = dz p."""
    dproduct = dz * r
    dweights = {AFTER_X + "kernel": x.T @ dz, AFTER_X + "bias": dz.sum(axis=0)}
    dweights.update({AFTER_H + "kernel": h.T @ dproduct, AFTER_H + "bias": dproduct.sum(axis=0)})
    return dweights, dz @ w[AFTER_X + "kernel"].T, dproduct @ w[AFTER_H + "kernel"].T, dz * product
