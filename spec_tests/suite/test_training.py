"""Training with TF1's Adam: one step, and 60 of each training program, from given weights on given batches."""

import functools

import numpy as np
import pytest

from spec_tests import oracle
from spec_tests.contract import Adam
from spec_tests.questions import makers
from spec_tests.questions.makers import LENGTHS
from spec_tests.suite.marks import each_dtype, each_model, needs, refused
from spec_tests.tolerances import exact

pytestmark = needs("training")
each_program = pytest.mark.parametrize(
    "program",
    [
        pytest.param("mnist", marks=needs("classifier", "tanh")),
        pytest.param("series-stacked", marks=needs("regressor", "relu")),
        pytest.param("series-wrapped", marks=needs("regressor", "relu")),
    ],
)


# With lengths and without: a backend may run the two by different code, as torch_impl does.
with_and_without_lengths = pytest.mark.parametrize(
    "lengths", [pytest.param(None, id="full"), pytest.param(LENGTHS["unsorted"], marks=needs("lengths"), id="lengths")]
)


@functools.lru_cache(maxsize=None)
def expected_trajectory(program, dtype):
    return oracle.train(*makers.program_training(program, dtype))


def without_powers(slots):
    return {name: array for name, array in slots.items() if not name.endswith("_power")}


@each_model
@each_dtype
def test_one_step_matches_the_oracle(backend, form, dtype, compare):
    case = makers.small_training(form, dtype, iterations=1)
    losses, weights, slots = backend.train(*case)
    expected_losses, expected, expected_slots = oracle.train(*case)
    compare("loss", losses, expected_losses, dtype, "the loss before the step")
    compare("weights after 1 step", weights, expected, dtype, "weights after the step")
    compare("slots after 1 step", without_powers(slots), without_powers(expected_slots), dtype, "slots after the step")


@each_program
@each_dtype
def test_sixty_steps_follow_the_oracle(backend, program, dtype, compare):
    """The real shapes and initial values of the chapter's training programs."""
    case = makers.program_training(program, dtype)
    losses, weights, _ = backend.train(*case)
    expected_losses, expected, _ = expected_trajectory(program, dtype)
    compare("losses over 60 steps", losses, expected_losses, dtype)
    compare("weights after 60 steps", weights, expected, dtype)


@needs("lengths")
@each_model
@each_dtype
def test_steps_with_lengths_match_the_oracle(backend, form, dtype, compare):
    case = makers.small_training(form, dtype, iterations=4)
    losses, weights, _ = backend.train(*case, lengths=LENGTHS["unsorted"])
    expected_losses, expected, _ = oracle.train(*case, lengths=LENGTHS["unsorted"])
    compare("losses over 60 steps", losses, expected_losses, dtype)
    compare("weights after 60 steps", weights, expected, dtype)


@each_model
@each_dtype
def test_losses_are_those_before_each_step(backend, form, dtype, compare):
    case = makers.small_training(form, dtype, iterations=2)
    losses, _, _ = backend.train(*case)
    assert losses.shape == (2,), "losses have shape %s, expected one per iteration" % list(losses.shape)
    rows = case.batches[0]
    first = backend.loss(case.model, case.weights, case.inputs[rows], case.targets[rows])
    compare("loss", losses[0], first, dtype, "the first loss of train, beside loss() of the given weights")


@each_model
@needs("float64")
@with_and_without_lengths
@pytest.mark.parametrize("epsilon", [1e-8, 1e-3, 0.1])
def test_epsilon_is_added_to_the_uncorrected_root_as_tf1_does(backend, form, epsilon, lengths, compare):
    """lr_t m / (sqrt(v) + epsilon). Plain Adam divides sqrt(v) by sqrt(1 - beta2^t) first, which at the first step
    makes epsilon 31.6 times smaller in effect."""
    case = makers.small_training(form, "float64", iterations=5)._replace(optimizer=Adam(epsilon=epsilon))
    _, weights, _ = backend.train(*case, lengths=lengths)
    _, expected, _ = oracle.train(*case, lengths=lengths)
    compare("weights after 1 step", weights, expected, "float64", "weights after five steps with epsilon %g" % epsilon)


@each_model
@needs("float64")
@with_and_without_lengths
def test_optimizer_settings_are_all_used(backend, form, lengths, compare):
    case = makers.small_training(form, "float64", iterations=5)
    for setting in (Adam(learning_rate=0.02), Adam(beta1=0.5), Adam(beta2=0.9)):
        _, weights, _ = backend.train(*case._replace(optimizer=setting), lengths=lengths)
        _, expected, _ = oracle.train(*case._replace(optimizer=setting), lengths=lengths)
        compare("weights after 1 step", weights, expected, "float64", "weights after five steps of %s" % (setting,))


