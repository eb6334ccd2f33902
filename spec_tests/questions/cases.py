"""Questions that can be put to any backend: a method of the contract and its arguments, made from fixed NumPy streams.

The recorder puts them to TensorFlow 1.15.5, the suite holds each backend to what was recorded, and the comparison puts
the same ones to several backends. Python 3.7 syntax: the recorder runs beside TensorFlow 1.15.5.
"""

from __future__ import annotations

from typing import Any, Iterator, NamedTuple

import numpy as np

from spec_tests.questions import makers
from unrolled.datasets import mnist, series
from unrolled.datasets.batches import BatchStream
from unrolled.programs import Program

# Other sizes than the makers' own, so that the recorded results add to what the suite asks elsewhere.
BATCH, STEPS, INPUTS, UNITS = 4, 6, 3, 5
LENGTHS: dict[str, list[int] | None] = {
    "none": None,
    "mixed": [2, 6, 1, 4],
    "zero": [3, 0, 6, 0],
    "all_shorter": [4, 1, 3, 2],
}
DTYPES = ("float32", "float64")
# What a method returns, where that is several arrays or dicts of arrays; "" takes the names of the dict alone.
RESULT_NAMES = {
    "two_step": ("y0", "y1"),
    "static_rnn": ("outputs", "state"),
    "dynamic_rnn": ("outputs", "state"),
    "decode": ("tokens", "lengths", "finished", "outputs", "state"),
    "decode_gradients": ("loss", ""),
    "loss_gradients": ("loss", ""),
    "train": ("losses", "weights", "slots"),
}


class Case(NamedTuple):
    """One question: `getattr(backend, method)(**arguments)`."""

    name: str
    method: str
    arguments: dict[str, Any]


def small_cases(dtype: str) -> Iterator[Case]:
    """Programs 1 to 4 and 6 on small arrays, over activations, lengths, initial state and unrolling; and in_top_k."""
    for activation in makers.ACTIVATIONS:
        drawn = makers.sequences(dtype, activation, BATCH, STEPS, INPUTS, UNITS)
        x0, x1 = makers.steps_of(drawn.inputs)[:2]
        two_steps = {"network": drawn.network, "weights": drawn.weights, "x0": x0, "x1": x1}
        yield Case("two_step-" + activation, "two_step", two_steps)
        for lengths in LENGTHS:
            for with_state in (False, True):
                yield from _rnn_cases(activation, drawn, lengths, with_state)
    nan, inf = float("nan"), float("inf")
    logits = [[1, 3, 3, 0], [1, 3, 3, 0], [2, 2, 2, 2], [nan, 1, 0, 0], [inf, 1, 0, 0], [0, 1, 2, 3]]
    top = {"logits": np.array(logits, "float32"), "targets": np.array([0, 2, 3, 1, 0, 3]), "k": 2}
    yield Case("in_top_k", "in_top_k", top)


def _rnn_cases(activation: str, drawn: makers.Sequences, lengths: str, with_state: bool) -> Iterator[Case]:
    name = "%s-lengths_%s-%s" % (activation, lengths, "state" if with_state else "no_state")
    given = LENGTHS[lengths]
    shared = {
        "network": drawn.network,
        "weights": drawn.weights,
        "lengths": None if given is None else np.array(given),
        "initial_state": drawn.initial_state if with_state else None,
    }
    yield Case("static_rnn-" + name, "static_rnn", dict(shared, inputs=makers.steps_of(drawn.inputs)))
    yield Case("dynamic_rnn-" + name, "dynamic_rnn", dict(shared, inputs=drawn.inputs))
    cost = {"output_gradients": drawn.output_gradients, "state_gradients": drawn.state_gradients}
    for unrolling in ("static", "dynamic"):
        asked = dict(shared, inputs=drawn.inputs, unrolling=unrolling, **cost)
        yield Case("%s_gradients-%s" % (unrolling, name), "rnn_gradients", asked)


def program_rows(program: Program, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """The program's own training data: (inputs [rows, steps, inputs], targets)."""
    if program.name == "mnist":
        train = mnist.load().train
        return train.images.astype(dtype), train.labels
    return series.training_pair(dtype)


# Seeds of the initial weights. In float32 a ReLU unit of the series that comes within a rounding of its corner, then
# Adam, which steps as far for a tiny gradient as for a large one, turns 1e-7 into 1e-4 within 60 steps: TensorFlow
# 1.15.5 and 2.21 then differ as much as any two backends. With seed 8 no unit comes so close: a difference is a fault.
SEEDS = {"mnist": 1, "series-stacked": 8, "series-wrapped": 8}


def training_case(name: str, dtype: str, iterations: int, seed: int | None = None) -> Case:
    """`iterations` steps of one of `makers.TRAINING` on its real data and at its real size: the weights and the batch
    stream are those of the seed (by default SEEDS), the same in every framework."""
    seed = SEEDS[name] if seed is None else seed
    program = makers.TRAINING[name]
    inputs, targets = program_rows(program, dtype)
    arguments = {
        "model": program.model,
        "weights": makers.initial_weights(program.model, dtype, seed),
        "optimizer": program.optimizer,
        "inputs": inputs,
        "targets": targets,
        "batches": BatchStream(len(inputs), program.batch, seed).take(iterations),
    }
    return Case("%s, %d steps" % (name, iterations), "train", arguments)


def named_results(case: Case, result: Any) -> dict[str, np.ndarray]:
    """A method's answer as arrays by name: "outputs", "state/h", "weights/kernel"; gradients under their own names. The
    list of static_rnn's outputs becomes [batch, steps, output_size]."""
    if isinstance(result, dict):
        return dict(result)
    if case.method not in RESULT_NAMES:
        return {"result": np.asarray(result)}
    named: dict[str, np.ndarray] = {}
    for name, value in zip(RESULT_NAMES[case.method], result):
        if isinstance(value, dict):
            prefix = name + "/" if name else ""
            named.update({prefix + part: np.asarray(array) for part, array in value.items()})
        else:
            named[name] = np.stack(value, axis=1) if isinstance(value, list) else np.asarray(value)
    return named
