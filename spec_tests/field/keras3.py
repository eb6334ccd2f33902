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

from spec_tests.field.frame import COMMON, Array, Field
from unrolled.networks import below


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
        if engine == "jax":
            import jax

            jax.config.update("jax_enable_x64", True)  # or there is no float64
        import keras

        if keras.backend.backend() != engine:
            os.environ.update({} if asked is None else {"KERAS_BACKEND": asked})
            raise ValueError(
                "Keras runs on %s in this process already, and cannot run on %s too; give each a process of its own, "
                "as NAME@%s does" % (keras.backend.backend(), engine, sys.executable)
            )
        self.name = "keras." + engine
        if engine == "tensorflow":  # on the others Keras takes every float64 for a float32 (common/dtypes.py:235)
            self.capabilities = self.capabilities | {"float64"}
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
        ops = self._keras.ops
        if cell.kind == "basic_rnn":
            kernel, bias = weights["kernel"], weights["bias"]
        elif cell.kind == "lstm":  # i, f, c, o for TensorFlow 1's i, j, f, o
            kernel, bias = (_gates(ops, weights[name], (0, 2, 1, 3)) for name in ("kernel", "bias"))
            forget = np.repeat([0.0, cell.forget_bias, 0.0, 0.0], cell.units)
            bias = bias + ops.cast(ops.convert_to_tensor(forget), bias.dtype)
        elif cell.reset_after:
            kernel, bias = (_gates(ops, weights["gates/" + name], (1, 0)) for name in ("kernel", "bias"))  # z, r
            x, h = (below("candidate/%s_projection/" % part, weights) for part in ("input", "hidden"))
            size = x["kernel"].shape[0]
            by_h = ops.concatenate([bias * 0, h["bias"]], 0)
            bias = ops.stack([ops.concatenate([bias, x["bias"]], 0), by_h])
            return [
                ops.concatenate([kernel[:size], x["kernel"]], 1),
                ops.concatenate([kernel[size:], h["kernel"]], 1),
                bias,
            ]
        else:
            kernel = ops.concatenate([_gates(ops, weights["gates/kernel"], (1, 0)), weights["candidate/kernel"]], 1)
            bias = ops.concatenate([_gates(ops, weights["gates/bias"], (1, 0)), weights["candidate/bias"]], 0)
        size = kernel.shape[0] - cell.units
        return [kernel[:size], kernel[size:], bias]

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

    def cross_entropy(self, logits: Array, targets: np.ndarray) -> Array:
        losses = self._keras.ops.sparse_categorical_crossentropy(targets.astype(np.int32), logits, from_logits=True)
        return self._keras.ops.mean(losses)


@functools.lru_cache(maxsize=64)
def made(cell: Any, inputs: int, dtype: str, both: bool) -> Any:
    """Keras's layer for a cell; its own weights are never read."""
    import keras

    options = {"dtype": dtype, "return_sequences": True, "return_state": True, "zero_output_for_mask": True}
    if cell.kind == "basic_rnn":
        layer = keras.layers.SimpleRNN(cell.units, activation=cell.activation, **options)
    elif cell.kind == "lstm":
        layer = keras.layers.LSTM(cell.units, activation=cell.activation, **options)
    else:
        layer = keras.layers.GRU(cell.units, activation=cell.activation, reset_after=cell.reset_after, **options)
    layer = keras.layers.Bidirectional(layer, dtype=dtype) if both else layer
    layer.build((None, None, inputs))
    return layer


def _gates(ops: Any, array: Array, order: tuple[int, ...]) -> Array:
    parts = ops.split(array, len(order), axis=-1)
    return ops.concatenate([parts[place] for place in order], -1)


on_tensorflow = functools.partial(KerasBackend, "tensorflow")
on_jax = functools.partial(KerasBackend, "jax")
on_torch = functools.partial(KerasBackend, "torch")