@each_model
@needs("float64")
def test_one_bias_is_trained_not_two(backend, form):
    """Two biases trained together move their sum twice as fast."""
    case = makers.small_training(form, "float64", iterations=1)
    _, weights, _ = backend.train(*case)
    _, expected, _ = oracle.train(*case)
    moved, expected_move = (after["bias"] - case.weights["bias"] for after in (weights, expected))
    rate = case.optimizer.learning_rate
    # Adam's first step moves every weight by about the learning rate, whatever its gradient.
    assert np.abs(moved - expected_move).max() < 0.02 * rate, (
        "the first step of learning rate %g moves the bias by %s, expected %s" % (rate, moved, expected_move)
    )


@needs("classifier", "tanh")
@each_dtype
def test_powers_are_float32_whatever_the_weights(backend, dtype):
    """beta^(t+1), multiplied up in float32: what the next step will use."""
    case = makers.small_training("classifier", dtype, iterations=3)
    _, _, slots = backend.train(*case)
    for name, beta in (("beta1_power", np.float32(0.9)), ("beta2_power", np.float32(0.999))):
        assert slots[name].dtype == np.float32, "%s is %s, expected float32" % (name, slots[name].dtype)
        assert slots[name].shape == (), "%s has shape %s, expected a scalar" % (name, list(slots[name].shape))
        exact(slots[name], beta * beta * beta * beta, "%s after three steps" % name)


@each_model
@needs("float32")
def test_slots_have_the_names_of_tf1(backend, form):
    case = makers.small_training(form, "float32", iterations=1)
    _, weights, slots = backend.train(*case)
    moments = {name + slot for name in weights for slot in ("/Adam", "/Adam_1")}
    assert set(slots) == moments | {"beta1_power", "beta2_power"}, "the slots are named %s" % sorted(slots)


@each_model
@each_dtype
def test_going_on_from_the_slots_is_as_if_never_stopped(backend, form, dtype, compare):
    case = makers.small_training(form, dtype, iterations=6)
    losses, weights, slots = backend.train(*case)
    first, half, kept = backend.train(*case._replace(batches=case.batches[:2]))
    rest, again, last = backend.train(*case._replace(weights=half, batches=case.batches[2:]), slots=kept)
    compare("losses over 60 steps", np.concatenate([first, rest]), losses, dtype)
    compare("weights after 60 steps", again, weights, dtype)
    for name in ("beta1_power", "beta2_power"):
        exact(last[name], slots[name], name)


@each_model
@needs("float64")
def test_batches_are_taken_in_the_order_given(backend, form, compare):
    case = makers.small_training(form, "float64", iterations=4)
    for order in ([0, 1, 2, 3], [3, 1, 0, 2]):
        ordered = case._replace(batches=case.batches[order])
        losses, weights, _ = backend.train(*ordered)
        expected_losses, expected, _ = oracle.train(*ordered)
        compare("losses over 60 steps", losses, expected_losses, "float64", "losses of the batches %s" % order)
        compare("weights after 60 steps", weights, expected, "float64", "weights after the batches %s" % order)


@each_model
@needs("float32")
def test_no_batches_leave_everything_as_it_was(backend, form):
    case = makers.small_training(form, "float32", iterations=0)
    losses, weights, slots = backend.train(*case)
    assert losses.shape == (0,), "losses have shape %s, expected none" % list(losses.shape)
    for name, array in weights.items():
        exact(array, case.weights[name], name)
    exact(slots["beta1_power"], np.float32(0.9), "beta1_power before the first step")


@needs("classifier", "tanh", "float32")
def test_row_number_out_of_range_is_an_error(backend):
    case = makers.small_training("classifier", "float32", iterations=2)
    for wrong in (-1, len(case.inputs)):
        batches = case.batches.copy()
        batches[1, 1] = wrong
        with refused("batches"):
            backend.train(*case._replace(batches=batches))


@needs("classifier", "tanh", "float32")
def test_label_out_of_range_is_an_error_in_training(backend):
    case = makers.small_training("classifier", "float32")
    targets = case.targets.copy()
    targets[case.batches[0, 0]] = -100
    with refused("targets"):
        backend.train(*case._replace(targets=targets))


@needs("classifier", "tanh", "float32")
@pytest.mark.parametrize("fault", ["missing", "unknown"])
def test_slots_are_strict(backend, fault):
    case = makers.small_training("classifier", "float32", iterations=1)
    _, weights, slots = backend.train(*case)
    wrong = dict(slots)
    if fault == "missing":
        del wrong["bias/Adam_1"]
    else:
        wrong["bias_2/Adam"] = slots["bias/Adam"]
    with refused("bias/Adam_1" if fault == "missing" else "bias_2/Adam"):
        backend.train(*case._replace(weights=weights), slots=wrong)
