"""Keras's LSTM and GRU, worked by hand: gates, hard sigmoids, and how they differ from TF1's own.

Kernels of zeros leave the gates to the bias, so that one step from a given state is a line of arithmetic.
"""

import numpy as np
import pytest

from spec_tests.capabilities import needs_of
from spec_tests.questions import makers
from spec_tests.questions.makers import BATCH, INPUTS, run
from spec_tests.suite.marks import each_dtype, needs
from spec_tests.tolerances import exact
from unrolled.models import Model
from unrolled.networks import GRU, LSTM, KerasGRU, KerasLSTM

pytestmark = needs("dynamic_rnn", "initial_state", "activations")
lstm, gru = needs(*needs_of(KerasLSTM(2))), needs(*needs_of(KerasGRU(2)))
UNITS = 2
Z_I, Z_F, Z_C, Z_O = np.array([0.3, -0.7]), np.array([0.9, -1.2]), np.array([-1.1, 0.6]), np.array([-0.5, 1.3])
C, H = np.array([0.8, -1.5]), np.array([0.4, -0.6])
Z, R, N = np.array([0.7, -1.6]), np.array([-0.9, 1.2]), np.array([0.3, -0.5])
RECURRENT = np.array([[0.4, -1.1], [0.9, 0.7]])


def gate(z):
    """TF1's hard sigmoid."""
    return np.clip(0.2 * z + 0.5, 0.0, 1.0)


def weights_of(network, dtype, bias, recurrent=None):
    """Kernels of zeros but for the last gate's share of a recurrent kernel, and a bias."""
    found = {name: np.zeros(weight.shape) for name, weight in network.weights(INPUTS).items()}
    found["bias"] = np.asarray(bias)
    if recurrent is not None:
        found["recurrent_kernel"][:, -UNITS:] = recurrent
    return {name: array.astype(dtype) for name, array in found.items()}


def start(network, dtype):
    given = {"c": C, "h": H}
    return {name: np.tile(given[name], (BATCH, 1)).astype(dtype) for name in network.state}


def ask(backend, network, weights):
    """One step from C and H, the same in every row, on inputs of ones: the output, and the state, of one row."""
    dtype = weights["bias"].dtype
    inputs = np.ones((BATCH, 1, INPUTS), dtype)
    outputs, last = backend.dynamic_rnn(network, weights, inputs, None, start(network, dtype))
    return outputs[0, 0], {name: part[0] for name, part in last.items()}


@lstm
@each_dtype
def test_gates_of_the_lstm_are_in_the_order_i_f_c_o(backend, dtype, compare):
    """And no forget bias is added: it is in the bias."""
    weights = weights_of(KerasLSTM(UNITS), dtype, np.concatenate([Z_I, Z_F, Z_C, Z_O]))
    output, state = ask(backend, KerasLSTM(UNITS), weights)
    expected = C * gate(Z_F) + gate(Z_I) * np.tanh(Z_C)
    compare("state", state["c"], expected, dtype, "c after one step")
    compare("outputs", output, np.tanh(expected) * gate(Z_O), dtype, "the output of one step")


@gru
@each_dtype
def test_gates_of_the_gru_are_in_the_order_z_r_h(backend, dtype, compare):
    """h' = z h + (1 - z) n, with n = tanh(b + (r h) R)."""
    weights = weights_of(KerasGRU(UNITS), dtype, np.concatenate([Z, R, N]), RECURRENT)
    output, _ = ask(backend, KerasGRU(UNITS), weights)
    n = np.tanh(N + (gate(R) * H) @ RECURRENT)
    compare("outputs", output, gate(Z) * H + (1.0 - gate(Z)) * n, dtype, "the output of one step")


@gru
@each_dtype
def test_reset_after_has_a_second_bias_which_is_reset_in_the_candidate(backend, dtype, compare):
    """n = tanh(b + r (h R + b')), and in z and r both biases are added."""
    network, hidden = KerasGRU(UNITS, reset_after=True), np.array([0.5, -0.3, 0.2, 0.4, -0.7, 0.6])
    weights = weights_of(network, dtype, [np.concatenate([Z, R, N]), hidden], RECURRENT)
    output, _ = ask(backend, network, weights)
    z, r = gate(Z + hidden[:2]), gate(R + hidden[2:4])
    n = np.tanh(N + r * (H @ RECURRENT + hidden[4:]))
    compare("outputs", output, z * H + (1.0 - z) * n, dtype, "the output of one step")


