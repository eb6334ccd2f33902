"""The GRU, worked by hand: its gates, the reset gate before the product or after it, and what the update gate keeps."""

import numpy as np
import pytest

from spec_tests.questions.makers import BATCH, INPUTS
from spec_tests.suite.marks import each_dtype, needs
from spec_tests.tolerances import exact
from unrolled.models import Model
from unrolled.networks import GRU

pytestmark = needs("tanh", "dynamic_rnn", "initial_state")
UNITS = 2
R, U = np.array([-0.9, 1.2]), np.array([0.7, -1.6])
H = np.array([0.8, -0.6])
BIAS, RECURRENT = np.array([0.3, -0.5]), np.array([[0.4, -1.1], [0.9, 0.7]])


each_reset = pytest.mark.parametrize(
    "reset_after",
    [
        pytest.param(False, marks=needs("gru"), id="reset before"),
        pytest.param(True, marks=needs("gru_reset_after"), id="reset after"),
    ],
)


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


def weights_of(network, dtype, **more):
    """Kernels of zeros but for the candidate's recurrent rows, the gates by their bias, and more weights, with __ for /
    in their names."""
    found = {name: np.zeros(weight.shape) for name, weight in network.weights(INPUTS).items()}
    found["gates/bias"] = np.concatenate([R, U])
    if network.reset_after:
        found["candidate/hidden_projection/kernel"] = RECURRENT
        found["candidate/input_projection/bias"] = BIAS
    else:
        found["candidate/kernel"][INPUTS:] = RECURRENT
        found["candidate/bias"] = BIAS
    found.update((name.replace("__", "/"), np.asarray(array)) for name, array in more.items())
    return {name: array.astype(dtype) for name, array in found.items()}


def ask(backend, network, weights):
    """One step from H, the same in every row, on inputs of ones: the output and h of one row."""
    dtype = weights["gates/bias"].dtype
    state = {"h": np.tile(H, (BATCH, 1)).astype(dtype)}
    outputs, last = backend.dynamic_rnn(network, weights, np.ones((BATCH, 1, INPUTS), dtype), None, state)
    return outputs[0, 0], last["h"][0]


def updated(n):
    return sigmoid(U) * H + (1.0 - sigmoid(U)) * n


@needs("gru")
@each_dtype
def test_reset_gate_comes_before_the_product(backend, dtype, compare):
    """n = tanh((r h) Kh + b). PyTorch's nn.GRU has tanh(b + r (h Kh))."""
    output, h = ask(backend, GRU(UNITS), weights_of(GRU(UNITS), dtype))
    expected = updated(np.tanh((sigmoid(R) * H) @ RECURRENT + BIAS))
    compare("outputs", output, expected, dtype, "the output of one step")
    compare("state", h, expected, dtype, "h after one step")


@needs("gru_reset_after")
@each_dtype
def test_reset_gate_comes_after_the_product_where_the_network_says_so(backend, dtype, compare):
    """n = tanh(b + r (h Kh + bh)): the hidden bias is reset too."""
    network, hidden_bias = GRU(UNITS, reset_after=True), np.array([-0.7, 0.4])
    weights = weights_of(network, dtype, candidate__hidden_projection__bias=hidden_bias)
    output, _ = ask(backend, network, weights)
    expected = updated(np.tanh(BIAS + sigmoid(R) * (H @ RECURRENT + hidden_bias)))
    compare("outputs", output, expected, dtype, "the output of one step")


@each_reset
@each_dtype
def test_gates_are_in_the_order_r_u(backend, reset_after, dtype, compare):
    """Each is open alone: r keeps what the candidate sees of h, u what h' keeps of it. Keras has the order z, r."""
    network = GRU(UNITS, reset_after=reset_after)
    shut, wide = np.full(UNITS, -60.0), np.full(UNITS, 60.0)
    output, _ = ask(backend, network, weights_of(network, dtype, gates__bias=np.concatenate([wide, shut])))
    compare("outputs", output, np.tanh(H @ RECURRENT + BIAS), dtype, "the output with r = 1, u = 0")
    output, _ = ask(backend, network, weights_of(network, dtype, gates__bias=np.concatenate([shut, wide])))
    compare("outputs", output, H, dtype, "the output with r = 0, u = 1")
    output, _ = ask(backend, network, weights_of(network, dtype, gates__bias=np.concatenate([shut, shut])))
    compare("outputs", output, np.tanh(BIAS), dtype, "the output with r = 0, u = 0")


@needs("gru")
@each_dtype
def test_update_gate_keeps_the_old_state(backend, dtype, compare):
    """h' = u h + (1 - u) n, and not the other way round."""
    weights = weights_of(GRU(UNITS), dtype, candidate__bias=[20.0, -20.0])
    output, _ = ask(backend, GRU(UNITS), weights)
    compare("outputs", output, updated(np.array([1.0, -1.0])), dtype, "the output of one step")


@needs("gru")
@each_dtype
def test_gates_read_input_rows_first(backend, dtype, compare):
    kernel = np.zeros((INPUTS + UNITS, 2 * UNITS))
    kernel[:INPUTS] = np.linspace(-0.6, 0.9, INPUTS * 2 * UNITS).reshape(INPUTS, -1)
    kernel[INPUTS:] = [[0.5, -0.2, 0.8, -1.0], [0.1, 0.7, -0.4, 0.6]]
    output, _ = ask(backend, GRU(UNITS), weights_of(GRU(UNITS), dtype, gates__kernel=kernel))
    r, u = np.split(sigmoid(np.concatenate([R, U]) + kernel[:INPUTS].sum(axis=0) + H @ kernel[INPUTS:]), 2)
    n = np.tanh((r * H) @ RECURRENT + BIAS)
    compare("outputs", output, u * H + (1.0 - u) * n, dtype, "the output of one step")


@needs("gru", "relu", "activations")
@each_dtype
def test_activation_is_that_of_the_candidate_and_gates_stay_sigmoid(backend, dtype, compare):
    network = GRU(UNITS, activation="relu")
    output, _ = ask(backend, network, weights_of(network, dtype))
    n = np.maximum((sigmoid(R) * H) @ RECURRENT + BIAS, 0.0)
    compare("outputs", output, updated(n), dtype, "the output of one step")


@needs("initial_weights", "classifier", "float32")
@each_reset
def test_bias_of_the_gates_starts_at_one(backend, reset_after):
    drawn = backend.initial_weights(Model("classifier", GRU(5, reset_after=reset_after), INPUTS, 8), seed=1)
    exact(drawn["gates/bias"], np.ones(10), "the bias of the gates first drawn")
    for name in drawn:
        if name.startswith("candidate/") and name.endswith("bias"):
            exact(drawn[name], np.zeros(5), "%s first drawn" % name)
