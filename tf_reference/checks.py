"""Arguments of the adapter: each failure is a ValueError of one sentence. NumPy alone; nothing is cast or reshaped.

What TensorFlow takes without a word (a length out of range) passes here too: this is the reference.
"""

from __future__ import annotations

from typing import Any, Mapping, Sequence, Tuple

import numpy as np

__all__ = ["POWERS", "check_batches", "check_cell", "check_model", "check_weights", "slot_shapes", "weight_shapes"]

POWERS = ("beta1_power", "beta2_power")
Shapes = Mapping[str, Tuple[int, ...]]


def shown(value: Any) -> str:
    """A value as a message shows it: dtype and shape of an array, the start of anything else."""
    if isinstance(value, (np.ndarray, np.generic)):
        return f"{value.dtype} {list(value.shape)}"
    return f"{type(value).__name__} {value!r:.60}"


def check_integer(name: str, value: Any, low: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < low:
        raise ValueError(f"{name} must be an integer of at least {low}, got {shown(value)}")
    return int(value)


def check_cell(cell: Any) -> None:
    if cell.kind != "basic_rnn":
        raise ValueError(f"cell.kind must be 'basic_rnn', got {cell.kind!r}")
    if cell.activation not in ("tanh", "relu"):
        raise ValueError(f"cell.activation must be 'tanh' or 'relu', got {cell.activation!r}")
    check_integer("cell.units", cell.units, 1)


def check_model(model: Any) -> None:
    check_cell(model.cell)
    forms = {"classifier": ("stacked",), "regressor": ("stacked", "wrapped"), "speller": ("stacked",)}
    if model.kind not in forms:
        raise ValueError(f"model.kind must be 'classifier', 'regressor' or 'speller', got {model.kind!r}")
    if model.projection not in forms[model.kind]:
        expected = " or ".join(map(repr, forms[model.kind]))
        raise ValueError(f"model.projection of a {model.kind} must be {expected}, got {model.projection!r}")
    check_integer("model.inputs", model.inputs, 1)
    check_integer("model.outputs", model.outputs, 1)
    if model.kind == "speller":
        check_integer("model.max_steps", model.max_steps, 1)


def cell_shapes(inputs: int, units: int) -> dict[str, tuple[int, ...]]:
    return {"kernel": (inputs + units, units), "bias": (units,)}


def dense_shapes(units: int, outputs: int) -> dict[str, tuple[int, ...]]:
    return {"dense/kernel": (units, outputs), "dense/bias": (outputs,)}


def weight_shapes(model: Any) -> dict[str, tuple[int, ...]]:
    """The canonical weights of a model, in order."""
    units = model.cell.units
    if model.kind != "speller":
        return dict(cell_shapes(model.inputs, units), **dense_shapes(units, model.outputs))
    shapes = {"encoder/" + name: shape for name, shape in cell_shapes(model.inputs, units).items()}
    shapes.update(("decoder/" + name, shape) for name, shape in cell_shapes(model.outputs, units).items())
    return dict(shapes, **dense_shapes(units, model.outputs))


def decoding_sizes(weights: Any) -> tuple[int, int | None]:
    """The vocabulary and the values per token that weights for decoding have; None: one-hot."""
    if not isinstance(weights, Mapping):
        raise ValueError(f"weights must be arrays by name, got {shown(weights)}")
    for name, rank in (("dense/bias", 1), ("embedding", 2)):
        found = weights.get(name)
        if name == "embedding" and found is None:
            return len(weights["dense/bias"]), None
        if not isinstance(found, np.ndarray) or found.ndim != rank or found.size == 0:
            raise ValueError(f"weight {name!r} must be an array of rank {rank}, not empty, got {shown(found)}")
    return len(weights["dense/bias"]), weights["embedding"].shape[1]


def decoding_shapes(units: int, vocabulary: int, embedding: int | None) -> dict[str, tuple[int, ...]]:
    """The canonical weights of a decoder, in order."""
    shapes = cell_shapes(embedding or vocabulary, units)
    shapes.update(dense_shapes(units, vocabulary))
    return dict(shapes, embedding=(vocabulary, embedding)) if embedding else shapes


def slot_shapes(shapes: Shapes) -> dict[str, tuple[int, ...]]:
    """Adam's slots for weights of these shapes, in order."""
    found: dict[str, tuple[int, ...]] = {}
    for name, shape in shapes.items():
        found[name + "/Adam"] = found[name + "/Adam_1"] = shape
    return dict(found, **dict.fromkeys(POWERS, ()))


def check_names(what: str, arrays: Any, shapes: Shapes) -> None:
    if not isinstance(arrays, Mapping):
        raise ValueError(f"{what}s must be arrays by name, got {shown(arrays)}")
    expected = ", ".join(shapes)
    for name in shapes:
        if name not in arrays:
            raise ValueError(f"{what} {name!r} is missing; expected are {expected}")
    for name in arrays:
        if name not in shapes:
            raise ValueError(f"{what} {name!r} is unknown; expected are {expected}")


def fits(shape: tuple[int, ...], expected: Sequence[int | str]) -> bool:
    """Whether a shape is the expected one, where a string names a size that is free but at least 1."""
    if len(shape) != len(expected):
        return False
    return all(found >= 1 if isinstance(size, str) else found == size for found, size in zip(shape, expected))


def check_array(name: str, value: Any, dtype: np.dtype, shape: Sequence[int | str]) -> np.ndarray:
    """An array of this dtype and shape (see `fits`)."""
    if not isinstance(value, np.ndarray) or value.dtype != dtype or not fits(value.shape, shape):
        sizes = ", ".join(map(str, shape))
        why = " (the dtype of the weights is that of the whole call)" if getattr(value, "dtype", dtype) != dtype else ""
        raise ValueError(f"{name} must be {dtype} [{sizes}], got {shown(value)}{why}")
    return value


def check_weights(weights: Any, shapes: Shapes) -> np.dtype:
    """The dtype of the call, float32 or float64, after a strict look at names, shapes and dtypes."""
    check_names("weight", weights, shapes)
    first = next(iter(shapes))
    dtype = getattr(weights[first], "dtype", None)
    if dtype not in (np.dtype("float32"), np.dtype("float64")):
        raise ValueError(f"weight {first!r} must be a float32 or float64 array, got {shown(weights[first])}")
    for name, shape in shapes.items():
        check_array(f"weight {name!r}", weights[name], dtype, shape)
    return dtype


def check_slots(slots: Any, shapes: Shapes, dtype: np.dtype) -> None:
    """Adam's slots for weights of these shapes: moments in the dtype of the weights, powers in float32."""
    expected = slot_shapes(shapes)
    check_names("slot", slots, expected)
    for name, shape in expected.items():
        if name in POWERS:
            check_array(f"slot {name!r}", np.asarray(slots[name]), np.dtype("float32"), shape)
        else:
            check_array(f"slot {name!r}", slots[name], dtype, shape)


def check_inputs(inputs: Any, size: int, dtype: np.dtype) -> np.ndarray:
    return check_array("inputs", inputs, dtype, ("batch", "steps", size))


def check_integers(name: str, value: Any, shape: Sequence[int | str]) -> np.ndarray:
    found = np.asarray(value)
    if found.dtype.kind not in "iu" or not fits(found.shape, shape):
        sizes = ", ".join(map(str, shape))
        raise ValueError(f"{name} must be integers [{sizes}], got {shown(value)}")
    return found


def check_lengths(lengths: Any, batch: int) -> np.ndarray | None:
    return None if lengths is None else check_integers("lengths", lengths, (batch,))


def check_targets(model: Any, targets: Any, inputs: np.ndarray) -> np.ndarray:
    """A classifier's labels, each a class; a regressor's values, in the dtype of the inputs; a speller's tokens."""
    batch, steps, _ = inputs.shape
    if model.kind == "regressor":
        return check_array("targets", targets, inputs.dtype, (batch, steps, model.outputs))
    if model.kind == "speller":
        return check_tokens("targets", targets, batch, model.outputs)
    labels = check_integers("targets", targets, (batch,))
    wrong = np.flatnonzero((labels < 0) | (labels >= model.outputs))
    if len(wrong):
        # TensorFlow raises InvalidArgumentError on a CPU, and gives NaN on a GPU.
        row = wrong[0]
        raise ValueError(f"targets must be classes from 0 to {model.outputs - 1}, got targets[{row}] = {labels[row]}")
    return labels


def check_token(name: str, value: Any, vocabulary: int) -> int:
    if check_integer(name, value, 0) >= vocabulary:
        raise ValueError(f"{name} must be a token from 0 to {vocabulary - 1}, got {value}")
    return int(value)


def check_tokens(name: str, tokens: Any, batch: int, vocabulary: int) -> np.ndarray:
    """Tokens [batch, steps], each of the vocabulary. TensorFlow's one_hot takes others as zeros, without a word."""
    found = check_integers(name, tokens, (batch, "steps"))
    wrong = np.argwhere((found < 0) | (found >= vocabulary))
    if len(wrong):
        row, step = wrong[0]
        raise ValueError(
            f"{name} must be tokens from 0 to {vocabulary - 1}, got {name}[{row}, {step}] = {found[row, step]}"
        )
    return found


def check_batches(batches: Any, rows: int) -> np.ndarray:
    """Row numbers [iterations, batch]; no iterations at all is allowed."""
    found = np.asarray(batches)
    if found.dtype.kind not in "iu" or found.ndim != 2 or found.shape[1] < 1:
        raise ValueError(f"batches must be integers [iterations, batch], got {shown(batches)}")
    if found.size and (found.min() < 0 or found.max() >= rows):
        wrong = found.min() if found.min() < 0 else found.max()
        raise ValueError(f"batches must be row numbers from 0 to {rows - 1}, got {wrong}")
    return found
