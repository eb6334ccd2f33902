"""The LSTM, worked by hand: gates, forget bias, peepholes, projection, clips, and what is carried from step to step.

Kernels of zeros leave the gates to the bias, so that one step from a given state is a line of arithmetic.
"""

import numpy as np
import pytest

from spec_tests.capabilities import needs_of
from spec_tests.questions.makers import BATCH, INPUTS
from spec_tests.suite.marks import each_dtype, needs
from spec_tests.tolerances import exact
from unrolled.models import Model
from unrolled.networks import LSTM

pytestmark = needs(*needs_of(LSTM(2)), "dynamic_rnn", "initial_state")
UNITS = 2
Z_I, Z_J, Z_F, Z_O = np.array([0.3, -0.7]), np.array([-1.1, 0.6]), np.array([0.9, -0.2]), np.array([-0.5, 1.3])
C, H = np.array([0.8, -1.5]), np.array([0.4, 0.6])


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


def weights_of(network, dtype, bias=(Z_I, Z_J, Z_F, Z_O), **more):
    """Kernels and peepholes of zeros, a bias by gate, and more weights, with _ for / in their names."""
    found = {name: np.zeros(weight.shape) for name, weight in network.weights(INPUTS).items()}
    found["bias"] = np.concatenate(bias)
    found.update((name.replace("__", "/"), np.asarray(array)) for name, array in more.items())
    return {name: array.astype(dtype) for name, array in found.items()}


def ask(backend, network, weights, steps=1, c=C, h=None):
    """From c and h, the same in every row, on inputs of ones: outputs [steps, output_size], c, h, of one row."""
    dtype = weights["bias"].dtype
    h = np.resize(H, network.output_size) if h is None else h
    state = {name: np.tile(part, (BATCH, 1)).astype(dtype) for name, part in (("c", c), ("h", h))}
    outputs, last = backend.dynamic_rnn(network, weights, np.ones((BATCH, steps, INPUTS), dtype), None, state)
    return outputs[0], last["c"][0], last["h"][0]


@each_dtype
def test_gates_are_in_the_order_i_j_f_o(backend, dtype, compare):
    """c' = c s(f + 1) + s(i) tanh(j), h' = tanh(c') s(o). Keras and PyTorch have i, f, c, o and i, f, g, o."""
    outputs, c, h = ask(backend, LSTM(UNITS), weights_of(LSTM(UNITS), dtype))
    expected = C * sigmoid(Z_F + 1.0) + sigmoid(Z_I) * np.tanh(Z_J)
    compare("state", c, expected, dtype, "c after one step")
    compare("state", h, np.tanh(expected) * sigmoid(Z_O), dtype, "h after one step")
    compare("outputs", outputs[0], np.tanh(expected) * sigmoid(Z_O), dtype, "the output of one step")


@each_dtype
def test_input_rows_of_the_kernel_come_first(backend, dtype, compare):
    """The candidate j reads the inputs, which are ones, by the first rows, and h by the rest."""
    network = LSTM(UNITS)
    kernel = np.zeros((INPUTS + UNITS, 4 * UNITS))
    kernel[:INPUTS, UNITS : 2 * UNITS] = [[0.1, 0.2], [0.3, -0.5], [-0.6, 0.4]]
    kernel[INPUTS:, UNITS : 2 * UNITS] = [[0.7, -0.3], [0.2, 0.9]]
    _, c, _ = ask(backend, network, weights_of(network, dtype, kernel=kernel))
    j = Z_J + [-0.2, 0.1] + H @ [[0.7, -0.3], [0.2, 0.9]]
    compare("state", c, C * sigmoid(Z_F + 1.0) + sigmoid(Z_I) * np.tanh(j), dtype, "c after one step")


@pytest.mark.parametrize("forget_bias", [1.0, 0.0, -0.5, 2.5])
@each_dtype
def test_forget_bias_is_the_one_the_network_says(backend, forget_bias, dtype, compare):
    network = LSTM(UNITS, forget_bias=forget_bias)
    _, c, _ = ask(backend, network, weights_of(network, dtype))
    compare("state", c, C * sigmoid(Z_F + forget_bias) + sigmoid(Z_I) * np.tanh(Z_J), dtype, "c after one step")


