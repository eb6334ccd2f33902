"""Test data that can see: dimensions all different, asymmetric weights, non-zero bias, unsaturated activations.

Everything is drawn from np.random.RandomState, so that a case is the same on every machine. Python 3.7 syntax.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Iterable, NamedTuple

import numpy as np

from unrolled import initial_values, networks
from unrolled.models import Model
from unrolled.networks import BasicRNN, Network
from unrolled.programs import MNIST, SERIES, Adam, Program

# All different, also inputs + units, so that no two axes can be confused.
BATCH, STEPS, INPUTS, UNITS, OUTPUTS = 6, 5, 3, 4, 2

# Lengths of BATCH rows of STEPS steps.
LENGTHS: dict[str, np.ndarray] = {
    name: np.array(rows)
    for name, rows in {
        "mixed": [5, 4, 3, 2, 1, 0],
        "unsorted": [2, 5, 0, 1, 4, 3],
        "zero and one": [1, 0, 1, 1, 0, 0],
        "all shorter": [3, 1, 2, 3, 0, 2],
        "all full": [5] * 6,
        "all one": [1] * 6,
        "all zero": [0] * 6,
    }.items()
}


# Those of the chapter's programs.
ACTIVATIONS = ("tanh", "relu")


def with_kinds(capabilities: Iterable[str]) -> frozenset[str]:
    """Capabilities with the kinds of network that they speak of: an activation alone is that of a basic_rnn."""
    named = frozenset(capabilities)
    return named | {BasicRNN.kind} if named & set(ACTIVATIONS) and not named & set(networks.KINDS) else named


class Sequences(NamedTuple):
    """A network, its weights, and sequences for it, with a cost's derivatives by outputs and final state, and the masks
    of its dropouts."""

    network: Network
    weights: dict[str, np.ndarray]
    inputs: np.ndarray  # [batch, steps, inputs]
    initial_state: dict[str, np.ndarray]  # each part [batch, width]
    output_gradients: np.ndarray  # [batch, steps, output_size]
    state_gradients: dict[str, np.ndarray]  # each part [batch, width]
    masks: dict[str, np.ndarray]  # each [batch, steps, width] or [width]; none where it has no dropout

    @property
    def cost(self) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """The derivatives by outputs and by the final state."""
        return self.output_gradients, self.state_gradients


class Supervised(NamedTuple):
    """A model, its weights, and rows with targets for it."""

    model: Model
    weights: dict[str, np.ndarray]
    inputs: np.ndarray  # [rows, steps, inputs], or int64 tokens [rows, steps]
    targets: np.ndarray  # int64 [rows], int64 [rows, steps] of a tagger, or [rows, steps, outputs]


def kernel(random: np.random.RandomState, rows: int, columns: int, dtype: str) -> np.ndarray:
    """Uniform within 0.8 sqrt(3 / rows): pre-activations stay near 1, where tanh bends but is not saturated."""
    limit = 0.8 * np.sqrt(3.0 / rows)
    return random.uniform(-limit, limit, (rows, columns)).astype(dtype)


def bias(random: np.random.RandomState, size: int, dtype: str) -> np.ndarray:
    """Away from zero, of both signs."""
    return (random.uniform(0.1, 0.5, size) * random.choice([-1.0, 1.0], size)).astype(dtype)


def drawn(random: np.random.RandomState, weights: networks.Weights, dtype: str) -> dict[str, np.ndarray]:
    """Random weights of these names and shapes: kernels, biases and other vectors, gammas away from 1, and embeddings
    as large as inputs."""
    found = {}
    for name, shape in networks.shapes(weights).items():
        last = name.split("/")[-1]
        if last == "embedding":
            found[name] = random.normal(size=shape).astype(dtype)
        elif last == "bias" or len(shape) == 1:
            found[name] = bias(random, int(np.prod(shape)), dtype).reshape(shape)
        else:
            found[name] = kernel(random, shape[0], shape[1], dtype)
        if last == "gamma":
            found[name] += 1
    return found


def sequences(
    dtype: str,
    activation: str = "tanh",
    batch: int = BATCH,
    steps: int = STEPS,
    inputs: int = INPUTS,
    units: int = UNITS,
    seed: int = 1,
) -> Sequences:
    """A random case of the given sizes for a basic_rnn."""
    return sequences_of(BasicRNN(units, activation), dtype, batch, steps, inputs, seed)


def sequences_of(
    network: Network, dtype: str, batch: int = BATCH, steps: int = STEPS, inputs: int = INPUTS, seed: int = 1
) -> Sequences:
    """The same for a network."""
    random = np.random.RandomState(seed)
    return Sequences(
        network,
        drawn(random, network.weights(inputs), dtype),
        random.normal(size=(batch, steps, inputs)).astype(dtype),
        state_of(random, network, batch, dtype),
        random.normal(size=(batch, steps, network.output_size)).astype(dtype),
        {name: random.normal(size=(batch, width)).astype(dtype) for name, width in network.state.items()},
        masks_of(random, network, batch, steps, inputs, dtype),
    )


def state_of(random: np.random.RandomState, network: Network, batch: int, dtype: str) -> dict[str, np.ndarray]:
    """A random state, whole."""
    return {name: random.uniform(-0.8, 0.8, (batch, width)).astype(dtype) for name, width in network.state.items()}


def masks_of(
    random: np.random.RandomState, network: Network, batch: int, steps: int, inputs: int, dtype: str
) -> dict[str, np.ndarray]:
    """Random masks, whole: each entry is 1 with the probability that the network keeps it with."""
    found = {}
    for name, mask in network.masks(inputs).items():
        shape = ((batch, steps) if mask.per_step else ()) + (mask.width,)
        found[name] = (random.uniform(size=shape) < mask.keep).astype(dtype)
    return found


def masks_within(masks: dict[str, np.ndarray], rows: Any, steps: int) -> dict[str, np.ndarray]:
    """Those of some rows, and of the first steps."""
    return {name: mask[rows, :steps] if mask.ndim == 3 else mask for name, mask in masks.items()}


def only_given(masks: dict[str, np.ndarray] | None) -> dict[str, Any]:
    """The argument `masks`, where there are any: a backend without dropout does not have it."""
    return {"masks": masks} if masks else {}


def rows_of(state: dict[str, np.ndarray], rows: Any) -> dict[str, np.ndarray]:
    """Some rows of every part of a state."""
    return {name: part[rows] for name, part in state.items()}


def padded(inputs: np.ndarray, lengths: np.ndarray, value: float) -> np.ndarray:
    """A copy of inputs [batch, steps, ...] with `value` on every step past a row's length."""
    result = inputs.copy()
    result[padding_of(inputs, lengths)] = value
    return result


