"""The programs in JAX: lax.scan over the steps, the whole training step under jit."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from torch_impl.bench.worker import batches, lengths_of


def _lstm(p: Any, state: Any, now: Any) -> Any:
    h, c = state
    i, f, g, o = jnp.split(now + h @ p["u"], 4, 1)
    c = c * jax.nn.sigmoid(f + 1) + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jnp.tanh(c) * jax.nn.sigmoid(o), c


def _gru(p: Any, state: Any, now: Any) -> Any:
    (h,), units = state, state[0].shape[1]
    r, u = jnp.split(jax.nn.sigmoid(now[:, : 2 * units] + h @ p["u"]), 2, 1)
    n = jnp.tanh(now[:, 2 * units :] + (r * h) @ p["n"])
    return (u * h + (1 - u) * n,)


def _gru_after(p: Any, state: Any, now: Any) -> Any:
    (h,), units = state, state[0].shape[1]
    all_ = h @ p["u"]
    r, u = jnp.split(jax.nn.sigmoid(now[:, : 2 * units] + all_[:, : 2 * units]), 2, 1)
    n = jnp.tanh(now[:, 2 * units :] + r * (all_[:, 2 * units :] + p["d"]))
    return (u * h + (1 - u) * n,)


def _tanh(p: Any, state: Any, now: Any) -> Any:
    return (jnp.tanh(now + state[0] @ p["u"]),)


def _relu(p: Any, state: Any, now: Any) -> Any:
    return (jax.nn.relu(now + state[0] @ p["u"]),)


_STEPS: dict[str, Any] = {"lstm": _lstm, "gru": _gru, "gru_after": _gru_after}
# Columns of the products with the inputs and with the state, in units; TF1's GRU has another for its candidate.
_BLOCKS = {"basic_rnn": (1, 1), "lstm": (4, 4), "gru": (3, 2), "gru_after": (3, 3)}


def _backwards(values: Any, limits: Any) -> Any:
    """Each row's valid steps in reverse order: values [steps, batch, ...], limits [batch]."""
    steps = jnp.arange(len(values))[:, None]
    places = jnp.where(steps < limits, limits - 1 - steps, steps)
    return jnp.take_along_axis(values, places[:, :, None], 0)


def _scan(p: Any, step: Any, parts: int, values: Any, limits: Any, whole: bool) -> Any:
    """(outputs, final state) of one cell; whole: whether all rows have all steps."""

    def scanned(state: Any, given: Any) -> Any:
        now, valid = given
        new = step(p, state, now)
        if whole:
            return new, new[0]
        kept = tuple(jnp.where(valid[:, None], a, b) for a, b in zip(new, state, strict=True))
        return kept, jnp.where(valid[:, None], new[0], 0)

    zero = jnp.zeros((values.shape[1], p["u"].shape[0]), jnp.float32)
    valid = jnp.arange(len(values))[:, None] < limits
    last, outputs = jax.lax.scan(scanned, (zero,) * parts, (values @ p["w"] + p["b"], valid))
    return outputs, last[0]


def open_rival(workload: dict[str, Any], inputs: np.ndarray, targets: np.ndarray) -> tuple[str, Any]:
    """(version, function of a number of training steps)."""
    units, outputs, cell = workload["units"], workload["outputs"], workload["cell"]
    directions, wide = workload["directions"], workload["units"] * workload["directions"]
    generator = np.random.RandomState(1)

    def some(*shape: int) -> Any:
        return jnp.asarray(generator.uniform(-0.1, 0.1, shape).astype(np.float32))

    def cell_of(size: int) -> dict[str, Any]:
        forward, back = _BLOCKS[cell]
        return {
            "w": some(size, forward * units),
            "u": some(units, back * units),
            "b": some(forward * units),
            "d": some(units),
            "n": some(units, units),
        }

    sizes = [wide if layer else workload["inputs"] for layer in range(workload["layers"])]
    params = {"cells": [[cell_of(size) for _ in range(directions)] for size in sizes]}
    params.update({"v": some(wide, outputs), "c": some(outputs)})
    given = lengths_of(workload)
    limits = np.full(len(inputs), workload["steps"]) if given is None else given
    x, y, limits = jnp.asarray(inputs), jnp.asarray(targets), jnp.asarray(limits)
    step = _STEPS.get(cell, _tanh if workload["activation"] == "tanh" else _relu)
    parts = 2 if cell == "lstm" else 1

    def loss(p: Any, rows: Any) -> Any:
        values, here = jnp.swapaxes(x[rows], 0, 1), limits[rows]
        for cells in p["cells"]:
            found, states = [], []
            for number, one in enumerate(cells):
                read = _backwards(values, here) if number else values
                out, last = _scan(one, step, parts, read, here, given is None)
                found.append(_backwards(out, here) if number else out)
                states.append(last)
            values = jnp.concatenate(found, 2)
        if workload["kind"] == "classifier":
            logits = jax.nn.log_softmax(jnp.concatenate(states, 1) @ p["v"] + p["c"])
            return -jnp.take_along_axis(logits, y[rows][:, None], 1).mean()
        return jnp.square(jnp.swapaxes(values, 0, 1) @ p["v"] + p["c"] - y[rows]).mean()

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