@lstm
@each_dtype
def test_a_gate_beyond_the_corners_is_shut_or_open_exactly(backend, dtype):
    """The corners are at -2.5 and 2.5; a sigmoid is 0.07 and 0.93 there."""
    shut, wide = np.full(UNITS, -2.75), np.full(UNITS, 2.75)
    weights = weights_of(KerasLSTM(UNITS), dtype, np.concatenate([shut, wide, Z_C, shut]))
    output, state = ask(backend, KerasLSTM(UNITS), weights)
    exact(state["c"], C.astype(dtype), "c with the forget gate open and the input gate shut")
    exact(output, np.zeros(UNITS), "the output with its gate shut")


@needs("gradients", "float64")
@lstm
def test_a_gate_has_a_slope_of_a_fifth_and_none_beyond_the_corners(backend, compare):
    """The gradient of c' by the bias of the input gate, shut in one unit, and of the forget gate, open in the other."""
    network = KerasLSTM(UNITS)
    weights = weights_of(network, "float64", np.concatenate([[-2.75, -0.7], [0.9, 2.75], Z_C, Z_O]))
    cost, state = {"c": np.ones((1, UNITS)), "h": np.zeros((1, UNITS))}, {"c": C[None], "h": H[None]}
    found = backend.rnn_gradients(network, weights, np.ones((1, 1, INPUTS)), None, cost, None, state)["bias"]
    expected = [0.0, 0.2 * np.tanh(Z_C[1]), 0.2 * C[0], 0.0]
    compare("gradients", found[: 2 * UNITS], np.array(expected), "float64", "the gradient by the bias of both gates")
    exact(found[[0, 3]], np.zeros(2), "the gradient by the bias of a gate that is shut, and of one that is open")


def reordered(array, order):
    """Its last axis in shares, in another order."""
    shares = np.split(array, max(order) + 1, axis=-1)
    return np.concatenate([shares[place] for place in order], axis=-1)


@lstm
@needs(*needs_of(LSTM(2)), "float64")
def test_with_sigmoid_gates_it_is_tf1s_lstm_in_another_order(backend, compare):
    """One kernel of the two, i, c, f, o of i, f, c, o, and a forget bias of 0."""
    case = makers.sequences_of(KerasLSTM(4, recurrent_activation="sigmoid"), "float64")
    outputs, state = run(backend, "dynamic", *case[:3], None, case.initial_state)
    kernel = np.concatenate([case.weights["kernel"], case.weights["recurrent_kernel"]])
    other = {"kernel": reordered(kernel, [0, 2, 1, 3]), "bias": reordered(case.weights["bias"], [0, 2, 1, 3])}
    network = LSTM(4, forget_bias=0.0)
    expected, expected_state = run(backend, "dynamic", network, other, case.inputs, None, case.initial_state)
    compare("outputs", outputs, expected, "float64")
    compare("state", state, expected_state, "float64")


@gru
@needs(*needs_of(GRU(2)), "float64")
def test_with_sigmoid_gates_it_is_tf1s_gru_in_another_order(backend, compare):
    """TF1's gates are r, u, of Keras's z, r."""
    case = makers.sequences_of(KerasGRU(4, recurrent_activation="sigmoid"), "float64")
    outputs, _ = run(backend, "dynamic", *case[:3], None, case.initial_state)
    kernel = np.concatenate([case.weights["kernel"], case.weights["recurrent_kernel"]])
    other = {}
    for name, whole in (("kernel", kernel), ("bias", case.weights["bias"])):
        other["gates/" + name] = reordered(whole[..., :8], [1, 0])
        other["candidate/" + name] = whole[..., 8:]
    expected, _ = run(backend, "dynamic", GRU(4), other, case.inputs, None, case.initial_state)
    compare("outputs", outputs, expected, "float64")


@needs("initial_weights", "classifier", "float32")
@pytest.mark.parametrize(
    ("network", "bias"),
    [
        pytest.param(KerasLSTM(5), [0.0, 1.0, 0.0, 0.0], marks=lstm, id="keras_lstm"),
        pytest.param(KerasGRU(5), [0.0, 0.0, 0.0], marks=gru, id="keras_gru"),
    ],
)
def test_the_forget_bias_is_stored_and_recurrent_kernels_start_orthogonal(backend, network, bias):
    """unit_forget_bias: ones in the bias of the forget gate. The kernel [units, gates units] has orthonormal rows."""
    drawn = backend.initial_weights(Model("classifier", network, INPUTS, 8), seed=1)
    exact(drawn["bias"], np.repeat(bias, 5), "the bias first drawn")
    recurrent = drawn["recurrent_kernel"].astype(np.float64)
    away = np.abs(recurrent @ recurrent.T - np.eye(5)).max()
    assert away < 1e-5, "the rows of recurrent_kernel are %.2g from orthonormal" % away
    other = backend.initial_weights(Model("classifier", network, INPUTS, 8), seed=2)["recurrent_kernel"]
    assert np.abs(recurrent - other).max() > 0.01, "two seeds gave the same recurrent_kernel"
