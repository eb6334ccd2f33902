"""The oracle as a backend of the contract: checks its arguments, asks `oracle`, gives the answer the weights' dtype."""

from __future__ import annotations

import platform
from typing import Any

import numpy as np

from data.programs import Adam, Cell, Model
from spec_tests import oracle
from spec_tests.contract import Slots, Weights

# What this page has formulas for.
CAPABILITIES = frozenset(
    ["two_step", "static_rnn", "dynamic_rnn", "lengths", "initial_state", "gradients", "in_top_k", "initial_weights"]
    + ["classifier", "regressor", "training", "tanh", "relu", "float32", "float64"]
)
DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


def _need(condition: Any, argument: str, found: Any, expected: str) -> None:
    if not condition:
        raise ValueError("%s: found %s, expected %s" % (argument, found, expected))


def _check_array(argument: str, array: np.ndarray, shape: tuple[Any, ...], dtype: np.dtype) -> None:
    """Shape and dtype; a string in `shape` stands for any size, and is its name."""
    array = np.asarray(array)
    fits = array.ndim == len(shape) and all(isinstance(w, str) or n == w for n, w in zip(array.shape, shape))
    expected = "%s [%s]" % (dtype, ", ".join(str(want) for want in shape))
    _need(fits and array.dtype == dtype, argument, "%s %s" % (array.dtype, list(array.shape)), expected)


def _check_integers(argument: str, array: np.ndarray, size: int, low: int, high: int) -> None:
    array = np.asarray(array)
    _need(array.dtype.kind in "iu", argument, "dtype %s" % array.dtype, "integers")
    _need(array.shape == (size,), argument, "shape %s" % list(array.shape), "[%d], one per row" % size)
    wrong = array[(array < low) | (array > high)]
    _need(wrong.size == 0, argument, wrong[:1].tolist(), "every one from %d to %d" % (low, high))


def _check_weights(weights: Weights, shapes: dict[str, tuple[int, ...]]) -> np.dtype:
    """The strict table: every name, no other, the exact shapes, one dtype. Returns the dtype."""
    for name in shapes:
        _need(name in weights, "weights", "no %r" % name, "exactly %s" % ", ".join(shapes))
    for name in weights:
        _need(name in shapes, "weights", "an unknown %r" % name, "exactly %s" % ", ".join(shapes))
    first = next(iter(shapes))
    dtype = np.asarray(weights[first]).dtype
    _need(dtype in DTYPES, "weight " + first, dtype, "float32 or float64")
    for name, shape in shapes.items():
        _check_array("weight " + name, weights[name], shape, dtype)
    return dtype


def _check_cell(cell: Cell) -> None:
    _need(cell.kind == "basic_rnn", "cell.kind", repr(cell.kind), "'basic_rnn'")
    _need(cell.activation in oracle.ACTIVATIONS, "cell.activation", repr(cell.activation), "'tanh' or 'relu'")


def _check_model(model: Model) -> None:
    _check_cell(model.cell)
    kinds = ("classifier", "regressor", "speller")
    _need(model.kind in kinds, "model.kind", repr(model.kind), " or ".join(map(repr, kinds)))
    fewest = 1 if model.kind == "speller" else 0
    _need(model.max_steps >= fewest, "model.max_steps", model.max_steps, "at least %d" % fewest)
    forms = ("stacked", "wrapped") if model.kind == "regressor" else ("stacked",)
    _need(model.projection in forms, "model.projection", repr(model.projection), " or ".join(map(repr, forms)))


def _check_sequences(
    cell: Cell,
    weights: Weights,
    inputs: np.ndarray,
    lengths: np.ndarray | None = None,
    initial_state: np.ndarray | None = None,
) -> np.dtype:
    _check_cell(cell)
    _need(np.ndim(inputs) == 3, "inputs", "shape %s" % list(np.shape(inputs)), "[batch, steps, inputs]")
    batch, steps, values = inputs.shape
    _need(batch and steps and values, "inputs", "shape %s" % list(inputs.shape), "no empty dimension")
    dtype = _check_weights(weights, {"kernel": (values + cell.units, cell.units), "bias": (cell.units,)})
    _check_array("inputs", inputs, inputs.shape, dtype)
    if lengths is not None:
        _check_integers("lengths", lengths, batch, 0, steps)
    if initial_state is not None:
        _check_array("initial_state", initial_state, (batch, cell.units), dtype)
    return dtype


def _check_rows(
    model: Model, weights: Weights, inputs: np.ndarray, targets: Any = None, lengths: Any = None
) -> np.dtype:
    _check_model(model)
    dtype = _check_weights(weights, model.weight_shapes())
    _check_array("inputs", inputs, ("batch", "steps", model.inputs), dtype)
    prefix = "encoder/" if model.kind == "speller" else ""
    cell_weights = {name: weights[prefix + name] for name in ("kernel", "bias")}
    _check_sequences(model.cell, cell_weights, inputs, lengths)
    if targets is not None and model.kind == "speller":
        _check_tokens("targets", targets, len(inputs), model.outputs)
    elif targets is not None and model.kind == "classifier":
        _check_integers("targets", targets, len(inputs), 0, model.outputs - 1)
    elif targets is not None:
        _check_array("targets", targets, inputs.shape[:2] + (model.outputs,), dtype)
    return dtype


