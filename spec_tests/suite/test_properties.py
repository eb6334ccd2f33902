"""Properties over drawn shapes, lengths and padding. Nothing is random from run to run."""

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spec_tests import oracle
from spec_tests.questions import makers
from spec_tests.questions.makers import padded, padding_of, run
from spec_tests.suite.marks import each_unrolling, needs
from spec_tests.tolerances import exact

# The fixtures are not per example, and need not be: `backend` has no state and `compare` only records.
PROPERTY = settings(
    max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
ACTIVATIONS = st.sampled_from(["tanh", "relu"])


@st.composite
def drawn_case(draw, dtype="float64"):
    """A case with sizes from 1 to 6, and a length for each of its rows."""
    batch, steps, inputs, units = (
        draw(st.integers(1, 6), label=name) for name in ("batch", "steps", "inputs", "units")
    )
    lengths = draw(st.lists(st.integers(0, steps), min_size=batch, max_size=batch), label="lengths")
    seed = draw(st.integers(0, 2**32 - 1), label="seed")
    case = makers.sequences(dtype, draw(ACTIVATIONS), batch, steps, inputs, units, seed)
    return case, np.array(lengths)


@needs("lengths", "initial_state", "tanh", "relu", "float64")
@each_unrolling
@PROPERTY
@given(drawn=drawn_case())
def test_any_shape_and_lengths_match_the_oracle(backend, unrolling, compare, drawn):
    case, lengths = drawn
    arguments = (case.network, case.weights, case.inputs, lengths, case.initial_state)
    outputs, state = run(backend, unrolling, *arguments)
    expected, expected_state = oracle.unroll(*arguments)
    compare("outputs", outputs, expected, "float64", "outputs of lengths %s" % lengths.tolist())
    compare("state", state, expected_state, "float64", "state of lengths %s" % lengths.tolist())


@needs("lengths", "initial_state", "gradients", "tanh", "relu", "float64")
@each_unrolling
@PROPERTY
@given(drawn=drawn_case())
def test_gradients_of_any_shape_and_lengths_match_the_oracle(backend, unrolling, compare, drawn):
    case, lengths = drawn
    arguments = (*case[:3], case.output_gradients, case.state_gradients, lengths, case.initial_state)
    found = backend.rnn_gradients(*arguments, unrolling=unrolling)
    compare("gradients", found, oracle.bptt(*arguments), "float64", "gradients of lengths %s" % lengths.tolist())
    past = padding_of(case.inputs, lengths)
    exact(found["inputs"][past], np.zeros(found["inputs"][past].shape), "the gradient into the padding")


@needs("lengths", "tanh", "relu", "float32")
@each_unrolling
@PROPERTY
@given(drawn=drawn_case("float32"), padding=st.sampled_from([np.nan, np.inf, -np.inf, 1e6, -1e30, 0.5]))
def test_any_padding_is_invisible(backend, unrolling, drawn, padding):
    case, lengths = drawn
    zeros, state = run(backend, unrolling, case.network, case.weights, padded(case.inputs, lengths, 0.0), lengths)
    other = padded(case.inputs, lengths, padding)
    outputs, other_state = run(backend, unrolling, case.network, case.weights, other, lengths)
    exact(outputs, zeros, "outputs of lengths %s with %s in the padding" % (lengths.tolist(), padding))
    exact(other_state, state, "state of lengths %s with %s in the padding" % (lengths.tolist(), padding))


@needs("dynamic_rnn", "lengths", "tanh", "relu", "float64")
@PROPERTY
@given(drawn=drawn_case(), extra=st.integers(1, 4))
def test_padding_a_batch_further_changes_nothing(backend, compare, drawn, extra):
    case, lengths = drawn
    outputs, state = run(backend, "dynamic", case.network, case.weights, case.inputs, lengths)
    longer = np.concatenate([case.inputs, np.ones_like(case.inputs[:, :1]).repeat(extra, axis=1)], axis=1)
    found, found_state = run(backend, "dynamic", case.network, case.weights, longer, lengths)
    compare("outputs", found[:, : case.inputs.shape[1]], outputs, "float64", "outputs after more padding")
    compare("state", found_state, state, "float64", "state after more padding")
    exact(found[:, case.inputs.shape[1] :], np.zeros_like(found[:, case.inputs.shape[1] :]), "outputs on the padding")
