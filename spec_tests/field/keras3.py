"""Keras 3's SimpleRNN, LSTM and GRU as a backend, on TensorFlow, JAX or PyTorch: masks for lengths, `stateless_call`.

Keras has one backend in a process, so each of the three is a backend of the spec in a process of its own. Without
`zero_output_for_mask` a padded step would repeat the last valid output.
"""

from __future__ import annotations

import functools
import os
import sys
from typing import Any, Callable, ClassVar

import numpy as np

from spec_tests import checks
from spec_tests.field.frame import COMMON, Array, Field, own, split_rows
from unrolled.networks import GRU, LSTM, BasicRNN, below

# What Keras does otherwise, as `differences` has it: on every engine, and on one of them alone.
_FLOAT32 = (
    "keras.backend.result_type makes float32 of float64 on every engine but TensorFlow (BIT64_TO_BIT32_DTYPE in "
    "common/dtypes.py), so float64 is not offered"
)
ANYWHERE = {
    "test_outputs_past_the_length_are_exactly_zero": (
        "a padded step repeats the last valid output, unless the layer is told zero_output_for_mask=True, as here"
    ),
}
ELSEWHERE: dict[str, dict[str, str]] = {
    "jax": {
        "test_a_target_out_of_range_is_a_miss": (
            "keras.ops.in_top_k takes a target of -1 for the last class and counts rows that are not finite, so it is "
            "not offered"
        ),
        "test_outputs_and_state_match_the_oracle": _FLOAT32,
    },
    "torch": {
        "test_a_target_out_of_range_is_a_miss": (
            "keras.ops.in_top_k takes a target of -1 for the last class, and one above the classes may be a hit, "
            "and fails for a k above their number, so it is not offered"
        ),
        "test_outputs_and_state_match_the_oracle": _FLOAT32,
    },
}


class KerasBackend(Field):
    expected_failures: ClassVar[dict[str, str]] = {
        "test_nan_in_padding_leaves_gradients_finite": (
            "Keras computes the masked steps too and takes the old value after it: in the gradient the NaN of a padded "
            "step is multiplied by zero, which is NaN"
        ),
    }
    capabilities = COMMON | {"gru", "gru_reset_after", "gradients"}

    def __init__(self, engine: str) -> None:
        """engine: tensorflow, jax or torch. Raises ValueError where this process has Keras on another one already."""
        asked = os.environ.get("KERAS_BACKEND")
        os.environ["KERAS_BACKEND"] = engine
        import keras

        if keras.backend.backend() != engine:
            os.environ.update({} if asked is None else {"KERAS_BACKEND": asked})
            raise ValueError(
                "Keras runs on %s in this process already, and cannot run on %s too; give each a process of its own, "
                "as NAME@%s does" % (keras.backend.backend(), engine, sys.executable)
            )
        self.name = "keras." + engine
        if engine == "tensorflow":
            self.capabilities = self.capabilities | {"float64", "in_top_k"}
        self.differences = dict(ANYWHERE, **ELSEWHERE.get(engine, {}))
        self._keras, self._engine = keras, __import__(engine)

    def describe(self) -> dict[str, str]:
        on = "%s %s" % (self._keras.backend.backend(), self._engine.__version__)
        return dict(self.facts("Keras", self._keras.__version__, "cpu"), on=on)

    def array(self, value: np.ndarray) -> Array:
        return self._keras.ops.convert_to_tensor(value)

    def mean(self, values: Array) -> Array:
        return self._keras.ops.mean(values)

    def beside(self, parts: list[Array]) -> Array:
        return self._keras.ops.concatenate(parts, 1)

    def cell(self, network: Any, weights: Any, inputs: Array, lengths: Any, state: Any) -> Any:
        layer = made(network, int(inputs.shape[-1]), self._keras.backend.standardize_dtype(inputs.dtype), False)
        found = self._call(layer, self._converted(network, weights), inputs, lengths, network, state, [""])
        return found

    def both(self, network: Any, weights: Any, inputs: Array, lengths: Any, state: Any) -> Any:
        cell = network.forward
        layer = made(cell, int(inputs.shape[-1]), self._keras.backend.standardize_dtype(inputs.dtype), True)
        found = self._converted(cell, below("fw/", weights)) + self._converted(cell, below("bw/", weights))
        return self._call(layer, found, inputs, lengths, cell, state, ["fw/", "bw/"])

    def _call(
        self, layer: Any, weights: list[Array], inputs: Array, lengths: Any, cell: Any, state: Any, prefixes: list[str]
    ) -> Any:
        names = [prefix + name for prefix in prefixes for name in ("h", "c")[: len(cell.state)]]
        mask = None if lengths is None else self.array(np.arange(inputs.shape[1]) < np.asarray(lengths)[:, None])
        first = None if state is None else [state[name] for name in names]
        held = [variable.value for variable in layer.non_trainable_variables]
        (outputs, *after), _ = layer.stateless_call(weights, held, inputs, mask=mask, initial_state=first)
        return outputs, dict(zip(names, after))

    def _converted(self, cell: Any, weights: dict[str, Array]) -> list[Array]:
        """Keras's weights of a cell: kernel, recurrent kernel, bias."""
        return CONVERTED[cell.kind](self._keras.ops, cell, weights)

    def pull_back(self, function: Callable[[Any], Any], given: dict[str, Array], costs: list[Any]) -> Any:
        if self._engine.__name__ == "jax":
            results, back = self._engine.vjp(function, given)
            return results, back(costs)[0]
        if self._engine.__name__ == "torch":
            for tensor in given.values():
                tensor.requires_grad_()
            results = function(given)
            found = self._engine.autograd.grad(results, list(given.values()), costs, materialize_grads=True)
            return results, dict(zip(given, found))
        with self._engine.GradientTape() as tape:
            tape.watch(given)
            results = function(given)
        unconnected = self._engine.UnconnectedGradients.ZERO
        return results, tape.gradient(results, given, costs, unconnected_gradients=unconnected)

    def in_top_k(self, logits: np.ndarray, targets: np.ndarray, k: int = 1) -> np.ndarray:
        checks.check_logits(logits, targets, k)
        return own(self._keras.ops.in_top_k(targets.astype(np.int32), logits, k))

    def cross_entropy(self, logits: Array, targets: np.ndarray) -> Array:
        losses = self._keras.ops.sparse_categorical_crossentropy(targets.astype(np.int32), logits, from_logits=True)
        return self._keras.ops.mean(losses)


