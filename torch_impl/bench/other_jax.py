"""The programs in JAX: lax.scan over the steps, the whole training step under jit."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from torch_impl.bench.worker import batches


def _lstm(p: Any, state: Any, now: Any) -> Any:
    h, c = state
    i, f, g, o = jnp.split(now + h @ p["u"], 4, 1)
    c = c * jax.nn.sigmoid(f + 1) + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jnp.tanh(c) * jax.nn.sigmoid(o), c


def _gru(p: Any, state: Any, now: Any) -> Any:
    (h,), units = state, state[0].shape[1]
    r, u = jnp.split(jax.nn.sigmoid(now[:, : 2 * units] + h @ p["u"][:, : 2 * units]), 2, 1)
    n = jnp.tanh(now[:, 2 * units :] + (r * h) @ p["u"][:, 2 * units :])
    return (u * h + (1 - u) * n,)


def _gru_after(p: Any, state: Any, now: Any) -> Any:
    (h,), units = state, state[0].shape[1]
    all_ = h @ p["u"]
    r, u = jnp.split(jax.nn.sigmoid(now[:, : 2 * units] + all_[:, : 2 * units]), 2, 1)
    n = jnp.tanh(now[:, 2 * units :] + r * (all_[:, 2 * units :] + p["d"]))
    return (u * h + (1 - u) * n,)


_STEPS: dict[str, Any] = {"basic_rnn": None, "lstm": _lstm, "gru": _gru, "gru_after": _gru_after}


def open_rival(workload: dict[str, Any], inputs: np.ndarray, targets: np.ndarray) -> tuple[str, Any]:
    """(version, function of a number of training steps)."""
    units, size, outputs = workload["units"], workload["inputs"], workload["outputs"]
    generator = np.random.RandomState(1)
    wide = {"basic_rnn": 1, "lstm": 4, "gru": 3, "gru_after": 3}[workload["cell"]] * units
    activate = jnp.tanh if workload["activation"] == "tanh" else jax.nn.relu
    shapes = {
        "w": (size, wide),
        "u": (units, wide),
        "b": (wide,),
        "d": (units,),
        "v": (units, outputs),
        "c": (outputs,),
    }
    params = {
        name: jnp.asarray(generator.uniform(-0.1, 0.1, shape).astype(np.float32)) for name, shape in shapes.items()
    }
    x, y = jnp.asarray(inputs), jnp.asarray(targets)
    one_step = _STEPS[workload["cell"]]
    classifier = workload["kind"] == "classifier"

    def loss(p: Any, rows: Any) -> Any:
        projected = jnp.swapaxes(x[rows] @ p["w"] + p["b"], 0, 1)

        def scanned(state: Any, now: Any) -> Any:
            state = one_step(p, state, now) if one_step else (activate(now + state[0] @ p["u"]),)
            return state, None if classifier else state[0]

        zero = jnp.zeros((workload["batch"], units), jnp.float32)
        first = (zero, zero) if workload["cell"] == "lstm" else (zero,)
        (last, *_), all_states = jax.lax.scan(scanned, first, projected)
        if classifier:
            logits = jax.nn.log_softmax(last @ p["v"] + p["c"])
            return -jnp.take_along_axis(logits, y[rows][:, None], 1).mean()
        return jnp.square(jnp.swapaxes(all_states, 0, 1) @ p["v"] + p["c"] - y[rows]).mean()

    @jax.jit
    def update(p: Any, m: Any, v: Any, count: Any, rows: Any) -> Any:
        value, grads = jax.value_and_grad(loss)(p, rows)
        m = jax.tree.map(lambda a, g: a + (g - a) * 0.1, m, grads)
        v = jax.tree.map(lambda a, g: a + (g * g - a) * 0.001, v, grads)
        rate = 0.001 * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
        p = jax.tree.map(lambda w, a, b: w - rate * a / (jnp.sqrt(b) + 1e-8), p, m, v)
        return p, m, v, count + 1, value

    zeros = jax.tree.map(jnp.zeros_like, params)
    state = (params, zeros, zeros, jnp.float32(1))

    def train(steps: int) -> None:
        nonlocal state
        for rows in batches(workload, steps):
            *new, value = update(*state, rows)
            state = tuple(new)
        value.block_until_ready()

    return f"JAX {jax.__version__}", train
