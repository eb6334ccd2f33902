"""The LSTM with peepholes, projection and clips; its law stands at `unrolled.networks.LSTM`."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import lax
from jax.nn import sigmoid

from spec_tests.contract import Weights


def step(network: Any, weights: Weights, x: Any, state: Any) -> Any:
    c = state["c"]
    z = jnp.concatenate([x, state["h"]], axis=1) @ weights["kernel"] + weights["bias"]
    i, j, f, o = jnp.split(z, 4, axis=1)
    if network.peepholes:
        i, f = i + weights["w_i_diag"] * c, f + weights["w_f_diag"] * c
    c = clipped(c * sigmoid(f + network.forget_bias) + sigmoid(i) * jnp.tanh(j), network)
    if network.peepholes:
        o = o + weights["w_o_diag"] * c
    h = jnp.tanh(c) * sigmoid(o)
    if network.projection is not None:
        h = h @ weights["projection/kernel"]
        if network.projection_clip is not None:
            h = jnp.clip(h, -network.projection_clip, network.projection_clip)
    return h, {"c": c, "h": h}


def clipped(c: Any, network: Any) -> Any:
    """By the cell's clip; with straight_through the gradient takes no notice of the clip."""
    limit = network.cell_clip
    if limit is None:
        return c
    inside = jnp.clip(c, -limit, limit)
    return c + lax.stop_gradient(inside - c) if network.straight_through else inside
