"""Program 4, the length law: past a row's length the outputs are exactly zero and the state is copied through.

The final state is the one at a row's last valid step (the initial state for length 0), all steps are kept, and nothing
flows back into the padding, whatever the padding holds.
"""

import numpy as np
import pytest

from spec_tests import oracle
from spec_tests.questions import makers
from spec_tests.questions.makers import BATCH, LENGTHS, STEPS, UNITS, padded, padding_of, rows_of, run
from spec_tests.suite.marks import (
    each_activation,
    each_dtype,
    each_lengths,
    each_padding,
    each_unrolling,
    needs,
    refused,
)
from spec_tests.tolerances import exact

pytestmark = needs("lengths")
MIXED = LENGTHS["mixed"]


def gradients(backend, case, unrolling, inputs, lengths):
    return backend.rnn_gradients(
        case.network,
        case.weights,
        inputs,
        case.output_gradients,
        case.state_gradients,
        lengths=lengths,
        unrolling=unrolling,
    )


@needs("initial_state")
@each_unrolling
@each_lengths
@each_activation
@each_dtype
def test_lengths_are_respected(backend, unrolling, lengths, activation, dtype, compare):
    """Outputs and state as the oracle gives them, from a given initial state."""
    case = makers.sequences(dtype, activation)
    arguments = (case.network, case.weights, case.inputs, lengths, case.initial_state)
    outputs, state = run(backend, unrolling, *arguments)
    expected, expected_state = oracle.unroll(*arguments)
    compare("outputs", outputs, expected, dtype)
    compare("state", state, expected_state, dtype)


@needs("tanh", "float32")
@each_unrolling
@each_lengths
def test_outputs_past_the_length_are_exactly_zero(backend, unrolling, lengths):
    case = makers.sequences("float32")
    outputs, _ = run(backend, unrolling, case.network, case.weights, case.inputs, lengths)
    past = padding_of(case.inputs, lengths)
    exact(outputs[past], np.zeros((past.sum(), UNITS)), "the outputs past the lengths %s" % lengths.tolist())
    assert (outputs[~past] != 0).all(), "the outputs up to the lengths %s must not be zeroed" % list(lengths)


@needs("tanh", "float32")
@each_unrolling
@each_lengths
def test_final_state_is_the_one_at_the_last_valid_step(backend, unrolling, lengths):
    case = makers.sequences("float32")
    outputs, state = run(backend, unrolling, case.network, case.weights, case.inputs, lengths)
    expected = [outputs[row, n - 1] if n else np.zeros(UNITS) for row, n in enumerate(lengths)]
    exact(
        oracle.read_out(case.network, state), np.array(expected), "the final state of the lengths %s" % lengths.tolist()
    )


@needs("initial_state", "tanh", "float32")
@each_unrolling
def test_length_zero_keeps_the_initial_state(backend, unrolling):
    case = makers.sequences("float32")
    lengths = LENGTHS["zero and one"]
    _, state = run(backend, unrolling, case.network, case.weights, case.inputs, lengths, case.initial_state)
    empty = lengths == 0
    exact(rows_of(state, empty), rows_of(case.initial_state, empty), "the final state of rows of length 0")


@needs("tanh", "float32")
@each_unrolling
def test_state_is_copied_through_the_padding(backend, unrolling, compare):
    """Padding a batch further neither zeroes nor changes any state."""
    case = makers.sequences("float32")
    _, state = run(backend, unrolling, case.network, case.weights, case.inputs, MIXED)
    longer = np.concatenate([case.inputs, case.inputs[:, :3]], axis=1)
    _, copied = run(backend, unrolling, case.network, case.weights, longer, MIXED)
    compare("state", copied, state, "float32", "the final state after three more padded steps")
    for name, part in rows_of(copied, MIXED > 0).items():
        assert (part != 0).all(), "%s of the state of a row that is not empty must not be zeroed" % name


@needs("tanh", "float32")
@each_unrolling
@each_lengths
def test_all_steps_are_kept(backend, unrolling, lengths):
    """Also when every row is shorter than the batch is long."""
    case = makers.sequences("float32")
    outputs, state = run(backend, unrolling, case.network, case.weights, case.inputs, lengths)
    assert outputs.shape == (BATCH, STEPS, UNITS), "outputs have shape %s" % list(outputs.shape)
    for name, width in case.network.state.items():
        assert state[name].shape == (BATCH, width), "state/%s has shape %s" % (name, list(state[name].shape))


