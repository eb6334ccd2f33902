"""Keras's GRU; kernel [inputs, 3 units], recurrent_kernel [units, 3 units], thirds in Keras's order z, r, n.

    z, r = split(g(x K + h R + b));   h' = z h + (1 - z) n, which is also the output
    n = a(x K + (r h) R + b), or with reset_after n = a(x K + b + r (h R + b'));   K, R, b of n's own third

g is the recurrent activation, a the activation. With reset_after the bias is [b, b'], and b' is added in z and r too.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from spec_tests.oracle.activations import ACTIVATIONS, SLOPES
from spec_tests.oracle.arrays import Arrays
from unrolled.networks import KerasGRU


def step(network: KerasGRU, w: Arrays, x: np.ndarray, state: Arrays, factors: Arrays) -> tuple[np.ndarray, Arrays, Any]:
    h, gates = state["h"], 2 * network.units
    b, b_h = w["bias"] if network.reset_after else (w["bias"], np.zeros_like(w["bias"]))
    of_x = x @ w["kernel"] + b
    zg = of_x[:, :gates] + h @ w["recurrent_kernel"][:, :gates] + b_h[:gates]
    gate = ACTIVATIONS[network.recurrent_activation](zg)
    z, r = np.split(gate, 2, axis=1)
    product = h @ w["recurrent_kernel"][:, gates:] + b_h[gates:] if network.reset_after else r * h
    of_h = r * product if network.reset_after else product @ w["recurrent_kernel"][:, gates:]
    zn = of_x[:, gates:] + of_h
    n = ACTIVATIONS[network.activation](zn)
    h_new = z * h + (1.0 - z) * n
    return h_new, {"h": h_new}, (x, h, zg, gate, product, zn, n)


def step_back(
    network: KerasGRU, w: Arrays, kept: Any, doutput: np.ndarray, dstate: Arrays
) -> tuple[Arrays, np.ndarray, Arrays]:
    """dn = dh' (1 - z) a'; dz = dh' (h - n) g'; dr through the candidate. Before: d(r h) = dn R^T, dr = d(r h) h.
    After: dr = dn (h R + b'), and what reaches h R + b' is dn r."""
    x, h, zg, gate, product, zn, n = kept
    (z, r), gates, recurrent = np.split(gate, 2, axis=1), 2 * network.units, w["recurrent_kernel"]
    dh_new = doutput + dstate["h"]
    dn = dh_new * (1.0 - z) * SLOPES[network.activation](zn, n)
    if network.reset_after:
        dr, dproduct = dn * product, dn * r
        dh, drecurrent = dproduct @ recurrent[:, gates:].T, h.T @ dproduct
    else:
        drh = dn @ recurrent[:, gates:].T
        dr, dh, drecurrent = drh * h, drh * r, product.T @ dn
    dgate = np.concatenate([dh_new * (h - n), dr], axis=1) * SLOPES[network.recurrent_activation](zg, gate)
    d = np.concatenate([dgate, dn], axis=1)
    dbias = d.sum(axis=0)
    if network.reset_after:
        dbias = np.stack([dbias, np.concatenate([dgate, dproduct], axis=1).sum(axis=0)])
    dweights = {
        "kernel": x.T @ d,
        "recurrent_kernel": np.concatenate([h.T @ dgate, drecurrent], axis=1),
        "bias": dbias,
    }
    return dweights, d @ w["kernel"].T, {"h": dh + dgate @ recurrent[:, :gates].T + dh_new * z}
