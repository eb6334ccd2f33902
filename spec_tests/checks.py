"""The contract's rules for arguments, as checks that raise its ValueErrors.

The oracle uses them; so may any backend that lives in the same process and works on NumPy arrays as they come in. Each
error names the argument, what was found and what was expected.
"""

from __future__ import annotations

from typing import Any, Sequence

import numpy as np

from spec_tests.capabilities import CAPABILITIES
from spec_tests.contract import Masks, Slots, State, Weights
from unrolled import networks
from unrolled.models import Model
from unrolled.networks import BasicRNN, Network

KINDS = [kind for kind in networks.KINDS if kind in CAPABILITIES]
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


def check_network(network: Network, kinds: Sequence[str] = KINDS) -> None:
    """One of `unrolled.networks`, which checks its own fields, and of one of these kinds, also within: by default those
    that the contract has a capability for."""
    need(networks.is_network(network), "network", repr(network), "one of unrolled.networks")
    for each in networks.within(network):
        if each.kind not in kinds:
            raise ValueError("network kind must be %s here, got %r" % (" or ".join(map(repr, kinds)), each.kind))


def check_model(model: Model) -> None:
    """One of `unrolled.models`, which checks its own fields, with a network as above."""
    need(isinstance(model, Model), "model", repr(model), "an unrolled.models.Model")
    check_network(model.network)


def check_parts(argument: str, network: Network, state: State) -> None:
    """Every part of a network's state, and no other."""
    expected = "a dict of exactly %s" % ", ".join(network.state)
    need(isinstance(state, dict), argument, type(state).__name__, expected)
    for name in network.state:
        need(name in state, argument, "no part %r" % name, expected)
    for name in state:
        need(name in network.state, argument, "an unknown part %r" % name, expected)


def check_state(argument: str, network: Network, state: State, batch: int, dtype: np.dtype) -> None:
    """A whole state, or the derivatives by one: every part [batch, width]."""
    check_parts(argument, network, state)
    for name, width in network.state.items():
        check_array("%s/%s" % (argument, name), state[name], (batch, width), dtype)


def check_sequences(
    network: Network,
    weights: Weights,
    inputs: np.ndarray,
    lengths: np.ndarray | None = None,
    initial_state: State | None = None,
    masks: Masks | None = None,
) -> np.dtype:
    """What `dynamic_rnn` is given. Returns the dtype of the weights."""
    check_network(network)
    need(np.ndim(inputs) == 3, "inputs", "shape %s" % list(np.shape(inputs)), "[batch, steps, inputs]")
    batch, steps, values = inputs.shape
    need(batch and steps and values, "inputs", "shape %s" % list(inputs.shape), "no empty dimension")
    dtype = check_weights(weights, networks.shapes(network.weights(values)))
    check_array("inputs", inputs, inputs.shape, dtype)
    if lengths is not None:
        check_integers("lengths", lengths, batch, 0, steps)
    if initial_state is not None:
        check_state("initial_state", network, initial_state, batch, dtype)
    if masks is not None:
        check_masks(network, masks, inputs.shape, dtype)
    return dtype


