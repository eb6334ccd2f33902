"""The oracle: its gradients against finite differences, its formulas against worked examples, and its own rules."""

import numpy as np
import pytest

from spec_tests import oracle
from spec_tests.contract import Adam
from spec_tests.questions import makers
from spec_tests.questions.makers import LENGTHS, STEPS
from unrolled.networks import BasicRNN, prefixed

STEP = 1e-6  # of a central difference: its error is about STEP^2, and a rounding of 1e-16 / STEP


def central_differences(cost, array):
    """d cost / d array, one entry at a time; the array is put back."""
    gradient = np.zeros(array.shape)
    for index in np.ndindex(array.shape):
        kept = array[index]
        array[index] = kept + STEP
        above = cost()
        array[index] = kept - STEP
        below = cost()
        array[index] = kept
        gradient[index] = (above - below) / (2 * STEP)
    return gradient


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("lengths", [None, *LENGTHS.values()], ids=["full", *LENGTHS])
def test_bptt_is_the_derivative_of_unroll(activation, lengths):
    case = makers.sequences("float64", activation)

    def cost():
        outputs, state = oracle.unroll(case.network, case.weights, case.inputs, lengths, case.initial_state)
        on_state = sum(np.sum(state[name] * gradient) for name, gradient in case.state_gradients.items())
        return np.sum(outputs * case.output_gradients) + on_state

    found = oracle.bptt(*case[:3], case.output_gradients, case.state_gradients, lengths, case.initial_state)
    given = dict(case.weights, inputs=case.inputs, **prefixed("initial_state/", case.initial_state))
    assert set(found) == set(given)
    for name, array in given.items():
        np.testing.assert_allclose(found[name], central_differences(cost, array), rtol=0, atol=2e-8, err_msg=name)


@pytest.mark.parametrize("form", ["classifier", "stacked", "wrapped"])
@pytest.mark.parametrize("lengths", [None, LENGTHS["unsorted"]], ids=["full", "unsorted"])
def test_loss_gradients_are_the_derivative_of_loss(form, lengths):
    case = makers.supervised(form, "float64")
    value, found = oracle.loss_gradients(*case, lengths)
    assert value == oracle.loss(*case, lengths)
    for name, array in case.weights.items():
        expected = central_differences(lambda: oracle.loss(*case, lengths), array)
        np.testing.assert_allclose(found[name], expected, rtol=0, atol=2e-8, err_msg=name)


def test_two_steps_by_hand_are_two_steps_of_unroll():
    case = makers.sequences("float64", steps=2)
    by_hand = oracle.two_step(case.network, case.weights, case.inputs[:, 0], case.inputs[:, 1])
    outputs, state = oracle.unroll(case.network, case.weights, case.inputs)
    np.testing.assert_allclose(outputs, np.stack(by_hand, axis=1), rtol=0, atol=1e-15)
    np.testing.assert_array_equal(oracle.read_out(case.network, state), outputs[:, -1])


def test_a_worked_example_of_the_cell():
    """One unit, one input: h1 = tanh(2 * 0.5 + 0.25), h2 = tanh(-1 * 0.5 + 3 h1 + 0.25), by the calculator."""
    weights = {"kernel": np.array([[0.5], [3.0]]), "bias": np.array([0.25])}
    outputs, _ = oracle.unroll(BasicRNN(1), weights, np.array([[[2.0], [-1.0]]]))
    h1 = 0.8482836399575129
    np.testing.assert_allclose(outputs.ravel(), [h1, np.tanh(3 * h1 - 0.25)], rtol=1e-15)


def test_a_worked_example_of_adam():
    """First step: m = 0.1 g, v = 0.001 g^2, so a weight moves by lr sqrt(0.001) g / (sqrt(0.001) |g| + epsilon):
    by nearly lr for a large gradient, and by half of it where sqrt(0.001) |g| equals epsilon."""
    weights = {"w": np.array([1.0, 1.0])}
    optimizer = Adam(learning_rate=0.5, epsilon=1e-3)
    gradients = {"w": np.array([10.0, 1e-3 / np.sqrt(0.001)])}
    found, slots = oracle.adam(weights, gradients, oracle.fresh_slots(weights, optimizer), optimizer)
    np.testing.assert_allclose(1.0 - found["w"], [0.5 / (1 + 1e-3 / (10 * np.sqrt(0.001))), 0.25], rtol=1e-5)
    np.testing.assert_allclose(slots["w/Adam"], 0.1 * gradients["w"], rtol=1e-6)
    np.testing.assert_allclose(slots["w/Adam_1"], 0.001 * gradients["w"] ** 2, rtol=1e-4)


