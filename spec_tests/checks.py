"""The contract's rules for arguments, as checks that raise its ValueErrors.

The oracle uses them; so may any backend that lives in the same process and works on NumPy arrays as they come in. Each
error names the argument, what was found and what was expected.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from spec_tests.contract import Slots, Weights
from unrolled.programs import Cell, Model

ACTIVATIONS = ("tanh", "relu")
DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


def need(condition: Any, argument: str, found: Any, expected: str) -> None:
    if not condition:
        raise ValueError("%s: found %s, expected %s" % (argument, found, expected))


def check_array(argument: str, array: np.ndarray, shape: tuple[Any, ...], dtype: np.dtype) -> None:
    """Shape and dtype; a string in `shape` stands for any size, and is its name."""
    array = np.asarray(array)
    fits = array.ndim == len(shape) and all(isinstance(w, str) or n == w for n, w in zip(array.shape, shape))
    expected = "%s [%s]" % (dtype, ", ".join(str(want) for want in shape))
    need(fits and array.dtype == dtype, argument, "%s %s" % (array.dtype, list(array.shape)), expected)


def check_integers(argument: str, array: np.ndarray, size: int, low: int, high: int) -> None:
    array = np.asarray(array)
    need(array.dtype.kind in "iu", argument, "dtype %s" % array.dtype, "integers")
    need(array.shape == (size,), argument, "shape %s" % list(array.shape), "[%d], one per row" % size)
    wrong = array[(array < low) | (array > high)]
    need(wrong.size == 0, argument, wrong[:1].tolist(), "every one from %d to %d" % (low, high))


def check_weights(weights: Weights, shapes: dict[str, tuple[int, ...]]) -> np.dtype:
    """The strict table: every name, no other, the exact shapes, one dtype. Returns the dtype."""
    for name in shapes:
        need(name in weights, "weights", "no %r" % name, "exactly %s" % ", ".join(shapes))
    for name in weights:
        need(name in shapes, "weights", "an unknown %r" % name, "exactly %s" % ", ".join(shapes))
    first = next(iter(shapes))
    dtype = np.asarray(weights[first]).dtype
    need(dtype in DTYPES, "weight " + first, dtype, "float32 or float64")
    for name, shape in shapes.items():
        check_array("weight " + name, weights[name], shape, dtype)
    return dtype


def check_cell(cell: Cell) -> None:
    need(cell.kind == "basic_rnn", "cell.kind", repr(cell.kind), "'basic_rnn'")
    need(cell.activation in ACTIVATIONS, "cell.activation", repr(cell.activation), "'tanh' or 'relu'")


def check_model(model: Model) -> None:
    check_cell(model.cell)
    kinds = ("classifier", "regressor", "speller")
    need(model.kind in kinds, "model.kind", repr(model.kind), " or ".join(map(repr, kinds)))
    fewest = 1 if model.kind == "speller" else 0
    need(model.max_steps >= fewest, "model.max_steps", model.max_steps, "at least %d" % fewest)
    forms = ("stacked", "wrapped") if model.kind == "regressor" else ("stacked",)
    need(model.projection in forms, "model.projection", repr(model.projection), " or ".join(map(repr, forms)))


def check_sequences(
    cell: Cell,
    weights: Weights,
    inputs: np.ndarray,
    lengths: np.ndarray | None = None,
    initial_state: np.ndarray | None = None,
) -> np.dtype:
    """What `dynamic_rnn` is given. Returns the dtype of the weights."""
    check_cell(cell)
    need(np.ndim(inputs) == 3, "inputs", "shape %s" % list(np.shape(inputs)), "[batch, steps, inputs]")
    batch, steps, values = inputs.shape
    need(batch and steps and values, "inputs", "shape %s" % list(inputs.shape), "no empty dimension")
    dtype = check_weights(weights, {"kernel": (values + cell.units, cell.units), "bias": (cell.units,)})
    check_array("inputs", inputs, inputs.shape, dtype)
    if lengths is not None:
        check_integers("lengths", lengths, batch, 0, steps)
    if initial_state is not None:
        check_array("initial_state", initial_state, (batch, cell.units), dtype)
    return dtype


def check_two_step(cell: Cell, weights: Weights, x0: np.ndarray, x1: np.ndarray) -> np.dtype:
    """What `two_step` is given. Returns the dtype of the weights."""
    need(np.ndim(x0) == 2, "x0", "shape %s" % list(np.shape(x0)), "[batch, inputs]")
    dtype = check_sequences(cell, weights, np.asarray(x0)[:, None])
    check_array("x1", x1, x0.shape, dtype)
    return dtype


def check_steps(inputs: list[np.ndarray]) -> None:
    """What `static_rnn` is given as inputs; stacked on axis 1 they are then for `check_sequences`."""
    shapes = {np.shape(x) for x in inputs}
    need(len(shapes) == 1, "inputs", "shapes %s" % sorted(shapes), "one array [batch, inputs] per step, all alike")


def check_cost(
    cell: Cell,
    inputs: np.ndarray,
    output_gradients: np.ndarray | None,
    state_gradient: np.ndarray | None,
    unrolling: str,
    dtype: np.dtype,
) -> None:
    """What `rnn_gradients` is given beside the sequences."""
    given = [g for g in (output_gradients, state_gradient) if g is not None]
    need(given, "output_gradients and state_gradient", "neither", "at least one")
    need(unrolling in ("static", "dynamic"), "unrolling", repr(unrolling), "'static' or 'dynamic'")
    if output_gradients is not None:
        check_array("output_gradients", output_gradients, inputs.shape[:2] + (cell.units,), dtype)
    if state_gradient is not None:
        check_array("state_gradient", state_gradient, (len(inputs), cell.units), dtype)


def check_logits(logits: np.ndarray, targets: np.ndarray, k: int) -> None:
    """What `in_top_k` is given."""
    need(np.ndim(logits) == 2, "logits", "shape %s" % list(np.shape(logits)), "[batch, classes]")
    need(k >= 1, "k", k, "at least 1")
    need(np.shape(targets) == (len(logits),), "targets", np.shape(targets), "[%d], one per row" % len(logits))


def check_rows(
    model: Model, weights: Weights, inputs: np.ndarray, targets: Any = None, lengths: Any = None
) -> np.dtype:
    """What a model's forward pass or loss is given. Returns the dtype of the weights."""
    check_model(model)
    dtype = check_weights(weights, model.weight_shapes())
    check_array("inputs", inputs, ("batch", "steps", model.inputs), dtype)
    prefix = "encoder/" if model.kind == "speller" else ""
    cell_weights = {name: weights[prefix + name] for name in ("kernel", "bias")}
    check_sequences(model.cell, cell_weights, inputs, lengths)
    if targets is not None and model.kind == "speller":
        check_tokens("targets", targets, len(inputs), model.outputs)
    elif targets is not None and model.kind == "classifier":
        check_integers("targets", targets, len(inputs), 0, model.outputs - 1)
    elif targets is not None:
        check_array("targets", targets, inputs.shape[:2] + (model.outputs,), dtype)
    return dtype


