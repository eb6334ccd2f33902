"""The cell, h' = f(concat(x, h) @ kernel + bias): what each weight means, in each way of unrolling.

Small integers and ReLU make most of these exact.
"""

import numpy as np

from spec_tests import oracle
from spec_tests.questions import makers
from spec_tests.questions.makers import BATCH, INPUTS, UNITS, run
from spec_tests.suite.marks import each_activation, each_dtype, each_unrolling, each_way, needs, refused
from spec_tests.tolerances import exact
from unrolled import networks
from unrolled.networks import GRU, LSTM, BasicRNN, Bidirectional, Dropout, Layers, Network

RELU = BasicRNN(UNITS, "relu")
# Of every kind but the plain one; for dropout, whose masks no method takes, there is no capability yet.
OTHERS: list[Network] = [
    LSTM(UNITS),
    GRU(UNITS),
    Layers((RELU,)),
    Bidirectional(RELU, RELU),
    Layers((LSTM(UNITS), Dropout(RELU))),
]
# input-to-unit rows, then unit-to-unit rows: all different, all positive.
KERNEL = np.arange(1.0, 1.0 + (INPUTS + UNITS) * UNITS).reshape(INPUTS + UNITS, UNITS)
INPUT_KERNEL, RECURRENT_KERNEL = KERNEL[:INPUTS], KERNEL[INPUTS:]
NO_BIAS = np.zeros(UNITS)
ROWS = np.arange(BATCH * 2 * INPUTS, dtype=float).reshape(BATCH, 2, INPUTS) % 7


def float32_weights(kernel, bias):
    return {"kernel": kernel.astype("float32"), "bias": bias.astype("float32")}


@needs("relu", "float32")
@each_way
def test_input_rows_of_the_kernel_come_first(backend, way):
    """From a zero state the first step sees only the first `inputs` rows of the kernel."""
    outputs, _ = run(backend, way, RELU, float32_weights(KERNEL, NO_BIAS), ROWS.astype("float32"))
    exact(outputs[:, 0], ROWS[:, 0] @ INPUT_KERNEL, "the first output, x @ kernel[:inputs]")


@needs("relu", "float32")
@each_way
def test_recurrent_kernel_is_not_transposed(backend, way):
    """A second step without input sees only the state: y0 @ kernel[inputs:]."""
    inputs = ROWS.astype("float32")
    inputs[:, 1] = 0
    outputs, _ = run(backend, way, RELU, float32_weights(KERNEL, NO_BIAS), inputs)
    first = ROWS[:, 0] @ INPUT_KERNEL
    exact(outputs[:, 1], first @ RECURRENT_KERNEL, "the second output, y0 @ kernel[inputs:]")


@needs("relu", "float32")
@each_way
def test_bias_is_added_exactly_once_per_step(backend, way):
    bias = np.array([3.0, 5.0, 7.0, 11.0])
    kernel = np.concatenate([np.zeros((INPUTS, UNITS)), np.eye(UNITS)])
    outputs, _ = run(backend, way, RELU, float32_weights(kernel, bias), ROWS.astype("float32"))
    exact(outputs[:, 0], np.tile(bias, (BATCH, 1)), "the first output, the bias itself")
    exact(outputs[:, 1], np.tile(2 * bias, (BATCH, 1)), "the second output, twice the bias")


@each_way
@each_activation
@each_dtype
def test_activation_is_the_one_the_network_names(backend, way, activation, dtype, compare):
    """With a zero kernel every output is f(bias), on both sides of 0 and far out."""
    network = BasicRNN(UNITS, activation)
    bias = np.array([-9.0, -0.3, 0.4, 2.5], dtype)
    weights = {"kernel": np.zeros((INPUTS + UNITS, UNITS), dtype), "bias": bias}
    outputs, _ = run(backend, way, network, weights, ROWS.astype(dtype))
    expected = np.tile(oracle.ACTIVATIONS[activation](bias.astype(float)), (BATCH, 2, 1))
    compare("outputs", outputs, expected, dtype, "%s of the bias" % activation)


@needs("float64")
@each_unrolling
def test_kind_of_network_that_is_not_offered_is_an_error(backend, unrolling):
    """Also where it lies within another. Its weights and inputs are right."""
    for network in OTHERS:
        if {each.kind for each in networks.within(network)} <= backend.capabilities:
            continue
        weights = makers.drawn(np.random.RandomState(1), network.weights(INPUTS), "float64")
        with refused("kind"):
            run(backend, unrolling, network, weights, ROWS)