def _check_tokens(argument: str, tokens: np.ndarray, batch: int, vocabulary: int) -> None:
    shape = np.shape(tokens)
    _need(len(shape) == 2 and shape[0] == batch and shape[1], argument, "shape %s" % list(shape), "[%d, steps]" % batch)
    _check_integers(argument, np.ravel(tokens), np.size(tokens), 0, vocabulary - 1)


def _check_decoding(cell: Cell, weights: Weights, initial_state: np.ndarray, start: int, end: int) -> np.dtype:
    _check_cell(cell)
    vocabulary = np.size(weights.get("dense/bias", ()))
    embedding = np.shape(weights.get("embedding", (0,) * 2))
    _need(len(embedding) == 2, "weight embedding", "shape %s" % list(embedding), "[vocabulary, inputs]")
    inputs = embedding[1] if "embedding" in weights else vocabulary
    shapes = {"kernel": (inputs + cell.units, cell.units), "bias": (cell.units,)}
    shapes.update({"dense/kernel": (cell.units, vocabulary), "dense/bias": (vocabulary,)})
    if "embedding" in weights:
        shapes["embedding"] = (vocabulary, inputs)
    dtype = _check_weights(weights, shapes)
    _need(np.size(initial_state), "initial_state", "shape %s" % list(np.shape(initial_state)), "at least one row")
    _check_array("initial_state", initial_state, ("batch", cell.units), dtype)
    for name, token in (("start", start), ("end", end)):
        _check_integers(name, np.array([token]), 1, 0, vocabulary - 1)
    return dtype


def _check_slots(slots: Slots, model: Model, dtype: np.dtype) -> None:
    shapes = {name + slot: shape for name, shape in model.weight_shapes().items() for slot in ("/Adam", "/Adam_1")}
    powers = ["beta1_power", "beta2_power"]
    _need(sorted(slots) == sorted([*shapes, *powers]), "slots", sorted(slots), ", ".join([*shapes, *powers]))
    for name, shape in shapes.items():
        _check_array("slot " + name, slots[name], shape, dtype)
    for name in powers:
        _check_array("slot " + name, slots[name], (), np.dtype(np.float32))


def _cast(arrays: Weights, dtype: np.dtype) -> Weights:
    return {name: np.asarray(array, dtype) for name, array in arrays.items()}


