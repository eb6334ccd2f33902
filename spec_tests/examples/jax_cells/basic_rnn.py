"""The plain cell: h' = f(concat(x, h) @ kernel + bias)."""

from __future__ import annotations

from typing import Any, Callable

import jax
import jax.numpy as jnp

from spec_tests.contract import Weights

# Not jnp.maximum(z, 0): its slope at 0 is a half, TF1's is 0, and so is that of jax.nn.relu.
ACTIVATIONS: dict[str, Callable[[Any], Any]] = {"tanh": jnp.tanh, "relu": jax.nn.relu}


def step(network: Any, weights: Weights, x: Any, state: Any) -> Any:
    z = jnp.concatenate([x, state["h"]], axis=1) @ weights["kernel"] + weights["bias"]
    h = ACTIVATIONS[network.activation](z)
    return h, {"h": h}
