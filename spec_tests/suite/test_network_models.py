"""Models on every kind of network: forward, loss and gradients, 60 steps of Adam, and freshly drawn weights."""

import functools

import numpy as np
import pytest

from spec_tests import oracle
from spec_tests.capabilities import needs_of
from spec_tests.questions import kinds
from spec_tests.questions.makers import LENGTHS
from spec_tests.suite.marks import each_model_of, needs
from spec_tests.tolerances import exact, near
from unrolled import initial_values, networks
from unrolled.models import Dense, Model
from unrolled.networks import GRU, LSTM, Bidirectional, KerasGRU, KerasLSTM, LayerNormLSTM, Layers, Network

UNSORTED = LENGTHS["unsorted"]
each_model = each_model_of(kinds.MODELS)
each_way = pytest.mark.parametrize(
    ("dtype", "lengths"),
    [
        pytest.param("float32", UNSORTED, marks=needs("float32", "lengths"), id="float32-unsorted"),
        pytest.param("float64", UNSORTED, marks=needs("float64", "lengths"), id="float64-unsorted"),
        pytest.param("float64", None, marks=needs("float64"), id="float64-full"),
    ],
)
# Wide enough that the largest of a kernel's values comes near its limit.
WIDE: dict[str, Network] = {
    "lstm": LSTM(20, peepholes=True, projection=12),
    "gru": GRU(20),
    "gru reset after": GRU(20, reset_after=True),
    "layers": Layers((LSTM(20), GRU(16))),
    "bidirectional": Bidirectional(LSTM(20), LSTM(20)),
    "layer norm lstm": LayerNormLSTM(20),
    "keras lstm": KerasLSTM(20),
    "keras gru reset after": KerasGRU(20, reset_after=True),
}
each_wide = pytest.mark.parametrize(
    "model",
    [
        pytest.param(model, marks=needs(*needs_of(model)), id=name)
        for name, model in [
            *((name, Model("classifier", network, 30, 10)) for name, network in WIDE.items()),
            ("tagger", Model("tagger", LSTM(20), 200, 10, embedding=30, hidden=(Dense(25, "relu"),))),
        ]
    ],
)


@each_model
@each_way
def test_forward_of_every_model_matches_the_oracle(backend, name, lengths, dtype, compare):
    """A classifier reads h of the top layer, of both directions forward first, and never c."""
    case = kinds.supervised(name, dtype)
    found = backend.forward(case.model, case.weights, case.inputs, lengths)
    expected = oracle.forward(case.model, case.weights, case.inputs, lengths)
    compare("predictions", found, expected, dtype)
    predicted = backend.predict(case.model, case.weights, case.inputs, lengths)
    if case.model.kind == "regressor":
        compare("predictions", predicted, expected, dtype, "what is predicted")
    else:
        exact(predicted, oracle.predict(case.model, case.weights, case.inputs, lengths), "what is predicted")


@needs("gradients")
@each_model
@each_way
def test_loss_and_gradients_of_every_model_match_the_oracle(backend, name, lengths, dtype, compare):
    case = kinds.supervised(name, dtype)
    value, found = backend.loss_gradients(*case, lengths)
    expected_value, expected = oracle.loss_gradients(*case, lengths)
    compare("loss", value, expected_value, dtype)
    compare("loss", backend.loss(*case, lengths), expected_value, dtype)
    compare("gradients", found, expected, dtype)


@functools.lru_cache(maxsize=None)
def expected_trajectory(name, dtype, with_lengths):
    return oracle.train(*kinds.training(name, dtype), lengths=UNSORTED if with_lengths else None)


@needs("training")
@each_model
@each_way
def test_sixty_steps_of_every_model_follow_the_oracle(backend, name, lengths, dtype, compare):
    case = kinds.training(name, dtype)
    losses, weights, _ = backend.train(*case, lengths=lengths)
    expected_losses, expected, _ = expected_trajectory(name, dtype, lengths is not None)
    compare("losses over 60 steps", losses, expected_losses, dtype)
    compare("weights after 60 steps", weights, expected, dtype)


@needs("training", "float64")
@each_model
def test_one_step_moves_every_weight_and_keeps_its_moments(backend, name, compare):
    """Adam's slots have the names of every weight, whatever the network."""
    case = kinds.training(name, "float64", iterations=1)
    _, weights, slots = backend.train(*case)
    _, expected, expected_slots = oracle.train(*case)
    compare("weights after 1 step", weights, expected, "float64")
    moments = {each: slot for each, slot in expected_slots.items() if not each.endswith("_power")}
    compare("slots after 1 step", {each: slots[each] for each in moments}, moments, "float64")


@needs("initial_weights", "float32")
@each_wide
def test_first_values_reach_their_limit_and_do_not_exceed_it(backend, model):
    """Each weight is uniform within its limit of its value; a kernel is drawn as one, by the sizes of the whole."""
    drawn = backend.initial_weights(model, seed=1)
    found = {name: array.shape for name, array in drawn.items()}
    expected = networks.shapes(model.weights())
    assert found == expected, "the shapes are %s, expected %s" % (found, expected)
    uniform = {name: weight for name, weight in model.weights().items() if not weight.orthogonal}
    for name, weight in uniform.items():
        away = np.abs(drawn[name].astype(np.float64) - initial_values.middle(weight))
        # Of n uniform values the largest is above (1 - 20 / n) limit, but for one draw in exp(20) = 5e8.
        assert away.max() >= weight.limit * (1 - 20 / away.size), "%s reaches %.4f" % (name, away.max())
        assert away.max() <= weight.limit * (1 + 1e-6), "%s reaches %.4f, above %.4f" % (name, away.max(), weight.limit)


@needs("initial_weights", "float32")
@each_wide
def test_first_values_of_no_two_weights_are_copies(backend, model):
    """Not of the gates within a kernel, nor of two layers or directions."""
    drawn = backend.initial_weights(model, seed=1)
    kernels = [name for name, weight in model.weights().items() if weight.limit or weight.orthogonal]
    together = np.concatenate([drawn[name].ravel() for name in kernels])
    equal = together.size - len(np.unique(together))
    assert equal <= 1 + together.size**2 / 2**22, "the kernels hold %d equal values" % equal


@needs("initial_weights", "classifier", *needs_of(LSTM(1)), "float32")
def test_limits_of_a_cell_are_those_worked_out_by_hand(backend):
    """TF 1.15.5 with 10 inputs and 40 units: sqrt(6 / (10 + 40 + 160)); sqrt(3 / 40) of a peephole."""
    drawn = backend.initial_weights(Model("classifier", LSTM(40, peepholes=True), 10, 3), seed=1)
    near(np.abs(drawn["kernel"]).max(), 0.1690, 0.01, "the largest value of kernel")
    largest = max(float(np.abs(drawn["w_%s_diag" % gate]).max()) for gate in "ifo")
    assert 0.18 < largest <= 0.27387, "the largest value of a peephole is %.4f, expected 0.18 to 0.2738" % largest
