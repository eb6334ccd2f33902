"""The GRU, its reset gate before the product or after it."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax.nn import sigmoid

from spec_tests.contract import Weights
from unrolled.networks import below


def step(network: Any, weights: Weights, x: Any, state: Any) -> Any:
    h = state["h"]
    r, u = jnp.split(sigmoid(dense(below("gates/", weights), jnp.concatenate([x, h], axis=1))), 2, axis=1)
    candidate = below("candidate/", weights)
    if network.reset_after:
        by_x, by_h = below("input_projection/", candidate), below("hidden_projection/", candidate)
        n = jnp.tanh(dense(by_x, x) + r * dense(by_h, h))
    else:
        n = jnp.tanh(dense(candidate, jnp.concatenate([x, r * h], axis=1)))
    h = u * h + (1 - u) * n
    return h, {"h": h}


def dense(weights: Weights, x: Any) -> Any:
    return x @ weights["kernel"] + weights["bias"]
