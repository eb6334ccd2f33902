"""The long short-term memory; kernel [inputs + width of h, 4 units], gates in TF1's order i, j, f, o.

    i, j, f, o = split(concat(x, h) kernel + bias);   c' = clip(s(f + fb + wf c) c + s(i + wi c) a(j))
    h' = clip((s(o + wo c') a(c')) P), which is also the output;   s = sigmoid, a = the activation

What an option leaves out is left out: peepholes wf, wi, wo, the projection P, the clips.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from spec_tests.oracle.activations import ACTIVATIONS, SLOPES, sigmoid
from spec_tests.oracle.arrays import Arrays
from unrolled.networks import LSTM


def _clipped(z: np.ndarray, limit: float | None) -> np.ndarray:
    return z if limit is None else np.clip(z, -limit, limit)


def _slope_of_clip(z: np.ndarray, limit: float | None) -> Any:
    return 1.0 if limit is None else (np.abs(z) <= limit).astype(np.float64)


def step(network: LSTM, w: Arrays, x: np.ndarray, state: Arrays, factors: Arrays) -> tuple[np.ndarray, Arrays, Any]:
    a, c, xh = ACTIVATIONS[network.activation], state["c"], np.concatenate([x, state["h"]], axis=1)
    zi, zj, zf, zo = np.split(xh @ w["kernel"] + w["bias"], 4, axis=1)
    if network.peepholes:
        zf, zi = zf + w["w_f_diag"] * c, zi + w["w_i_diag"] * c
    i, j, f = sigmoid(zi), a(zj), sigmoid(zf + network.forget_bias)
    unclipped = c * f + i * j
    c_new = _clipped(unclipped, network.cell_clip)
    if network.peepholes:
        zo = zo + w["w_o_diag"] * c_new
    o = sigmoid(zo)
    m = a(c_new) * o
    projected = m if network.projection is None else m @ w["projection/kernel"]
    h_new = _clipped(projected, network.projection_clip)
    return h_new, {"c": c_new, "h": h_new}, (xh, c, zj, i, j, f, o, unclipped, c_new, m, projected)


def step_back(
    network: LSTM, w: Arrays, kept: Any, doutput: np.ndarray, dstate: Arrays
) -> tuple[Arrays, np.ndarray, Arrays]:
    """dm = dh' P^T; do = dm a(c') s'; dc' = dc' + dm o a'(c') + do wo; df = dc' c s'; di = dc' j s'; dj = dc' i a'(zj);
    dz = [di, dj, df, do]; [dx, dh] = dz kernel^T; dc = dc' f + df wf + di wi. A clip's slope is 0 where it acts."""
    xh, c, zj, i, j, f, o, unclipped, c_new, m, projected = kept
    a, slope = ACTIVATIONS[network.activation], SLOPES[network.activation]
    dprojected = (doutput + dstate["h"]) * _slope_of_clip(projected, network.projection_clip)
    dm = dprojected if network.projection is None else dprojected @ w["projection/kernel"].T
    do = dm * a(c_new) * o * (1.0 - o)
    dc = dstate["c"] + dm * o * slope(c_new, a(c_new))
    if network.peepholes:
        dc = dc + do * w["w_o_diag"]
    if not network.straight_through:
        dc = dc * _slope_of_clip(unclipped, network.cell_clip)
    df, di, dj = dc * c * f * (1.0 - f), dc * j * i * (1.0 - i), dc * i * slope(zj, j)
    dc_before = dc * f
    if network.peepholes:
        dc_before = dc_before + df * w["w_f_diag"] + di * w["w_i_diag"]
    dz = np.concatenate([di, dj, df, do], axis=1)
    dx, dh = np.split(dz @ w["kernel"].T, [xh.shape[1] - network.output_size], axis=1)
    dweights = {"kernel": xh.T @ dz, "bias": dz.sum(axis=0)}
    if network.peepholes:
        for name, dgate, cell in (("w_f_diag", df, c), ("w_i_diag", di, c), ("w_o_diag", do, c_new)):
            dweights[name] = (dgate * cell).sum(axis=0)
    if network.projection is not None:
        dweights["projection/kernel"] = m.T @ dprojected
    return dweights, dx, {"c": dc_before, "h": dh}