def check_masks(network: Network, masks: Masks, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Every mask of a network for inputs of a shape [batch, steps, inputs], and no other, of ones and zeros."""
    batch, steps, inputs = shape
    asked = network.masks(inputs)
    expected = "a dict of exactly %s" % (", ".join(asked) or "no masks")
    need(isinstance(masks, dict), "masks", type(masks).__name__, expected)
    for name in asked:
        need(name in masks, "masks", "no %r" % name, expected)
    for name in masks:
        need(name in asked, "masks", "an unknown %r" % name, expected)
    for name, mask in asked.items():
        check_array("masks/" + name, masks[name], ((batch, steps) if mask.per_step else ()) + (mask.width,), dtype)
        wrong = np.setdiff1d(masks[name], [0, 1])
        need(wrong.size == 0, "masks/" + name, wrong[:1].tolist(), "zeros and ones")


def check_two_step(network: Network, weights: Weights, x0: np.ndarray, x1: np.ndarray) -> np.dtype:
    """What `two_step` is given. Returns the dtype of the weights."""
    check_network(network, [BasicRNN.kind])
    need(np.ndim(x0) == 2, "x0", "shape %s" % list(np.shape(x0)), "[batch, inputs]")
    dtype = check_sequences(network, weights, np.asarray(x0)[:, None])
    check_array("x1", x1, x0.shape, dtype)
    return dtype


def check_steps(inputs: list[np.ndarray]) -> None:
    """What `static_rnn` is given as inputs; stacked on axis 1 they are then for `check_sequences`."""
    shapes = {np.shape(x) for x in inputs}
    need(len(shapes) == 1, "inputs", "shapes %s" % sorted(shapes), "one array [batch, inputs] per step, all alike")


def check_cost(
    network: Network,
    inputs: np.ndarray,
    output_gradients: np.ndarray | None,
    state_gradients: State | None,
    unrolling: str,
    dtype: np.dtype,
) -> None:
    """What `rnn_gradients` is given beside the sequences."""
    given = output_gradients is not None or state_gradients is not None
    need(given, "output_gradients and state_gradients", "neither", "at least one")
    need(unrolling in ("static", "dynamic"), "unrolling", repr(unrolling), "'static' or 'dynamic'")
    if output_gradients is not None:
        check_array("output_gradients", output_gradients, inputs.shape[:2] + (network.output_size,), dtype)
    if state_gradients is not None:
        check_state("state_gradients", network, state_gradients, len(inputs), dtype)


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
    dtype = check_weights(weights, networks.shapes(model.weights()))
    if model.embedding:
        check_tokens("inputs", inputs, np.shape(inputs)[0] if np.ndim(inputs) else 0, model.inputs)
    else:
        check_array("inputs", inputs, ("batch", "steps", model.inputs), dtype)
    batch, steps = np.shape(inputs)[:2]
    need(batch and steps, "inputs", "shape %s" % list(np.shape(inputs)), "no empty dimension")
    if lengths is not None:
        check_integers("lengths", lengths, batch, 0, steps)
    if targets is not None:
        check_targets(model, targets, batch, steps, lengths, dtype)
    return dtype


def check_targets(model: Model, targets: Any, batch: int, steps: int, lengths: Any, dtype: np.dtype) -> None:
    """What a model's loss is given as targets, for so many rows and steps of inputs."""
    if model.kind == "speller":
        check_tokens("targets", targets, batch, model.outputs)
    elif model.kind == "classifier":
        check_integers("targets", targets, batch, 0, model.outputs - 1)
    elif model.kind == "tagger":
        need(np.shape(targets) == (batch, steps), "targets", "shape %s" % list(np.shape(targets)), "[batch, steps]")
        valid = np.arange(steps) < np.reshape(batch * [steps] if lengths is None else lengths, (batch, 1))
        counted = np.asarray(targets)[valid]
        check_integers("targets", counted, counted.size, 0, model.outputs - 1)
    else:
        check_array("targets", targets, (batch, steps, model.outputs), dtype)


def check_tokens(argument: str, tokens: np.ndarray, batch: int, vocabulary: int) -> None:
    shape = np.shape(tokens)
    need(len(shape) == 2 and shape[0] == batch and shape[1], argument, "shape %s" % list(shape), "[%d, steps]" % batch)
    check_integers(argument, np.ravel(tokens), np.size(tokens), 0, vocabulary - 1)


def check_decoding(network: Network, weights: Weights, initial_state: State, start: int, end: int) -> np.dtype:
    """What `decode` and `decode_gradients` are given. Returns the dtype of the weights."""
    check_network(network)
    need(
        network.stepwise, "network", "kind %r" % network.kind, "one that reads in one direction, to write step by step"
    )
    vocabulary = np.size(weights.get("dense/bias", ()))
    embedding = np.shape(weights["embedding"]) if "embedding" in weights else (vocabulary, vocabulary)
    need(len(embedding) == 2, "weight embedding", "shape %s" % list(embedding), "[vocabulary, inputs]")
    shapes = networks.shapes(network.weights(embedding[1]))
    shapes.update({"dense/kernel": (network.output_size, vocabulary), "dense/bias": (vocabulary,)})
    if "embedding" in weights:
        shapes["embedding"] = (vocabulary, embedding[1])
    dtype = check_weights(weights, shapes)
    check_parts("initial_state", network, initial_state)
    batch = batch_of(initial_state)
    need(batch, "initial_state", "no rows", "at least one")
    check_state("initial_state", network, initial_state, batch, dtype)
    for name, token in (("start", start), ("end", end)):
        check_integers(name, np.array([token]), 1, 0, vocabulary - 1)
    return dtype


def batch_of(state: State) -> int:
    """The rows of a state that has its parts; 0 where the first of them is no array of rows."""
    shape = np.shape(next(iter(state.values())))
    return shape[0] if shape else 0


def check_batches(batches: np.ndarray, rows: int) -> None:
    need(np.ndim(batches) == 2, "batches", "shape %s" % list(np.shape(batches)), "[iterations, batch]")
    check_integers("batches", np.ravel(batches), np.size(batches), 0, rows - 1)


def check_slots(slots: Slots, model: Model, dtype: np.dtype) -> None:
    """The slots' strict table: both moments of every weight, and the two powers."""
    weights = networks.shapes(model.weights())
    shapes = {name + slot: shape for name, shape in weights.items() for slot in ("/Adam", "/Adam_1")}
    powers = ["beta1_power", "beta2_power"]
    need(sorted(slots) == sorted([*shapes, *powers]), "slots", sorted(slots), ", ".join([*shapes, *powers]))
    for name, shape in shapes.items():
        check_array("slot " + name, slots[name], shape, dtype)
    for name in powers:
        check_array("slot " + name, slots[name], (), np.dtype(np.float32))
