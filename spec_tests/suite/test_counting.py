"""Exact integer tests, without any tolerance: a cell that counts its steps, and one that reads binary digits.

With ReLU and small integer weights everything is a small integer, exact in float32 too.
"""

import numpy as np

from spec_tests.questions.makers import BATCH, INPUTS, LENGTHS, STEPS, UNITS, counting_weights, reading_weights, run
from spec_tests.suite.marks import each_dtype, each_lengths, each_unrolling, needs
from spec_tests.tolerances import exact
from unrolled.networks import BasicRNN

pytestmark = needs("relu")
NETWORK = BasicRNN(UNITS, "relu")
MIXED = LENGTHS["mixed"]
# Binary digits, a different pattern in each row; only input 0 is read, the others are large.
DIGITS = np.full((BATCH, STEPS, INPUTS), 64.0)
DIGITS[:, :, 0] = [[1, 0, 0, 1, 0], [0, 1, 1, 0, 1], [1, 1, 0, 1, 0], [1, 0, 1, 1, 1], [1, 1, 1, 0, 0], [0, 0, 1, 0, 1]]


@needs("lengths")
@each_unrolling
@each_lengths
@each_dtype
def test_state_counts_the_valid_steps(backend, unrolling, lengths, dtype):
    """h' = h + 1: the final state is the length, neither one more nor one less."""
    _, state = run(backend, unrolling, NETWORK, counting_weights(dtype, INPUTS, UNITS), DIGITS.astype(dtype), lengths)
    exact(state, {"h": np.tile(np.array(lengths)[:, None], (1, UNITS))}, "the number of steps counted")


@needs("lengths")
@each_unrolling
@each_lengths
@each_dtype
def test_outputs_count_up_to_the_length_and_are_zero_after(backend, unrolling, lengths, dtype):
    outputs, _ = run(backend, unrolling, NETWORK, counting_weights(dtype, INPUTS, UNITS), DIGITS.astype(dtype), lengths)
    counts = np.arange(1, STEPS + 1)
    expected = np.where(counts <= np.array(lengths)[:, None], counts, 0)
    exact(outputs, np.tile(expected[:, :, None], (1, 1, UNITS)), "the outputs of the counting cell")


@needs("lengths", "initial_state")
@each_unrolling
@each_dtype
def test_counting_goes_on_from_the_initial_state(backend, unrolling, dtype):
    start = np.arange(BATCH * UNITS, dtype=dtype).reshape(BATCH, UNITS)
    weights = counting_weights(dtype, INPUTS, UNITS)
    _, state = run(backend, unrolling, NETWORK, weights, DIGITS.astype(dtype), MIXED, {"h": start})
    exact(state, {"h": start + MIXED[:, None]}, "the initial state plus the length")


@each_unrolling
@each_dtype
def test_digits_are_read_in_the_order_of_time(backend, unrolling, dtype):
    """h' = 2 h + x: the state is the number that the inputs spell, first digit first."""
    outputs, _ = run(backend, unrolling, NETWORK, reading_weights(dtype, INPUTS, UNITS), DIGITS.astype(dtype))
    digits = DIGITS[:, :, 0]
    numbers = [digits[:, : t + 1] @ 2.0 ** np.arange(t, -1, -1) for t in range(STEPS)]
    exact(outputs[:, :, 0], np.stack(numbers, axis=1), "the number read so far")


@each_unrolling
@each_dtype
def test_each_unit_hands_its_state_to_the_next(backend, unrolling, dtype):
    """Unit j holds what unit j - 1 held a step before: a transposed recurrent kernel would hand it the other way."""
    outputs, _ = run(backend, unrolling, NETWORK, reading_weights(dtype, INPUTS, UNITS), DIGITS.astype(dtype))
    for unit in range(1, UNITS):
        delayed = np.concatenate([np.zeros((BATCH, 1)), outputs[:, :-1, unit - 1]], axis=1)
        exact(outputs[:, :, unit], delayed, "unit %d, the delayed unit %d" % (unit, unit - 1))


@needs("lengths", "gradients")
@each_unrolling
@each_lengths
@each_dtype
def test_gradient_by_the_bias_counts_the_valid_steps(backend, unrolling, lengths, dtype):
    """The state of the counting cell is length * bias, so a cost that sums it has the gradient sum(lengths)."""
    found = backend.rnn_gradients(
        NETWORK,
        counting_weights(dtype, INPUTS, UNITS),
        DIGITS.astype(dtype),
        state_gradients={"h": np.ones((BATCH, UNITS), dtype)},
        lengths=np.array(lengths),
        unrolling=unrolling,
    )
    exact(found["bias"], np.full(UNITS, sum(lengths)), "the gradient by the bias")
    exact(found["initial_state/h"], np.ones((BATCH, UNITS)), "the gradient by the initial state")


@needs("lengths", "gradients")
@each_unrolling
@each_dtype
def test_gradient_by_the_inputs_is_the_place_value_of_the_digit(backend, unrolling, dtype):
    """d state / d x_t = 2^(length - 1 - t) for the reading unit, and exactly 0 past the length."""
    weights = reading_weights(dtype, INPUTS, UNITS)
    weights["bias"] = np.ones(UNITS, dtype)  # keeps every unit above 0, where ReLU has its slope
    by_state = np.zeros((BATCH, UNITS), dtype)
    by_state[:, 0] = 1.0
    found = backend.rnn_gradients(
        NETWORK, weights, DIGITS.astype(dtype), state_gradients={"h": by_state}, lengths=MIXED, unrolling=unrolling
    )
    steps = np.arange(STEPS)
    place = np.where(steps < MIXED[:, None], 2.0 ** (MIXED[:, None] - 1 - steps), 0.0)
    exact(found["inputs"][:, :, 0], place, "the gradient by input 0")
    exact(found["inputs"][:, :, 1:], np.zeros((BATCH, STEPS, INPUTS - 1)), "the gradient by the inputs not read")


@needs("initial_state")
@each_unrolling
@each_dtype
def test_the_recurrent_kernel_is_not_transposed(backend, unrolling, dtype):
    """From a state of one 1, a step gives that unit's row of the kernel, whose numbers are all different."""
    recurrent = np.arange(1, UNITS * UNITS + 1).reshape(UNITS, UNITS)
    kernel = np.concatenate([np.zeros((INPUTS, UNITS)), recurrent]).astype(dtype)
    weights = {"kernel": kernel, "bias": np.zeros(UNITS, dtype)}
    inputs = np.zeros((UNITS, 1, INPUTS), dtype)
    _, state = run(backend, unrolling, NETWORK, weights, inputs, None, {"h": np.eye(UNITS, dtype=dtype)})
    exact(state, {"h": recurrent}, "the rows of the recurrent kernel, one per row of the batch")