def test_adam_rounds_its_constants_and_powers_to_float32():
    weights = {"w": np.zeros(1)}
    slots = oracle.fresh_slots(weights, Adam())
    for _ in range(7):
        weights, slots = oracle.adam(weights, {"w": np.ones(1)}, slots, Adam())
    power = np.float32(1.0)
    for _ in range(8):
        power = power * np.float32(0.999)
    assert slots["beta2_power"].dtype == np.float32
    assert slots["beta2_power"] == power
    # With every gradient 1 the first moment is 1 - beta1^7, beta1 being the float32 nearest to 0.9.
    np.testing.assert_allclose(slots["w/Adam"], 1 - np.float64(np.float32(0.9)) ** 7, rtol=1e-15)


def test_the_padding_is_never_read():
    case = makers.sequences("float64")
    lengths = LENGTHS["mixed"]
    for value in (np.nan, np.inf, 1e300):
        with np.errstate(all="raise"):
            inputs = makers.padded(case.inputs, lengths, value)
            found = oracle.bptt(*case[:2], inputs, *case.cost, lengths=lengths)
        expected = oracle.bptt(*case[:3], *case.cost, lengths=lengths)
        for name in expected:
            np.testing.assert_array_equal(found[name], expected[name])


def test_float32_arguments_are_computed_in_float64():
    case = makers.sequences("float32")
    outputs, state = oracle.unroll(*case[:3])
    wide = {name: array.astype("float64") for name, array in case.weights.items()}
    expected, _ = oracle.unroll(case.network, wide, case.inputs.astype("float64"))
    assert outputs.dtype == state["h"].dtype == np.float64
    np.testing.assert_array_equal(outputs, expected)
    gradients = oracle.bptt(*case[:3], *case.cost)
    assert {name: array.dtype for name, array in gradients.items()} == dict.fromkeys(gradients, np.float64)


def test_in_top_k_worked_examples():
    logits = np.array([[1, 3, 3, 0], [1, 3, 3, 0], [np.nan, 3, 1, 0], [1, 3, 2, 0], [1, 3, 2, 0]])
    np.testing.assert_array_equal(oracle.in_top_k(logits, np.array([1, 2, 1, 4, -1]), 1), [1, 1, 0, 0, 0])
    np.testing.assert_array_equal(oracle.in_top_k(logits[:2], np.array([0, 3]), 3), [1, 0])


def test_makers_data_can_see():
    """All dimensions differ, nothing is zero or symmetric, activations bend but are not flat."""
    case = makers.sequences("float64")
    sizes = [*case.inputs.shape, case.network.output_size, *case.weights["kernel"].shape[:1]]
    assert len(set(sizes)) == len(sizes)
    recurrent = case.weights["kernel"][case.inputs.shape[2] :]
    assert np.abs(recurrent - recurrent.T)[~np.eye(len(recurrent), dtype=bool)].min() > 1e-2
    assert np.abs(case.weights["bias"]).min() > 0.05
    outputs, _ = oracle.unroll(*case[:3])
    assert 0.2 < np.median(np.abs(outputs)) < 0.8
    assert np.mean(np.abs(outputs) > 0.98) < 0.05
    relu, _ = oracle.unroll(*makers.sequences("float64", "relu")[:3])
    assert 0.2 < np.mean(relu > 0) < 0.8
    for lengths in LENGTHS.values():
        assert len(lengths) == len(case.inputs)
        assert lengths.max() <= STEPS


@pytest.mark.parametrize("program", makers.PROGRAM_ROWS)
def test_makers_training_programs_do_not_magnify_rounding(program):
    """So that a float32 difference above the limit of 2e-6 means a fault: weights that are off by up to 1e-6 move no
    loss by more than that over 60 steps."""
    case = makers.program_training(program, "float64")
    losses, _, _ = oracle.train(*case)
    random = np.random.RandomState(8)
    moved = {name: w * (1 + random.uniform(-1e-6, 1e-6, w.shape)) for name, w in case.weights.items()}
    found, _, _ = oracle.train(*case._replace(weights=moved))
    assert np.abs(found - losses).max() < 2e-6 * losses.max()
