"""Programs 2 and 3: by hand = static = dynamic = dynamic with full lengths, and all of them as the oracle."""

import numpy as np
import pytest

from spec_tests import oracle
from spec_tests.questions import makers
from spec_tests.questions.makers import BATCH, STEPS, UNITS, run, steps_of
from spec_tests.suite.marks import each_activation, each_dtype, each_unrolling, needs
from spec_tests.tolerances import exact

STATE_GIVEN = pytest.mark.parametrize(
    "given", [pytest.param(True, marks=needs("initial_state")), False], ids=["initial state", "zero state"]
)


@each_unrolling
@each_activation
@STATE_GIVEN
@each_dtype
def test_outputs_and_state_match_the_oracle(backend, unrolling, activation, given, dtype, compare):
    case = makers.sequences(dtype, activation)
    initial_state = case.initial_state if given else None
    outputs, state = run(backend, unrolling, case.network, case.weights, case.inputs, initial_state=initial_state)
    expected, expected_state = oracle.unroll(case.network, case.weights, case.inputs, initial_state=initial_state)
    compare("outputs", outputs, expected, dtype)
    compare("state", state, expected_state, dtype)


@needs("two_step")
@each_unrolling
@each_activation
@each_dtype
def test_unrolling_two_steps_agrees_with_two_steps_by_hand(backend, unrolling, activation, dtype, compare):
    case = makers.sequences(dtype, activation, steps=2)
    by_hand, last = run(backend, "by hand", case.network, case.weights, case.inputs)
    outputs, state = run(backend, unrolling, case.network, case.weights, case.inputs)
    compare("outputs", outputs, by_hand, dtype)
    compare("state", state, last, dtype)


@needs("static_rnn", "dynamic_rnn", "initial_state")
@each_activation
@each_dtype
def test_static_agrees_with_dynamic(backend, activation, dtype, compare):
    case = makers.sequences(dtype, activation)
    arguments = (backend, case.network, case.weights, case.inputs)
    static, static_state = run(arguments[0], "static", *arguments[1:], initial_state=case.initial_state)
    dynamic, dynamic_state = run(arguments[0], "dynamic", *arguments[1:], initial_state=case.initial_state)
    compare("outputs", static, dynamic, dtype, "static outputs beside dynamic ones")
    compare("state", static_state, dynamic_state, dtype, "static state beside the dynamic one")


@needs("lengths")
@each_unrolling
@each_activation
@each_dtype
def test_full_lengths_change_nothing(backend, unrolling, activation, dtype, compare):
    case = makers.sequences(dtype, activation)
    without, state_without = run(backend, unrolling, case.network, case.weights, case.inputs)
    full = np.full(BATCH, STEPS)
    outputs, state = run(backend, unrolling, case.network, case.weights, case.inputs, full)
    compare("outputs", outputs, without, dtype, "outputs with full lengths")
    compare("state", state, state_without, dtype, "state with full lengths")


@needs("static_rnn", "tanh", "float64")
def test_static_outputs_are_a_list_with_one_array_per_step(backend):
    case = makers.sequences("float64")
    outputs, _ = backend.static_rnn(case.network, case.weights, steps_of(case.inputs))
    assert isinstance(outputs, list), "static_rnn's outputs must be a list, found %s" % type(outputs).__name__
    shapes = [y.shape for y in outputs]
    assert shapes == [(BATCH, UNITS)] * STEPS, "static_rnn's outputs have the shapes %s" % shapes


@needs("tanh", "float64")
@each_unrolling
def test_final_state_is_the_last_output(backend, unrolling):
    case = makers.sequences("float64")
    outputs, state = run(backend, unrolling, case.network, case.weights, case.inputs)
    exact(oracle.read_out(case.network, state), outputs[:, -1], "the final state")


@needs("tanh", "float64")
@each_unrolling
def test_steps_run_forward_in_time(backend, unrolling):
    """An output depends on the inputs up to its own step, and on no later one."""
    case = makers.sequences("float64")
    outputs, _ = run(backend, unrolling, case.network, case.weights, case.inputs)
    for t in range(STEPS):
        changed = case.inputs.copy()
        changed[:, t] += 1.0
        other, _ = run(backend, unrolling, case.network, case.weights, changed)
        exact(other[:, :t], outputs[:, :t], "the outputs before step %d, whose input was changed" % t)
        unmoved = np.argwhere((other[:, t:] == outputs[:, t:]).all(axis=2))
        assert not len(unmoved), "the input of step %d does not reach the output of step %d" % (t, t + unmoved[0][1])


@needs("initial_state", "tanh", "float64")
@each_unrolling
def test_initial_state_is_where_the_first_step_starts(backend, unrolling, compare):
    """Going on from the state of the first steps gives the rest of the outputs."""
    case = makers.sequences("float64")
    outputs, state = run(backend, unrolling, case.network, case.weights, case.inputs)
    _, middle = run(backend, unrolling, case.network, case.weights, case.inputs[:, :2])
    rest, rest_state = run(backend, unrolling, case.network, case.weights, case.inputs[:, 2:], initial_state=middle)
    compare("outputs", rest, outputs[:, 2:], "float64", "outputs after a stop at step 2")
    compare("state", rest_state, state, "float64", "state after a stop at step 2")


@needs("tanh", "float64")
@each_unrolling
def test_rows_do_not_mix(backend, unrolling, compare):
    case = makers.sequences("float64")
    outputs, _ = run(backend, unrolling, case.network, case.weights, case.inputs)
    alone, _ = run(backend, unrolling, case.network, case.weights, case.inputs[2:3])
    compare("outputs", alone, outputs[2:3], "float64", "one row alone")
