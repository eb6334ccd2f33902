"""Program 6, back-propagation through time: gradients flow back through every output that the cost uses."""

import numpy as np
import pytest

from spec_tests import oracle
from spec_tests.questions import makers
from spec_tests.questions.makers import BATCH, LENGTHS, STEPS, UNITS
from spec_tests.suite.marks import each_activation, each_dtype, each_unrolling, needs, refused

pytestmark = needs("gradients")


def ask(backend, case, unrolling, outputs=None, state=None, lengths=None, initial_state=None):
    """The backend's gradients and the oracle's, for a cost with these derivatives by outputs and state."""
    found = backend.rnn_gradients(
        case.network, case.weights, case.inputs, outputs, state, lengths, initial_state, unrolling=unrolling
    )
    return found, oracle.bptt(case.network, case.weights, case.inputs, outputs, state, lengths, initial_state)


@needs("initial_state")
@each_unrolling
@pytest.mark.parametrize("cost", ["outputs", "state", "both"])
@pytest.mark.parametrize(
    "lengths", [None, pytest.param(LENGTHS["unsorted"], marks=needs("lengths"))], ids=["full", "unsorted"]
)
@each_activation
@each_dtype
def test_gradients_match_the_oracle_by_name(backend, unrolling, cost, lengths, activation, dtype, compare):
    case = makers.sequences(dtype, activation)
    outputs = None if cost == "state" else case.output_gradients
    state = None if cost == "outputs" else case.state_gradients
    found, expected = ask(backend, case, unrolling, outputs, state, lengths, case.initial_state)
    compare("gradients", found, expected, dtype)


@needs("tanh", "float64")
@each_unrolling
def test_gradient_flows_through_every_output_the_cost_uses(backend, unrolling, compare):
    """A cost on one step's output alone, for each step: not only the last one has a gradient."""
    case = makers.sequences("float64")
    for t in range(STEPS):
        on_one = np.zeros_like(case.output_gradients)
        on_one[:, t] = case.output_gradients[:, t]
        found, expected = ask(backend, case, unrolling, on_one)
        compare("gradients", found, expected, "float64", "gradients of a cost on the output of step %d" % t)


@needs("tanh", "float64")
@each_unrolling
def test_gradient_flows_back_to_the_first_step(backend, unrolling):
    """A cost on the final state moves with every input: BPTT is not truncated."""
    case = makers.sequences("float64")
    found, _ = ask(backend, case, unrolling, state=case.state_gradients)
    silent = np.argwhere((found["inputs"] == 0).all(axis=(0, 2)))
    assert not len(silent), "no gradient reaches the inputs of step %s" % silent.ravel().tolist()


@needs("tanh", "float64")
@each_unrolling
def test_a_later_input_has_no_gradient_from_an_earlier_output(backend, unrolling):
    case = makers.sequences("float64")
    on_first = np.zeros_like(case.output_gradients)
    on_first[:, :2] = case.output_gradients[:, :2]
    found, _ = ask(backend, case, unrolling, on_first)
    assert (found["inputs"][:, 2:] == 0).all(), "a cost on steps 0 and 1 has a gradient by later inputs"


@needs("tanh")
@each_unrolling
@each_dtype
def test_gradient_by_the_initial_state_is_there_also_when_none_is_given(backend, unrolling, dtype, compare):
    case = makers.sequences(dtype)
    found, expected = ask(backend, case, unrolling, case.output_gradients, case.state_gradients)
    parts = ["initial_state/" + name for name in case.network.state]
    names = {*case.weights, "inputs", *parts}
    assert set(found) == names, "the gradients are named %s, expected %s" % (sorted(found), sorted(names))
    for name in parts:
        compare("gradients", found[name], expected[name], dtype, "the gradient by %s" % name)


@needs("static_rnn", "dynamic_rnn", "tanh")
@each_dtype
def test_static_gradients_agree_with_dynamic_ones(backend, dtype, compare):
    case = makers.sequences(dtype)
    static, _ = ask(backend, case, "static", case.output_gradients, case.state_gradients)
    dynamic, _ = ask(backend, case, "dynamic", case.output_gradients, case.state_gradients)
    compare("gradients", static, dynamic, dtype, "static gradients beside dynamic ones")


@needs("lengths", "tanh", "float64")
@each_unrolling
@pytest.mark.parametrize("lengths", [LENGTHS["all zero"], LENGTHS["zero and one"]], ids=["all zero", "zero and one"])
def test_gradients_of_empty_rows_pass_to_the_initial_state(backend, unrolling, lengths, compare):
    case = makers.sequences("float64")
    found, expected = ask(backend, case, unrolling, case.output_gradients, case.state_gradients, lengths)
    compare("gradients", found, expected, "float64")


@needs("tanh", "float64")
@each_unrolling
def test_a_cost_on_nothing_is_an_error(backend, unrolling):
    case = makers.sequences("float64")
    with refused(r"output_gradients|state_gradients"):
        ask(backend, case, unrolling)


@needs("tanh", "float64")
@each_unrolling
@pytest.mark.parametrize(
    ("argument", "wrong"),
    [
        ("output_gradients", np.ones((BATCH, STEPS, UNITS - 1))),
        ("state_gradients", {"h": np.ones((BATCH - 1, UNITS))}),
        ("state_gradients", {}),
        ("state_gradients", {"h": np.ones((BATCH, UNITS)), "c": np.ones((BATCH, UNITS))}),
    ],
    ids=["output_gradients", "state_gradients", "a missing part", "an unknown part"],
)
def test_a_derivative_of_wrong_shape_is_an_error(backend, unrolling, argument, wrong):
    case = makers.sequences("float64")
    with refused(argument):
        backend.rnn_gradients(case.network, case.weights, case.inputs, unrolling=unrolling, **{argument: wrong})
