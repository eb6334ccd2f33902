"""Arguments of the adapter: each failure is a ValueError of one sentence. NumPy alone; nothing is cast or reshaped.

What TensorFlow takes without a word (a length out of range) passes here too: this is the reference.
"""

from __future__ import annotations

from typing import Any, Iterable, Mapping, Sequence, Tuple

import numpy as np

from unrolled import networks
from unrolled.models import Model
from unrolled.networks import Network

__all__ = ["POWERS", "check_array", "check_batches", "check_kind", "check_state", "check_weights", "slot_shapes"]

POWERS = ("beta1_power", "beta2_power")
Shapes = Mapping[str, Tuple[int, ...]]


def shown(value: Any) -> str:
    """A value as a message shows it: dtype and shape of an array, the start of anything else."""
    if isinstance(value, (np.ndarray, np.generic)):
        return "%s %s" % (value.dtype, list(value.shape))
    return "%s %.60r" % (type(value).__name__, value)


def check_integer(name: str, value: Any, low: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < low:
        raise ValueError("%s must be an integer of at least %d, got %s" % (name, low, shown(value)))
    return int(value)


def check_kind(network: Any, kinds: Iterable[str], stepwise: bool = False) -> None:
    """A network of these kinds, also within; where asked, one that reads in one direction."""
    if not networks.is_network(network):
        raise ValueError("network must be one of unrolled.networks, got %s" % shown(network))
    for each in networks.within(network):
        if each.kind not in kinds:
            raise ValueError("network kind must be %s here, got %r" % (" or ".join(map(repr, kinds)), each.kind))
    if stepwise and not network.stepwise:
        raise ValueError("a network that writes tokens must read in one direction, got kind %r" % network.kind)


def decoding_sizes(weights: Any) -> tuple[int, int | None]:
    """The vocabulary and the values per token that weights for decoding have; None: one-hot."""
    if not isinstance(weights, Mapping):
        raise ValueError("weights must be arrays by name, got %s" % shown(weights))
    ranks = {"dense/bias": 1, "embedding": 2} if "embedding" in weights else {"dense/bias": 1}
    for name, rank in ranks.items():
        found = weights.get(name)
        if not isinstance(found, np.ndarray) or found.ndim != rank or found.size == 0:
            raise ValueError("weight %r must be an array of rank %d, not empty, got %s" % (name, rank, shown(found)))
    return len(weights["dense/bias"]), weights["embedding"].shape[1] if "embedding" in weights else None


def decoding_shapes(network: Network, vocabulary: int, embedding: int | None) -> dict[str, tuple[int, ...]]:
    """The canonical weights of a decoder, in order."""
    dense = {"dense/kernel": (network.output_size, vocabulary), "dense/bias": (vocabulary,)}
    shapes = dict(networks.shapes(network.weights(embedding or vocabulary)), **dense)
    return dict(shapes, embedding=(vocabulary, embedding)) if embedding else shapes


def slot_shapes(shapes: Shapes) -> dict[str, tuple[int, ...]]:
    """Adam's slots for weights of these shapes, in order."""
    found: dict[str, tuple[int, ...]] = {}
    for name, shape in shapes.items():
        found[name + "/Adam"] = found[name + "/Adam_1"] = shape
    return dict(found, **dict.fromkeys(POWERS, ()))


def check_names(what: str, each: str, arrays: Any, expected: Mapping[str, Any]) -> None:
    """what, each: how messages call the arrays and one of them ("weights" and "weight %r")."""
    if not isinstance(arrays, Mapping):
        raise ValueError("%s must be arrays by name, got %s" % (what, shown(arrays)))
    for wrong, names in (("missing", set(expected) - set(arrays)), ("unknown", set(arrays) - set(expected))):
        if names:
            name = min(names, key=str)
            known = "expected are " + ", ".join(expected) if expected else "it has none"
            raise ValueError((each + " is %s; %s") % (name, wrong, known))


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
        raise ValueError("%s must be %s [%s], got %s%s" % (name, dtype, sizes, shown(value), why))
    return value


def check_weights(weights: Any, shapes: Shapes) -> np.dtype:
    """The dtype of the call, float32 or float64, after a strict look at names, shapes and dtypes."""
    check_names("weights", "weight %r", weights, shapes)
    first = next(iter(shapes))
    dtype = getattr(weights[first], "dtype", None)
    if dtype not in (np.dtype("float32"), np.dtype("float64")):
        raise ValueError("weight %r must be a float32 or float64 array, got %s" % (first, shown(weights[first])))
    for name, shape in shapes.items():
        check_array("weight %r" % name, weights[name], dtype, shape)
    return dtype


def check_state(name: str, state: Any, network: Network, dtype: np.dtype, batch: int | str) -> dict[str, np.ndarray]:
    """A whole state, each part under "name/part". batch: that of each part, or a string where it is free."""
    check_names(name, name + "/%s", state, network.state)
    found = {}
    for part, width in network.state.items():
        found[name + "/" + part] = check_array(name + "/" + part, state[part], dtype, (batch, width))
        batch = len(state[part])
    return found


def check_slots(slots: Any, shapes: Shapes, dtype: np.dtype) -> None:
    """Adam's slots for weights of these shapes: moments in the dtype of the weights, powers in float32."""
    expected = slot_shapes(shapes)
    check_names("slots", "slot %r", slots, expected)
    for name, shape in expected.items():
        if name in POWERS:
            check_array("slot %r" % name, np.asarray(slots[name]), np.dtype("float32"), shape)
        else:
            check_array("slot %r" % name, slots[name], dtype, shape)


def check_inputs(inputs: Any, size: int, dtype: np.dtype) -> np.ndarray:
    return check_array("inputs", inputs, dtype, ("batch", "steps", size))


def check_model_inputs(model: Model, inputs: Any, dtype: np.dtype) -> np.ndarray:
    """Values per step, or where the model has an embedding, tokens, also on padded steps."""
    if model.embedding:
        return check_tokens("inputs", inputs, "batch", model.inputs)
    return check_inputs(inputs, model.inputs, dtype)


def check_masks(masks: Any, network: Network, inputs: int, dtype: np.dtype, leading: list[int]) -> dict[str, Any]:
    """The masks of ones and zeros that a network has, whole, each under "masks/name"; none where None. leading: batch
    and steps."""
    if masks is None:
        return {}
    expected = network.masks(inputs)
    check_names("masks", "masks/%s", masks, expected)
    found = {}
    for name, mask in expected.items():
        shape = (*leading, mask.width) if mask.per_step else (mask.width,)
        found["masks/" + name] = array = check_array("masks/" + name, masks[name], dtype, shape)
        wrong = array[(array != 0) & (array != 1)]
        if wrong.size:
            raise ValueError("masks/%s must be ones and zeros, got %r" % (name, wrong.flat[0].item()))
    return found


def check_integers(name: str, value: Any, shape: Sequence[int | str]) -> np.ndarray:
    found = np.asarray(value)
    if found.dtype.kind not in "iu" or not fits(found.shape, shape):
        sizes = ", ".join(map(str, shape))
        raise ValueError("%s must be integers [%s], got %s" % (name, sizes, shown(value)))
    return found


def check_lengths(lengths: Any, batch: int) -> np.ndarray | None:
    return None if lengths is None else check_integers("lengths", lengths, (batch,))


def check_targets(
    model: Model, targets: Any, inputs: np.ndarray, lengths: np.ndarray | None, dtype: np.dtype
) -> np.ndarray:
    """A classifier's labels, each a class, and a tagger's, on valid steps; a regressor's values, in the dtype of the
    weights; a speller's tokens."""
    batch, steps = inputs.shape[:2]
    if model.kind == "regressor":
        return check_array("targets", targets, dtype, (batch, steps, model.outputs))
    if model.kind == "speller":
        return check_tokens("targets", targets, batch, model.outputs)
    labels = check_integers("targets", targets, (batch, steps) if model.kind == "tagger" else (batch,))
    outside = (labels < 0) | (labels >= model.outputs)
    if model.kind == "tagger" and lengths is not None:
        outside &= np.arange(steps) < lengths[:, None]
    wrong = np.argwhere(outside)
    if len(wrong):
        # TensorFlow raises InvalidArgumentError on a CPU, and gives NaN on a GPU.
        where = tuple(wrong[0])
        raise ValueError(
            "targets must be classes from 0 to %d, got targets%s = %d"
            % (model.outputs - 1, wrong[0].tolist(), labels[where])
        )
    return labels


def check_token(name: str, value: Any, vocabulary: int) -> int:
    if check_integer(name, value, 0) >= vocabulary:
        raise ValueError("%s must be a token from 0 to %d, got %d" % (name, vocabulary - 1, value))
    return int(value)


def check_tokens(name: str, tokens: Any, batch: int | str, vocabulary: int) -> np.ndarray:
    """Tokens [batch, steps], each of the vocabulary. TensorFlow's one_hot takes others as zeros, without a word."""
    found = check_integers(name, tokens, (batch, "steps"))
    wrong = np.argwhere((found < 0) | (found >= vocabulary))
    if len(wrong):
        row, step = wrong[0]
        raise ValueError(
            "%s must be tokens from 0 to %d, got %s[%d, %d] = %d"
            % (name, vocabulary - 1, name, row, step, found[row, step])
        )
    return found


def check_batches(batches: Any, rows: int) -> np.ndarray:
    """Row numbers [iterations, batch]; no iterations at all is allowed."""
    found = np.asarray(batches)
    if found.dtype.kind not in "iu" or found.ndim != 2 or found.shape[1] < 1:
        raise ValueError("batches must be integers [iterations, batch], got %s" % shown(batches))
    if found.size and (found.min() < 0 or found.max() >= rows):
        wrong = found.min() if found.min() < 0 else found.max()
        raise ValueError("batches must be row numbers from 0 to %d, got %d" % (rows - 1, wrong))
    return found