def padding_of(inputs: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Which steps are padding: bool [batch, steps]."""
    return np.arange(inputs.shape[1]) >= np.asarray(lengths)[:, None]


def model(form: str, inputs: int = INPUTS, units: int = UNITS, outputs: int = OUTPUTS) -> Model:
    """A small model: form is "classifier" (tanh), or the regressor's projection, "stacked" or "wrapped" (relu)."""
    if form == "classifier":
        return Model("classifier", BasicRNN(units), inputs, outputs)
    return Model("regressor", BasicRNN(units, "relu"), inputs, outputs, form)


def model_weights(chosen: Model, dtype: str, seed: int = 2) -> dict[str, np.ndarray]:
    """Random weights for a model, biases included."""
    return drawn(np.random.RandomState(seed), chosen.weights(), dtype)


def inputs_for(chosen: Model, random: np.random.RandomState, rows: int, steps: int, dtype: str) -> np.ndarray:
    """Normal values, or random tokens for an embedding."""
    if chosen.embedding:
        return random.randint(0, chosen.inputs, (rows, steps))
    return random.normal(size=(rows, steps, chosen.inputs)).astype(dtype)


def targets_for(chosen: Model, random: np.random.RandomState, rows: int, steps: int, dtype: str) -> np.ndarray:
    """Random classes, or values of both signs."""
    if chosen.kind == "classifier":
        return random.randint(0, chosen.outputs, rows)
    if chosen.kind == "tagger":
        return random.randint(0, chosen.outputs, (rows, steps))
    return random.normal(size=(rows, steps, chosen.outputs)).astype(dtype)


def supervised(form: str, dtype: str, rows: int = BATCH, steps: int = STEPS, seed: int = 3) -> Supervised:
    """A small random case for a model; a classifier has more classes than OUTPUTS, so that labels vary."""
    chosen = model(form, outputs=8 if form == "classifier" else OUTPUTS)
    random = np.random.RandomState(seed)
    inputs = random.normal(size=(rows, steps, chosen.inputs)).astype(dtype)
    return Supervised(chosen, model_weights(chosen, dtype), inputs, targets_for(chosen, random, rows, steps, dtype))


class Training(NamedTuple):
    """A training run: the first arguments of `train`, in its order."""

    model: Model
    weights: dict[str, np.ndarray]
    optimizer: Adam
    inputs: np.ndarray
    targets: np.ndarray
    batches: np.ndarray  # int64 [iterations, batch]


def small_training(form: str, dtype: str, iterations: int = 6, seed: int = 4) -> Training:
    """A few steps on a small model, with batches of 3 rows in a random order."""
    rows = supervised(form, dtype)
    batches = np.random.RandomState(seed).randint(0, BATCH, (iterations, 3))
    return Training(rows.model, rows.weights, Adam(), rows.inputs, rows.targets, batches)


def initial_weights(chosen: Model, dtype: str, seed: int) -> dict[str, np.ndarray]:
    """TF1's initial values for a model, drawn in float32, so that both dtypes start from the same values."""
    weights = initial_values.draw(chosen.weights(), np.random.RandomState(seed))
    return {name: array.astype(dtype) for name, array in weights.items()}


# The three training programs of the chapter: the classifier, and the regressor in both forms.
TRAINING: dict[str, Program] = {
    "mnist": MNIST,
    "series-stacked": SERIES,
    "series-wrapped": SERIES._replace(model=replace(SERIES.model, projection="wrapped")),
}
# The same at their real shapes, with few rows, so that a step is quick: (rows, batch).
PROGRAM_ROWS = {"mnist": (20, 8), "series-stacked": (1, 1), "series-wrapped": (1, 1)}


def program_training(name: str, dtype: str, iterations: int = 60, seed: int = 12) -> Training:
    """A program at its real shapes, with Glorot kernels and biases that are not zero, on small batches of random rows.

    The seed is one with which no unit of the series' ReLU passes its corner within a rounding: where one does, two
    right float32 runs part by 1e-2 in 60 steps.
    """
    program = TRAINING[name]
    random = np.random.RandomState(seed)
    weights = initial_weights(program.model, dtype, seed)
    for each in ("bias", "dense/bias"):
        weights[each] = bias(random, weights[each].size, dtype)
    rows, batch = PROGRAM_ROWS[name]
    inputs = random.uniform(0.0, 1.0, (rows, program.steps, program.model.inputs)).astype(dtype)
    targets = targets_for(program.model, random, rows, program.steps, dtype)
    batches = random.randint(0, rows, (iterations, batch))
    return Training(program.model, weights, program.optimizer, inputs, targets, batches)


def counting_weights(dtype: str, inputs: int, units: int) -> dict[str, np.ndarray]:
    """With ReLU: h' = h + 1 in every unit, whatever the inputs. Exact in every dtype."""
    recurrent = np.eye(units)
    return {
        "kernel": np.concatenate([np.zeros((inputs, units)), recurrent]).astype(dtype),
        "bias": np.ones(units, dtype),
    }


def reading_weights(dtype: str, inputs: int, units: int) -> dict[str, np.ndarray]:
    """With ReLU: unit 0 reads input 0 as binary digits, h0' = 2 h0 + x0; unit j delays it, h_j' = (h_j-1 before).

    Unit 1 then holds what unit 0 was a step earlier, and so on. Exact in every dtype; no bias.
    """
    weights = np.zeros((inputs + units, units))
    weights[0, 0] = 1.0
    weights[inputs, 0] = 2.0
    for j in range(1, units):
        weights[inputs + j - 1, j] = 1.0
    return {"kernel": weights.astype(dtype), "bias": np.zeros(units, dtype)}


def run(
    backend: Any,
    unrolling: str,
    network: Network,
    weights: dict[str, np.ndarray],
    inputs: np.ndarray,
    lengths: np.ndarray | None = None,
    initial_state: dict[str, np.ndarray] | None = None,
    masks: dict[str, np.ndarray] | None = None,
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Ask a backend to unroll inputs [batch, steps, inputs] in the named way: outputs [batch, steps, output_size], and
    the state by its parts."""
    if unrolling == "by hand":
        y0, y1 = backend.two_step(network, weights, inputs[:, 0], inputs[:, 1])
        return np.stack([y0, y1], axis=1), {"h": y1}
    if unrolling == "dynamic":
        return backend.dynamic_rnn(network, weights, inputs, lengths, initial_state, **only_given(masks))
    outputs, state = backend.static_rnn(network, weights, steps_of(inputs), lengths, initial_state, **only_given(masks))
    assert len(outputs) == inputs.shape[1], "static_rnn gives %d outputs for %d steps" % (len(outputs), inputs.shape[1])
    return np.stack(outputs, axis=1), state


def steps_of(inputs: np.ndarray) -> list[np.ndarray]:
    """[batch, steps, inputs] as a list of contiguous arrays [batch, inputs]."""
    return [np.ascontiguousarray(inputs[:, t]) for t in range(inputs.shape[1])]