@needs("initial_weights", "classifier", "float32")
def test_forget_bias_is_added_and_not_stored(backend):
    """As Keras stores it: 1 in the bias that is drawn, which then would count twice."""
    for forget_bias in (1.0, 3.0):
        drawn = backend.initial_weights(Model("classifier", LSTM(5, forget_bias=forget_bias), INPUTS, 8), seed=1)
        exact(drawn["bias"], np.zeros(20), "the bias first drawn, with forget_bias %g" % forget_bias)


@needs("lstm", "relu", "activations")
@each_dtype
def test_activation_is_that_of_the_candidate_and_of_c_and_gates_stay_sigmoid(backend, dtype, compare):
    network = LSTM(UNITS, activation="relu")
    outputs, c, _ = ask(backend, network, weights_of(network, dtype))
    expected = C * sigmoid(Z_F + 1.0) + sigmoid(Z_I) * np.maximum(Z_J, 0.0)
    compare("state", c, expected, dtype, "c after one step")
    compare("outputs", outputs[0], np.maximum(expected, 0.0) * sigmoid(Z_O), dtype, "the output of one step")


@needs("lstm_options")
@each_dtype
def test_peepholes_of_i_and_f_see_the_old_c(backend, dtype, compare):
    network = LSTM(UNITS, peepholes=True)
    f, i = np.array([0.7, -0.4]), np.array([-0.9, 0.3])
    _, c, _ = ask(backend, network, weights_of(network, dtype, w_f_diag=f, w_i_diag=i))
    expected = C * sigmoid(Z_F + 1.0 + f * C) + sigmoid(Z_I + i * C) * np.tanh(Z_J)
    compare("state", c, expected, dtype, "c after one step")


@needs("lstm_options")
@each_dtype
def test_peephole_of_o_sees_the_new_c(backend, dtype, compare):
    """After the clip."""
    for clip in (None, 0.25):
        network = LSTM(UNITS, peepholes=True, cell_clip=clip)
        o = np.array([1.7, -2.4])
        outputs, _, _ = ask(backend, network, weights_of(network, dtype, w_o_diag=o))
        new = C * sigmoid(Z_F + 1.0) + sigmoid(Z_I) * np.tanh(Z_J)
        new = new if clip is None else np.clip(new, -clip, clip)
        compare(
            "outputs", outputs[0], np.tanh(new) * sigmoid(Z_O + o * new), dtype, "the output with cell_clip %s" % clip
        )


@needs("projection")
@each_dtype
def test_the_next_step_reads_the_projected_output(backend, dtype, compare):
    """h' = (tanh(c') s(o)) P is output, state and what goes back in; c keeps its width."""
    network = LSTM(UNITS, projection=1)
    projection, recurrent = np.array([[2.0], [-1.5]]), np.array([0.8, -0.6])
    kernel = np.zeros((INPUTS + 1, 4 * UNITS))
    kernel[INPUTS, UNITS : 2 * UNITS] = recurrent
    weights = weights_of(network, dtype, kernel=kernel, projection__kernel=projection)
    outputs, c, h = ask(backend, network, weights, steps=2)
    expected, last, expected_h = [], C, np.resize(H, 1)
    for _ in range(2):
        last = last * sigmoid(Z_F + 1.0) + sigmoid(Z_I) * np.tanh(Z_J + expected_h * recurrent)
        expected_h = (np.tanh(last) * sigmoid(Z_O)) @ projection
        expected.append(expected_h)
    compare("outputs", outputs, np.array(expected), dtype)
    compare("state", h, expected_h, dtype, "h after two steps")
    compare("state", c, last, dtype, "c after two steps")


@needs("lstm_options")
@each_dtype
def test_cell_clip_acts_before_the_output(backend, dtype, compare):
    network, clip = LSTM(UNITS, cell_clip=0.25), 0.25
    outputs, c, _ = ask(backend, network, weights_of(network, dtype))
    expected = np.clip(C * sigmoid(Z_F + 1.0) + sigmoid(Z_I) * np.tanh(Z_J), -clip, clip)
    compare("state", c, expected, dtype, "c after one step")
    compare("outputs", outputs[0], np.tanh(expected) * sigmoid(Z_O), dtype, "the output of one step")


