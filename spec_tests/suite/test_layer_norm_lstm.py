"""The LSTM with layer normalisation, worked by hand: what is normalised by what, and what is carried on."""

import numpy as np
import pytest

from spec_tests.capabilities import needs_of
from spec_tests.questions import makers
from spec_tests.questions.makers import BATCH, INPUTS, run
from spec_tests.suite.marks import each_dtype, needs
from spec_tests.tolerances import exact
from unrolled.models import Model
from unrolled.networks import LayerNormLSTM

pytestmark = needs(*needs_of(LayerNormLSTM(3)), "dynamic_rnn", "initial_state")
UNITS = 3
# What the inputs, all ones, give each gate: far from flat, and of different spread.
Z = {
    "input": np.array([0.3, -0.7, 1.6]),
    "transform": np.array([-2.2, 0.6, 0.1]),
    "forget": np.array([0.9, -0.2, -1.5]),
    "output": np.array([-0.5, 1.3, 4.0]),
}
C = np.array([0.8, -1.5, 0.3])


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


def weights_of(dtype, **more):
    """Gates that are Z whatever the state, each gamma and beta its own, and more weights, with __ for / in names."""
    names, kernel = [*Z, "state"], np.zeros((INPUTS + UNITS, 4 * UNITS))
    kernel[0] = np.concatenate(list(Z.values()))
    found = {"kernel": kernel}
    for number, name in enumerate(names):
        found[name + "/gamma"] = np.array([0.5, 1.5, -0.8]) + 0.2 * number
        found[name + "/beta"] = np.array([-0.4, 0.3, 0.6]) - 0.1 * number
    found.update((name.replace("__", "/"), np.asarray(array)) for name, array in more.items())
    return {name: array.astype(dtype) for name, array in found.items()}


def norm(weights, name, z):
    away = z - np.mean(z)
    return away / np.sqrt(np.mean(away**2) + 1e-12) * weights[name + "/gamma"] + weights[name + "/beta"]


def stepped(weights, c, forget_bias=1.0, factor=1.0):
    """(h', c') by hand, in float64."""
    weights = {name: array.astype(np.float64) for name, array in weights.items()}
    i, j, f, o = (norm(weights, name, z) for name, z in Z.items())
    c = norm(weights, "state", c * sigmoid(f + forget_bias) + sigmoid(i) * np.tanh(j) * factor)
    return np.tanh(c) * sigmoid(o), c


def ask(backend, network, weights, steps=1, masks=None):
    """From C and an h of 0.4, on inputs of which the first is one: outputs [steps, units], c, h, of one row."""
    dtype = weights["kernel"].dtype
    inputs = np.zeros((BATCH, steps, INPUTS), dtype)
    inputs[:, :, 0] = 1.0
    state = {"c": np.tile(C, (BATCH, 1)).astype(dtype), "h": np.full((BATCH, UNITS), 0.4, dtype)}
    outputs, last = run(backend, "dynamic", network, weights, inputs, None, state, masks)
    return outputs[0], last["c"][0], last["h"][0]


@pytest.mark.parametrize("forget_bias", [1.0, -0.5])
@each_dtype
def test_each_gate_is_normalised_on_its_own(backend, forget_bias, dtype, compare):
    """In the order i, j, f, o, before the forget bias is added; gamma times, beta plus."""
    weights = weights_of(dtype)
    outputs, c, _ = ask(backend, LayerNormLSTM(UNITS, forget_bias=forget_bias), weights)
    expected, expected_c = stepped(weights, C, forget_bias)
    compare("state", c, expected_c, dtype, "c after one step")
    compare("outputs", outputs[0], expected, dtype, "the output of one step")


@each_dtype
def test_the_normalised_c_is_carried_on(backend, dtype, compare):
    weights = weights_of(dtype)
    outputs, c, h = ask(backend, LayerNormLSTM(UNITS), weights, steps=2)
    first, middle = stepped(weights, C)
    second, last = stepped(weights, middle)
    compare("outputs", outputs, np.array([first, second]), dtype)
    compare("state", c, last, dtype, "c after two steps")
    compare("state", h, second, dtype, "h after two steps")


@needs("float64")
def test_variance_is_biased_and_epsilon_under_the_root(backend, compare):
    """With 1e-12: of two units, 1e-6 from their mean each, the variance is 1e-12 too, and each becomes 1 / sqrt(2)."""
    network, far = LayerNormLSTM(2), np.array([1.0, -1.0])
    weights = {name: np.zeros(weight.shape) for name, weight in network.weights(INPUTS).items()}
    weights.update({name: np.ones(2) for name in weights if name.endswith("gamma")})
    state = {"c": 0.5 * far[None], "h": np.zeros((1, 2))}
    new = 0.5 * sigmoid(1.0)
    c = far * new / np.sqrt(new**2 + 1e-12)
    for spread, expected in ((3.0, 3.0 / np.sqrt(9.0 + 1e-12)), (1e-6, 0.5**0.5)):
        weights["kernel"][0, 6:] = spread * far  # the output gate
        outputs, _ = run(backend, "dynamic", network, weights, np.ones((1, 1, INPUTS)), None, state)
        what = "the output where the output gate has a spread of %g" % spread
        compare("outputs", outputs[0, 0], np.tanh(c) * sigmoid(expected * far), "float64", what)


@each_dtype
def test_rows_are_normalised_each_by_itself(backend, dtype, compare):
    case = makers.sequences_of(LayerNormLSTM(7), dtype)
    outputs, _ = run(backend, "dynamic", *case[:3])
    for row in (0, 4):
        alone, _ = run(backend, "dynamic", *case[:2], case.inputs[row : row + 1])
        compare("outputs", alone, outputs[row : row + 1], dtype, "row %d alone" % row)


@needs("dropout", "float64")
def test_the_candidate_alone_is_dropped(backend, compare):
    """Times mask / keep; this keep is not rounded to float32, as that of a DropoutWrapper is."""
    network, weights = LayerNormLSTM(UNITS, candidate_keep=0.7), weights_of("float64")
    mask = np.array([1.0, 0.0, 1.0])
    _, c, _ = ask(backend, network, weights, masks={"candidate": np.tile(mask, (BATCH, 1, 1))})
    compare("state", c, stepped(weights, C, factor=mask / 0.7)[1], "float64", "c after one step")
    _, c, _ = ask(backend, network, weights)
    compare("state", c, stepped(weights, C)[1], "float64", "c after one step without masks")


@needs("initial_weights", "classifier", "float32")
def test_gammas_start_at_one_and_betas_at_zero_and_there_is_no_bias(backend):
    drawn = backend.initial_weights(Model("classifier", LayerNormLSTM(5), INPUTS, 8), seed=1)
    for name in (*Z, "state"):
        exact(drawn[name + "/gamma"], np.ones(5), name + "/gamma first drawn")
        exact(drawn[name + "/beta"], np.zeros(5), name + "/beta first drawn")
    assert "bias" not in drawn, "there is a bias among %s" % sorted(drawn)
