"""Flax's nn.RNN over its own cells as a backend: `seq_lengths` for lengths, JAX's gradients."""

from __future__ import annotations

from typing import Any, Callable, ClassVar

import flax
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from spec_tests.field.frame import COMMON, Array, Field, split_rows
from unrolled.networks import GRU, LSTM, BasicRNN, below

ACTIVATIONS = {"tanh": jnp.tanh, "relu": nn.relu}


class FlaxBackend(Field):
    name = "flax"
    capabilities = COMMON | {"gru_reset_after", "gradients", "float64"}
    expected_failures: ClassVar[dict[str, str]] = {
        "test_nan_in_padding_leaves_gradients_finite": (
            "nn.RNN runs its cell over padded steps too and picks the carry of the last valid one: in the gradient "
            "the NaN of a padded step is multiplied by zero, which is NaN"
        ),
    }
    differences: ClassVar[dict[str, str]] = {
        "test_outputs_past_the_length_are_exactly_zero": (
            "nn.RNN goes on over the padding, so its outputs there mean nothing; they are masked after it"
        ),
        "test_length_zero_keeps_the_initial_state": (
            "for a row of length 0 nn.RNN picks the carry at place -1, the one after all of the padding; the initial "
            "carry is put back after it"
        ),
    }

    def __init__(self, device: str = "cpu") -> None:
        """device: a platform of JAX, such as "cpu" or "cuda". Raises RuntimeError when JAX has none of it."""
        jax.config.update("jax_enable_x64", True)  # or there is no float64
        jax.config.update("jax_default_matmul_precision", "highest")
        self._device = jax.devices(device)[0]

    def describe(self) -> dict[str, str]:
        return dict(self.facts("Flax", flax.__version__, self._device.device_kind), on="jax " + jax.__version__)

    def array(self, value: np.ndarray) -> Array:
        return jax.device_put(value, self._device)

    def mean(self, values: Array) -> Array:
        return values.mean()

    def beside(self, parts: list[Array]) -> Array:
        return jnp.concatenate(parts, 1)

    def cell(self, network: Any, weights: Any, inputs: Array, lengths: Any, state: Any) -> Any:
        found = {"cell": converted(network, weights)}
        return self._run(nn.RNN(made(network), return_carry=True), found, inputs, lengths, network, state, [""])

    def both(self, network: Any, weights: Any, inputs: Array, lengths: Any, state: Any) -> Any:
        cell, ways = network.forward, ["fw/", "bw/"]
        layer = nn.Bidirectional(nn.RNN(made(cell)), nn.RNN(made(cell)), return_carry=True)
        names = {"fw/": "forward_rnn", "bw/": "backward_rnn"}
        found = {names[way]: {"cell": converted(cell, below(way, weights))} for way in ways}
        return self._run(layer, found, inputs, lengths, cell, state, ways)

    def _run(
        self, layer: Any, weights: Any, inputs: Array, lengths: Any, cell: Any, state: Any, prefixes: list[str]
    ) -> Any:
        batch, steps, _ = inputs.shape
        if state is None:
            zeros = jnp.zeros((batch, cell.units), inputs.dtype)
            state = {prefix + name: zeros for prefix in prefixes for name in cell.state}
        first = [tuple(state[prefix + name] for name in cell.state) for prefix in prefixes]  # (c, h), or (h,)
        carry: Any = tuple(each if len(each) > 1 else each[0] for each in first)
        full = None if lengths is None else jnp.asarray(np.asarray(lengths, np.int64))
        carry, outputs = layer.apply(
            {"params": weights}, inputs, initial_carry=carry if len(prefixes) == 2 else carry[0], seq_lengths=full
        )
        after = {}
        for prefix, before, each in zip(prefixes, first, carry if len(prefixes) == 2 else (carry,), strict=True):
            parts = each if isinstance(each, tuple) else (each,)
            for name, start, part in zip(cell.state, before, parts, strict=True):
                after[prefix + name] = part if full is None else jnp.where((full > 0)[:, None], part, start)
        if full is not None:
            outputs = jnp.where((jnp.arange(steps) < full[:, None])[:, :, None], outputs, 0)
        return outputs, after

    def pull_back(self, function: Callable[[Any], Any], given: dict[str, Array], costs: list[Any]) -> Any:
        results, back = jax.vjp(function, given)
        return results, back(costs)[0]

    def cross_entropy(self, logits: Array, targets: np.ndarray) -> Array:
        own = jnp.take_along_axis(nn.log_softmax(logits), self.array(targets)[:, None], axis=1)
        return -own.mean()


def made(cell: Any) -> Any:
    """Flax's cell. Its dtypes are those of what it is given, except the plain one's, which has to be told none."""
    return MADE[cell.kind](cell)


MADE: dict[str, Callable[[Any], Any]] = {
    BasicRNN.kind: lambda cell: nn.SimpleCell(cell.units, activation_fn=ACTIVATIONS[cell.activation]),
    LSTM.kind: lambda cell: nn.OptimizedLSTMCell(cell.units),
    GRU.kind: lambda cell: nn.GRUCell(cell.units),
}


def converted(cell: Any, weights: dict[str, Array]) -> dict[str, Any]:
    """Flax's parameters of a cell."""
    return CONVERTED[cell.kind](cell, weights)


def _plain(cell: Any, weights: dict[str, Array]) -> dict[str, Any]:
    x, h = split_rows(weights["kernel"], cell.units)
    return {"i": {"kernel": x, "bias": weights["bias"]}, "h": {"kernel": h}}


def _lstm(cell: Any, weights: dict[str, Array]) -> dict[str, Any]:
    """Gates i, f, g, o, each with a kernel by x, one by h, and a bias beside the latter."""
    x, h = split_rows(weights["kernel"], cell.units)
    added = {"f": cell.forget_bias}
    biases = dict(zip("igfo", jnp.split(weights["bias"], 4), strict=True))
    found = {"i" + gate: {"kernel": kernel} for gate, kernel in zip("igfo", jnp.split(x, 4, axis=1), strict=True)}
    for gate, kernel in zip("igfo", jnp.split(h, 4, axis=1), strict=True):
        found["h" + gate] = {"kernel": kernel, "bias": biases[gate] + added.get(gate, 0.0)}
    return found


def _gru(cell: Any, weights: dict[str, Array]) -> dict[str, Any]:
    """Gates r, z, and the candidate n, whose product with h has a bias of its own."""
    x, h = split_rows(weights["gates/kernel"], cell.units)
    by_x, by_h = (below("candidate/%s_projection/" % part, weights) for part in ("input", "hidden"))
    found: dict[str, Any] = {"in": dict(by_x), "hn": dict(by_h)}
    both = zip("rz", jnp.split(x, 2, axis=1), jnp.split(h, 2, axis=1), jnp.split(weights["gates/bias"], 2), strict=True)
    for gate, kernel, recurrent, bias in both:
        found["i" + gate], found["h" + gate] = {"kernel": kernel, "bias": bias}, {"kernel": recurrent}
    return found


CONVERTED: dict[str, Callable[[Any, Any], dict[str, Any]]] = {BasicRNN.kind: _plain, LSTM.kind: _lstm, GRU.kind: _gru}

backend = FlaxBackend