@needs("lstm_options")
@each_dtype
def test_cell_clip_of_zero_leaves_nothing_of_c(backend, dtype):
    """TF1's LSTMCell asks whether there is a clip, not whether it is above 0."""
    network = LSTM(UNITS, cell_clip=0.0)
    outputs, c, _ = ask(backend, network, weights_of(network, dtype))
    exact(c, np.zeros(UNITS), "c after one step")
    exact(outputs[0], np.zeros(UNITS), "the output of one step")


@needs("projection", "lstm_options")
@each_dtype
def test_projection_clip_acts_on_output_and_state(backend, dtype, compare):
    network = LSTM(UNITS, projection=3, projection_clip=0.1)
    projection = np.array([[2.0, 0.1, -3.0], [1.0, -0.2, 0.5]])
    outputs, c, h = ask(backend, network, weights_of(network, dtype, projection__kernel=projection))
    new = C * sigmoid(Z_F + 1.0) + sigmoid(Z_I) * np.tanh(Z_J)
    expected = np.clip((np.tanh(new) * sigmoid(Z_O)) @ projection, -0.1, 0.1)
    compare("state", h, expected, dtype, "h after one step")
    compare("outputs", outputs[0], expected, dtype, "the output of one step")
    compare("state", c, new, dtype, "c after one step")


def gradient_of_c(backend, network, on):
    """Of c after one step, the gradient by c before it, of one row; on: which part, c or h."""
    weights = weights_of(network, "float64")
    state = {"c": np.tile(C, (BATCH, 1)), "h": np.tile(H, (BATCH, 1))}
    cost = {part: np.full((BATCH, UNITS), float(part == on)) for part in state}
    x = np.ones((BATCH, 1, INPUTS))
    return backend.rnn_gradients(network, weights, x, None, cost, None, state)["initial_state/c"][0]


@needs("lstm_options")
@needs("gradients", "float64")
def test_gradient_stops_where_the_cell_clip_acts(backend, compare):
    """c' is 0.24 and -0.86: a clip of 0.5 acts on the second only."""
    found = gradient_of_c(backend, LSTM(UNITS, cell_clip=0.5), "c")
    compare("gradients", found, sigmoid(Z_F + 1.0) * [1.0, 0.0], "float64", "the gradient of c' by c")


@needs("lstm_options")
@needs("gradients", "float64")
def test_gradient_goes_through_the_clip_where_the_network_is_straight_through(backend, compare):
    found = gradient_of_c(backend, LSTM(UNITS, cell_clip=0.5, straight_through=True), "c")
    compare("gradients", found, sigmoid(Z_F + 1.0), "float64", "the gradient of c' by c")


@needs("projection", "lstm_options")
@needs("gradients", "float64")
def test_gradient_stops_where_the_projection_clip_acts(backend, compare):
    network = LSTM(UNITS, projection=2, projection_clip=0.15)
    projection = np.array([[1.0, 0.0], [0.0, 1.0]])
    weights = weights_of(network, "float64", projection__kernel=projection)
    state = {"c": np.tile(C, (BATCH, 1)), "h": np.tile(H, (BATCH, 1))}
    cost = {"c": np.zeros((BATCH, UNITS)), "h": np.ones((BATCH, UNITS))}
    found = backend.rnn_gradients(network, weights, np.ones((BATCH, 1, INPUTS)), None, cost, None, state)
    new = C * sigmoid(Z_F + 1.0) + sigmoid(Z_I) * np.tanh(Z_J)
    h = np.tanh(new) * sigmoid(Z_O)
    expected = (np.abs(h) < 0.15) * sigmoid(Z_O) * (1.0 - np.tanh(new) ** 2) * sigmoid(Z_F + 1.0)
    compare("gradients", found["initial_state/c"][0], expected, "float64", "the gradient of h' by c")