@functools.lru_cache(maxsize=64)
def made(cell: Any, inputs: int, dtype: str, both: bool) -> Any:
    """Keras's layer for a cell; its own weights are never read."""
    import keras

    name, options = LAYERS[cell.kind]
    named = {option: getattr(cell, option) for option in ("activation", *options)}
    named.update(dtype=dtype, return_sequences=True, return_state=True, zero_output_for_mask=True)
    layer = getattr(keras.layers, name)(cell.units, **named)
    layer = keras.layers.Bidirectional(layer, dtype=dtype) if both else layer
    layer.build((None, None, inputs))
    return layer


# Kind -> Keras's layer, and the options that both have by one name.
LAYERS: dict[str, tuple[str, tuple[str, ...]]] = {
    BasicRNN.kind: ("SimpleRNN", ()),
    LSTM.kind: ("LSTM", ()),
    GRU.kind: ("GRU", ("reset_after",)),
}


def _plain(ops: Any, cell: Any, weights: dict[str, Array]) -> list[Array]:
    return [*split_rows(weights["kernel"], cell.units), weights["bias"]]


def _lstm(ops: Any, cell: Any, weights: dict[str, Array]) -> list[Array]:
    """Gates i, f, c, o for TensorFlow 1's i, j, f, o."""
    kernel, bias = (_gates(ops, weights[name], (0, 2, 1, 3)) for name in ("kernel", "bias"))
    forget = np.repeat([0.0, cell.forget_bias, 0.0, 0.0], cell.units)
    return [*split_rows(kernel, cell.units), bias + ops.cast(ops.convert_to_tensor(forget), bias.dtype)]


def _gru(ops: Any, cell: Any, weights: dict[str, Array]) -> list[Array]:
    """Gates z, r, and the candidate, for TensorFlow 1's r, u."""
    kernel, bias = (_gates(ops, weights["gates/" + name], (1, 0)) for name in ("kernel", "bias"))
    if not cell.reset_after:
        whole = ops.concatenate([kernel, weights["candidate/kernel"]], 1)
        return [*split_rows(whole, cell.units), ops.concatenate([bias, weights["candidate/bias"]], 0)]
    x, h = (below("candidate/%s_projection/" % part, weights) for part in ("input", "hidden"))
    by_x, by_h = split_rows(kernel, cell.units)
    biases = [ops.concatenate([bias, x["bias"]], 0), ops.concatenate([bias * 0, h["bias"]], 0)]
    both = [ops.concatenate(pair, 1) for pair in ((by_x, x["kernel"]), (by_h, h["kernel"]))]
    return [*both, ops.stack(biases)]


def _gates(ops: Any, array: Array, order: tuple[int, ...]) -> Array:
    parts = ops.split(array, len(order), axis=-1)
    return ops.concatenate([parts[place] for place in order], -1)


CONVERTED: dict[str, Callable[..., list[Array]]] = {BasicRNN.kind: _plain, LSTM.kind: _lstm, GRU.kind: _gru}

on_tensorflow = functools.partial(KerasBackend, "tensorflow")
on_jax = functools.partial(KerasBackend, "jax")
on_torch = functools.partial(KerasBackend, "torch")