def check_tokens(argument: str, tokens: np.ndarray, batch: int, vocabulary: int) -> None:
    shape = np.shape(tokens)
    need(len(shape) == 2 and shape[0] == batch and shape[1], argument, "shape %s" % list(shape), "[%d, steps]" % batch)
    check_integers(argument, np.ravel(tokens), np.size(tokens), 0, vocabulary - 1)


def check_decoding(cell: Cell, weights: Weights, initial_state: np.ndarray, start: int, end: int) -> np.dtype:
    """What `decode` and `decode_gradients` are given. Returns the dtype of the weights."""
    check_cell(cell)
    vocabulary = np.size(weights.get("dense/bias", ()))
    embedding = np.shape(weights["embedding"]) if "embedding" in weights else (vocabulary, vocabulary)
    need(len(embedding) == 2, "weight embedding", "shape %s" % list(embedding), "[vocabulary, inputs]")
    inputs = embedding[1]
    shapes = {"kernel": (inputs + cell.units, cell.units), "bias": (cell.units,)}
    shapes.update({"dense/kernel": (cell.units, vocabulary), "dense/bias": (vocabulary,)})
    if "embedding" in weights:
        shapes["embedding"] = (vocabulary, inputs)
    dtype = check_weights(weights, shapes)
    need(np.size(initial_state), "initial_state", "shape %s" % list(np.shape(initial_state)), "at least one row")
    check_array("initial_state", initial_state, ("batch", cell.units), dtype)
    for name, token in (("start", start), ("end", end)):
        check_integers(name, np.array([token]), 1, 0, vocabulary - 1)
    return dtype


def check_batches(batches: np.ndarray, rows: int) -> None:
    need(np.ndim(batches) == 2, "batches", "shape %s" % list(np.shape(batches)), "[iterations, batch]")
    check_integers("batches", np.ravel(batches), np.size(batches), 0, rows - 1)


def check_slots(slots: Slots, model: Model, dtype: np.dtype) -> None:
    """The slots' strict table: both moments of every weight, and the two powers."""
    shapes = {name + slot: shape for name, shape in model.weight_shapes().items() for slot in ("/Adam", "/Adam_1")}
    powers = ["beta1_power", "beta2_power"]
    need(sorted(slots) == sorted([*shapes, *powers]), "slots", sorted(slots), ", ".join([*shapes, *powers]))
    for name, shape in shapes.items():
        check_array("slot " + name, slots[name], shape, dtype)
    for name in powers:
        check_array("slot " + name, slots[name], (), np.dtype(np.float32))