class OracleBackend:
    """The contract's methods; their docstrings are the contract's."""

    name = "oracle"
    capabilities = CAPABILITIES

    def __init__(self, device: str = "cpu") -> None:
        self.expected_failures: dict[str, str] = {}
        _need(device == "cpu", "device", repr(device), "'cpu': the oracle is NumPy")

    def describe(self) -> dict[str, str]:
        return {"framework": "NumPy", "version": np.__version__, "python": platform.python_version(), "device": "cpu"}

    def two_step(self, cell: Cell, weights: Weights, x0: np.ndarray, x1: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        _need(np.ndim(x0) == 2, "x0", "shape %s" % list(np.shape(x0)), "[batch, inputs]")
        dtype = _check_sequences(cell, weights, np.asarray(x0)[:, None])
        _check_array("x1", x1, x0.shape, dtype)
        y0, y1 = oracle.two_step(cell, weights, x0, x1)
        return y0.astype(dtype), y1.astype(dtype)

    def static_rnn(
        self,
        cell: Cell,
        weights: Weights,
        inputs: list[np.ndarray],
        lengths: np.ndarray | None = None,
        initial_state: np.ndarray | None = None,
    ) -> tuple[list[np.ndarray], np.ndarray]:
        shapes = {np.shape(x) for x in inputs}
        _need(len(shapes) == 1, "inputs", "shapes %s" % sorted(shapes), "one array [batch, inputs] per step, all alike")
        outputs, state = self.dynamic_rnn(cell, weights, np.stack(inputs, axis=1), lengths, initial_state)
        return list(outputs.transpose(1, 0, 2)), state

    def dynamic_rnn(
        self,
        cell: Cell,
        weights: Weights,
        inputs: np.ndarray,
        lengths: np.ndarray | None = None,
        initial_state: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        dtype = _check_sequences(cell, weights, inputs, lengths, initial_state)
        outputs, state = oracle.unroll(cell, weights, inputs, lengths, initial_state)
        return outputs.astype(dtype), state.astype(dtype)

    def rnn_gradients(
        self,
        cell: Cell,
        weights: Weights,
        inputs: np.ndarray,
        output_gradients: np.ndarray | None = None,
        state_gradient: np.ndarray | None = None,
        lengths: np.ndarray | None = None,
        initial_state: np.ndarray | None = None,
        unrolling: str = "dynamic",
    ) -> dict[str, np.ndarray]:
        dtype = _check_sequences(cell, weights, inputs, lengths, initial_state)
        given = [g for g in (output_gradients, state_gradient) if g is not None]
        _need(given, "output_gradients and state_gradient", "neither", "at least one")
        _need(unrolling in ("static", "dynamic"), "unrolling", repr(unrolling), "'static' or 'dynamic'")
        if output_gradients is not None:
            _check_array("output_gradients", output_gradients, inputs.shape[:2] + (cell.units,), dtype)
        if state_gradient is not None:
            _check_array("state_gradient", state_gradient, (len(inputs), cell.units), dtype)
        gradients = oracle.bptt(cell, weights, inputs, output_gradients, state_gradient, lengths, initial_state)
        return _cast(gradients, dtype)

    def decode(
        self, cell: Cell, weights: Weights, initial_state: np.ndarray, start: int, end: int, max_steps: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        dtype = _check_decoding(cell, weights, initial_state, start, end)
        _need(max_steps >= 1, "max_steps", max_steps, "at least 1")
        found = oracle.decode(cell, weights, initial_state, start, end, max_steps)
        return (*found[:3], found[3].astype(dtype), found[4].astype(dtype))

    def decode_gradients(
        self, cell: Cell, weights: Weights, initial_state: np.ndarray, start: int, end: int, tokens: np.ndarray
    ) -> tuple[float, Weights]:
        dtype = _check_decoding(cell, weights, initial_state, start, end)
        _check_tokens("tokens", tokens, len(initial_state), np.size(weights["dense/bias"]))
        value, gradients = oracle.decode_gradients(cell, weights, initial_state, start, end, tokens)
        return value, _cast(gradients, dtype)

    def in_top_k(self, logits: np.ndarray, targets: np.ndarray, k: int = 1) -> np.ndarray:
        _need(np.ndim(logits) == 2, "logits", "shape %s" % list(np.shape(logits)), "[batch, classes]")
        _need(k >= 1, "k", k, "at least 1")
        _need(np.shape(targets) == (len(logits),), "targets", np.shape(targets), "[%d], one per row" % len(logits))
        return oracle.in_top_k(logits, targets, k)

    def initial_weights(self, model: Model, seed: int) -> Weights:
        """Glorot uniform: U(-a, a), a = sqrt(6 / (fan_in + fan_out)), the two sizes of a kernel."""
        _check_model(model)
        random = np.random.RandomState(seed)
        weights = {}
        for name, shape in model.weight_shapes().items():
            limit = np.sqrt(6.0 / sum(shape)) if len(shape) == 2 else 0.0
            weights[name] = random.uniform(-limit, limit, shape).astype(np.float32)
        return weights

    def forward(
        self, model: Model, weights: Weights, inputs: np.ndarray, lengths: np.ndarray | None = None
    ) -> np.ndarray:
        dtype = _check_rows(model, weights, inputs, lengths=lengths)
        return oracle.forward(model, weights, inputs, lengths).astype(dtype)

    def predict(
        self, model: Model, weights: Weights, inputs: np.ndarray, lengths: np.ndarray | None = None
    ) -> np.ndarray:
        y = self.forward(model, weights, inputs, lengths)
        return y if model.kind == "regressor" else y.argmax(axis=-1).astype(np.int64)

    def loss(
        self,
        model: Model,
        weights: Weights,
        inputs: np.ndarray,
        targets: np.ndarray,
        lengths: np.ndarray | None = None,
    ) -> float:
        _check_rows(model, weights, inputs, targets, lengths)
        return oracle.loss(model, weights, inputs, targets, lengths)

    def loss_gradients(
        self,
        model: Model,
        weights: Weights,
        inputs: np.ndarray,
        targets: np.ndarray,
        lengths: np.ndarray | None = None,
    ) -> tuple[float, Weights]:
        dtype = _check_rows(model, weights, inputs, targets, lengths)
        value, gradients = oracle.loss_gradients(model, weights, inputs, targets, lengths)
        return value, _cast(gradients, dtype)

    def train(
        self,
        model: Model,
        weights: Weights,
        optimizer: Adam,
        inputs: np.ndarray,
        targets: np.ndarray,
        batches: np.ndarray,
        lengths: np.ndarray | None = None,
        slots: Slots | None = None,
    ) -> tuple[np.ndarray, Weights, Slots]:
        dtype = _check_rows(model, weights, inputs, targets, lengths)
        _need(np.ndim(batches) == 2, "batches", "shape %s" % list(np.shape(batches)), "[iterations, batch]")
        _check_integers("batches", np.ravel(batches), np.size(batches), 0, len(inputs) - 1)
        if slots is not None:
            _check_slots(slots, model, dtype)
        losses, weights, slots = oracle.train(model, weights, optimizer, inputs, targets, batches, lengths, slots)
        kinds = {name: np.float32 if name.endswith("_power") else dtype for name in slots}
        return (
            losses.astype(dtype),
            _cast(weights, dtype),
            {name: np.asarray(slots[name], kinds[name]) for name in slots},
        )
