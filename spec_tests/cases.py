"""Questions that can be put to any backend: a method of the contract and its arguments, made from fixed NumPy streams.

The recorder puts them to TensorFlow 1.15.5, the suite compares each backend with what was recorded, and the comparison
puts the same ones to several backends. Data that can see (design law 4): every dimension differs, biases are not zero,
weights have no symmetry, activations are not saturated. Python 3.7 syntax: the recorder runs beside TensorFlow 1.15.5.
"""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

import numpy as np

from data import batches, mnist, series
from data.programs import MNIST, SERIES, Cell, Model, Program

BATCH, STEPS, INPUTS, UNITS = 4, 6, 3, 5
LENGTHS: Dict[str, Optional[List[int]]] = {
    "none": None,
    "mixed": [2, 6, 1, 4],
    "zero": [3, 0, 6, 0],
    "all_shorter": [4, 1, 3, 2],
}
ACTIVATIONS = ("tanh", "relu")
DTYPES = ("float32", "float64")
RESULT_NAMES = {
    "two_step": ("y0", "y1"),
    "static_rnn": ("outputs", "state"),
    "dynamic_rnn": ("outputs", "state"),
}


class Case(NamedTuple):
    """One question: `getattr(backend, method)(**arguments)`."""

    name: str
    method: str
    arguments: Dict[str, Any]


def _stream(name: str) -> np.random.RandomState:
    """A private stream per case, so that adding one leaves the others as they were."""
    return np.random.RandomState(sum(ord(letter) * (31 + place) for place, letter in enumerate(name)) % 2**31)


def _draw(stream: np.random.RandomState, dtype: str, *shape: int) -> np.ndarray:
    """Uniform on ±0.8: far from tanh's flat ends, and on both sides of ReLU's corner."""
    return stream.uniform(-0.8, 0.8, shape).astype(dtype)


def cell_weights(stream: np.random.RandomState, dtype: str, inputs: int, units: int) -> Dict[str, np.ndarray]:
    return {"kernel": _draw(stream, dtype, inputs + units, units), "bias": _draw(stream, dtype, units)}


def small_cases(dtype: str) -> Iterator[Case]:
    """Programs 1 to 4 and 6 on small arrays, over activations, lengths, initial state and unrolling."""
    for activation in ACTIVATIONS:
        cell = Cell("basic_rnn", UNITS, activation)
        name = "two_step-%s" % activation
        stream = _stream(name)
        yield Case(
            name,
            "two_step",
            {
                "cell": cell,
                "weights": cell_weights(stream, dtype, INPUTS, UNITS),
                "x0": _draw(stream, dtype, BATCH, INPUTS),
                "x1": _draw(stream, dtype, BATCH, INPUTS),
            },
        )
        for lengths in LENGTHS:
            for given in (False, True):
                for case in _rnn_cases(cell, lengths, given, dtype):
                    yield case
    yield Case(
        "in_top_k",
        "in_top_k",
        {
            "logits": np.array(
                [[1, 3, 3, 0], [1, 3, 3, 0], [2, 2, 2, 2], [np.nan, 1, 0, 0], [np.inf, 1, 0, 0], [0, 1, 2, 3]], "float32"
            ),
            "targets": np.array([0, 2, 3, 1, 0, 3]),
            "k": 2,
        },
    )


def _rnn_cases(cell: Cell, lengths: str, with_state: bool, dtype: str) -> Iterator[Case]:
    name = "%s-lengths_%s-%s" % (cell.activation, lengths, "state" if with_state else "no_state")
    stream = _stream(name)
    inputs = _draw(stream, dtype, BATCH, STEPS, INPUTS)
    given = LENGTHS[lengths]
    shared = {
        "cell": cell,
        "weights": cell_weights(stream, dtype, INPUTS, UNITS),
        "lengths": None if given is None else np.array(given),
        "initial_state": _draw(stream, dtype, BATCH, UNITS) if with_state else None,
    }
    output_gradients = _draw(stream, dtype, BATCH, STEPS, UNITS)
    state_gradient = _draw(stream, dtype, BATCH, UNITS)
    yield Case("static_rnn-" + name, "static_rnn", dict(shared, inputs=list(np.moveaxis(inputs, 1, 0))))
    yield Case("dynamic_rnn-" + name, "dynamic_rnn", dict(shared, inputs=inputs))
    for unrolling in ("static", "dynamic"):
        yield Case(
            "%s_gradients-%s" % (unrolling, name),
            "rnn_gradients",
            dict(
                shared,
                inputs=inputs,
                output_gradients=output_gradients,
                state_gradient=state_gradient,
                unrolling=unrolling,
            ),
        )


def model_weights(model: Model, dtype: str, seed: int = 1) -> Dict[str, np.ndarray]:
    """TF1's initial values (Glorot uniform kernels, zero biases) from a NumPy stream: the same in every framework."""
    stream = np.random.RandomState(seed)
    weights = {}
    for name, shape in model.weight_shapes().items():
        if len(shape) == 2:
            limit = np.sqrt(6.0 / (shape[0] + shape[1]))  # Glorot and Bengio 2010, equation 16
            weights[name] = stream.uniform(-limit, limit, shape).astype("float32").astype(dtype)
        else:
            weights[name] = np.zeros(shape, dtype)
    return weights


def with_projection(program: Program, projection: str) -> Program:
    return program._replace(model=program.model._replace(projection=projection))


# The three training programs of the chapter, by name.
TRAINING: Dict[str, Program] = {
    "mnist": MNIST,
    "series-stacked": SERIES,
    "series-wrapped": with_projection(SERIES, "wrapped"),
}


def program_rows(program: Program, dtype: str) -> Tuple[np.ndarray, np.ndarray]:
    """The program's own training data: (inputs [rows, steps, inputs], targets)."""
    if program.name == "mnist":
        train = mnist.load().train
        return train.images.astype(dtype), train.labels
    return series.training_pair(dtype)


def training_case(name: str, dtype: str, iterations: int, seed: int = 1) -> Case:
    """`iterations` steps of a training program at its real size, from fixed weights on the fixed batch stream."""
    program = TRAINING[name]
    inputs, targets = program_rows(program, dtype)
    return Case(
        "%s-%d" % (name, iterations),
        "train",
        {
            "model": program.model,
            "weights": model_weights(program.model, dtype, seed),
            "optimizer": program.optimizer,
            "inputs": inputs,
            "targets": targets,
            "batches": batches.BatchStream(len(inputs), program.batch, seed).take(iterations),
        },
    )


def named_results(case: Case, result: Any) -> Dict[str, np.ndarray]:
    """A method's answer as arrays by name; the list of static_rnn's outputs becomes [batch, steps, units]."""
    if case.method == "train":
        losses, weights, slots = result
        named = {"losses": losses}
        named.update({"weights/" + name: array for name, array in weights.items()})
        named.update({"slots/" + name: array for name, array in slots.items()})
        return {name: np.asarray(array) for name, array in named.items()}
    if isinstance(result, dict):
        return dict(result)
    if case.method not in RESULT_NAMES:
        return {"result": np.asarray(result)}
    named = dict(zip(RESULT_NAMES[case.method], result))
    if isinstance(named.get("outputs"), list):
        named["outputs"] = np.stack(named["outputs"], axis=1)
    return named