@needs("tanh", "float32")
@each_unrolling
def test_order_of_the_rows_does_not_matter(backend, unrolling, compare):
    case = makers.sequences("float32")
    outputs, state = run(backend, unrolling, case.network, case.weights, case.inputs, MIXED)
    order = np.array([3, 5, 0, 4, 1, 2])
    shuffled, shuffled_state = run(backend, unrolling, case.network, case.weights, case.inputs[order], MIXED[order])
    compare("outputs", shuffled, outputs[order], "float32", "outputs of the rows in another order")
    compare("state", shuffled_state, rows_of(state, order), "float32", "states of the rows in another order")


@each_unrolling
@each_activation
@each_padding
@each_dtype
def test_padding_content_is_invisible(backend, unrolling, activation, padding, dtype):
    """Bit for bit."""
    case = makers.sequences(dtype, activation)
    zeros, state = run(backend, unrolling, case.network, case.weights, padded(case.inputs, MIXED, 0.0), MIXED)
    other = padded(case.inputs, MIXED, padding)
    outputs, other_state = run(backend, unrolling, case.network, case.weights, other, MIXED)
    exact(outputs, zeros, "outputs with %s in the padding" % padding)
    exact(other_state, state, "the state with %s in the padding" % padding)


@needs("gradients")
@each_unrolling
@each_activation
@each_dtype
def test_huge_padding_leaves_gradients_unchanged(backend, unrolling, activation, dtype):
    """Bit for bit."""
    case = makers.sequences(dtype, activation)
    expected = gradients(backend, case, unrolling, padded(case.inputs, MIXED, 0.0), MIXED)
    found = gradients(backend, case, unrolling, padded(case.inputs, MIXED, 1e6), MIXED)
    for name in expected:
        exact(found[name], expected[name], "the gradient by %s with 1e6 in the padding" % name)


@needs("gradients")
@each_unrolling
@each_activation
@each_dtype
def test_nan_in_padding_leaves_gradients_finite(backend, unrolling, activation, dtype, compare):
    """Finite, right, and exactly zero in the padding. TensorFlow multiplies the NaN by zero, which is NaN."""
    case = makers.sequences(dtype, activation)
    found = gradients(backend, case, unrolling, padded(case.inputs, MIXED, np.nan), MIXED)
    for name, gradient in found.items():
        assert np.isfinite(gradient).all(), "the gradient by %s is not finite when the padding holds NaN" % name
    expected = oracle.bptt(
        case.network, case.weights, case.inputs, case.output_gradients, case.state_gradients, lengths=MIXED
    )
    compare("gradients", found, expected, dtype)


@needs("gradients")
@each_unrolling
@each_lengths
@each_activation
@needs("float32")
def test_gradient_into_the_padding_is_exactly_zero(backend, unrolling, lengths, activation):
    case = makers.sequences("float32", activation)
    found = gradients(backend, case, unrolling, case.inputs, lengths)["inputs"]
    past = padding_of(case.inputs, lengths)
    exact(found[past], np.zeros(found[past].shape), "the gradient by the inputs past the lengths %s" % lengths.tolist())


@needs("gradients", "tanh", "float64")
@each_unrolling
def test_cost_on_padded_outputs_has_no_gradient(backend, unrolling):
    """Outputs past the length are the constant 0, so a cost on them alone moves nothing."""
    case = makers.sequences("float64")
    on_padding = np.where(padding_of(case.inputs, MIXED)[:, :, None], case.output_gradients, 0.0)
    found = backend.rnn_gradients(
        case.network, case.weights, case.inputs, on_padding, lengths=MIXED, unrolling=unrolling
    )
    for name, gradient in found.items():
        exact(gradient, np.zeros(gradient.shape), "the gradient by %s of a cost on padded outputs" % name)


@needs("tanh", "float64")
@each_unrolling
@pytest.mark.parametrize("wrong", [-1, STEPS + 1], ids=["negative", "above the steps"])
def test_length_out_of_range_is_an_error(backend, unrolling, wrong):
    case = makers.sequences("float64")
    lengths = MIXED.copy()
    lengths[2] = wrong
    with refused("lengths"):
        run(backend, unrolling, case.network, case.weights, case.inputs, lengths)


@needs("tanh", "float64")
@each_unrolling
@pytest.mark.parametrize("size", [BATCH - 1, BATCH + 1])
def test_lengths_of_wrong_size_are_an_error(backend, unrolling, size):
    case = makers.sequences("float64")
    with refused("lengths"):
        run(backend, unrolling, case.network, case.weights, case.inputs, np.ones(size, np.int64))


@needs("tanh", "float64")
@each_unrolling
def test_lengths_that_are_not_integers_are_an_error(backend, unrolling):
    case = makers.sequences("float64")
    with refused("lengths"):
        run(backend, unrolling, case.network, case.weights, case.inputs, MIXED.astype(float))
