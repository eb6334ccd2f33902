"""Layers, two directions, residual: who reads what, and where each state is taken."""

import numpy as np
import pytest

from spec_tests.capabilities import needs_of
from spec_tests.questions import makers
from spec_tests.questions.makers import LENGTHS, UNITS, padded, run
from spec_tests.suite.marks import needs
from spec_tests.tolerances import exact
from unrolled.networks import GRU, LSTM, BasicRNN, Bidirectional, Layers, Residual, prefixed

pytestmark = needs("dynamic_rnn", "float64")
UNSORTED = LENGTHS["unsorted"]
# The same cells above and below, and in both directions, so that nothing but the names tells them apart.
CELLS = {"basic_rnn": BasicRNN(UNITS), "lstm": LSTM(UNITS), "gru": GRU(UNITS)}


def each_cell(structure):
    """A parameter `cell`, of CELLS, for backends that have that structure of it."""
    parameters = [pytest.param(cell, marks=needs(*needs_of(structure(cell))), id=name) for name, cell in CELLS.items()]
    return pytest.mark.parametrize("cell", parameters)


def two_layers(cell):
    return Layers((cell, cell))


def two_directions(cell):
    return Bidirectional(cell, cell)


def part(arrays, prefix):
    return {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}


def turned(x, lengths):
    """Each row's valid steps in reverse order, the padding where it was."""
    result = x.copy()
    for row, n in enumerate(lengths):
        result[row, :n] = x[row, :n][::-1]
    return result


@needs("lengths", "initial_state")
@each_cell(two_layers)
def test_each_layer_reads_the_outputs_of_the_one_below(backend, cell, compare):
    """From a state of its own, with weights of its own: as if they were asked one after the other."""
    case = makers.sequences_of(Layers((cell, cell, cell)), "float64")
    found, state = run(backend, "dynamic", *case[:3], UNSORTED, case.initial_state)
    outputs, expected = case.inputs, {}
    for name in ("cell_0/", "cell_1/", "cell_2/"):
        own, start = part(case.weights, name), part(case.initial_state, name)
        outputs, after = run(backend, "dynamic", cell, own, outputs, UNSORTED, start)
        expected.update(prefixed(name, after))
    compare("outputs", found, outputs, "float64")
    compare("state", state, expected, "float64")


@each_cell(two_layers)
def test_layers_do_not_share_weights(backend, cell):
    """Each weight of each layer moves the outputs. TF1's MultiRNNCell([cell] * 2) is one set of weights."""
    # As many inputs as units, so that the layers' weights have the same shapes.
    case = makers.sequences_of(two_layers(cell), "float64", inputs=UNITS)
    outputs, _ = run(backend, "dynamic", *case[:3])
    for name, weight in case.weights.items():
        moved, _ = run(backend, "dynamic", case.network, dict(case.weights, **{name: weight + 0.1}), case.inputs)
        assert np.abs(moved - outputs).max() > 1e-3, "%s does not move the outputs" % name
    swapped = {
        **prefixed("cell_0/", part(case.weights, "cell_1/")),
        **prefixed("cell_1/", part(case.weights, "cell_0/")),
    }
    other, _ = run(backend, "dynamic", case.network, swapped, case.inputs)
    assert np.abs(other - outputs).max() > 1e-3, "the outputs are the same with the layers' weights swapped"


@needs("gradients")
@each_cell(two_layers)
def test_gradients_of_a_layer_are_its_own(backend, cell):
    """Those of equal weights in two layers differ, and a cost on the lower state alone leaves the upper layer still."""
    case = makers.sequences_of(two_layers(cell), "float64", inputs=UNITS)
    below = part(case.weights, "cell_0/")
    weights = {**prefixed("cell_0/", below), **prefixed("cell_1/", below)}
    cost = {name: array * name.startswith("cell_0/") for name, array in case.state_gradients.items()}
    found = backend.rnn_gradients(case.network, weights, case.inputs, case.output_gradients)
    on_lower = backend.rnn_gradients(case.network, weights, case.inputs, None, cost)
    for name in below:
        assert np.abs(found["cell_0/" + name] - found["cell_1/" + name]).max() > 1e-3, name
        exact(on_lower["cell_1/" + name], np.zeros(below[name].shape), "the gradient by cell_1/" + name)


@needs("lengths", "initial_state")
@each_cell(two_directions)
def test_backward_direction_reads_the_valid_steps_in_reverse_order(backend, cell, compare):
    """Its outputs are turned back and stand beside those of the forward direction, which come first."""
    case = makers.sequences_of(two_directions(cell), "float64")
    found, state = run(backend, "dynamic", *case[:3], UNSORTED, case.initial_state)
    expected = []
    for name, inputs in (("fw/", case.inputs), ("bw/", turned(case.inputs, UNSORTED))):
        own, start = part(case.weights, name), part(case.initial_state, name)
        outputs, after = run(backend, "dynamic", cell, own, inputs, UNSORTED, start)
        expected.append(outputs if name == "fw/" else turned(outputs, UNSORTED))
        compare("state", part(state, name), after, "float64", "the state of " + name)
    compare("outputs", found, np.concatenate(expected, axis=2), "float64")


@needs("lengths", "initial_state")
@each_cell(two_directions)
def test_backward_direction_reads_only_valid_steps(backend, cell, compare):
    """It starts at a row's last valid step, from the initial state: what the padding holds, and how long it is, changes
    nothing."""
    case = makers.sequences_of(two_directions(cell), "float64")
    expected, expected_state = run(backend, "dynamic", *case[:3], UNSORTED, case.initial_state)
    longer = np.concatenate([case.inputs, case.inputs[:, :3]], axis=1)
    inputs = padded(longer, UNSORTED, 1e6)
    found, state = run(backend, "dynamic", *case[:2], inputs, UNSORTED, case.initial_state)
    compare("outputs", found[:, : expected.shape[1]], expected, "float64", "outputs after three more padded steps")
    compare("state", state, expected_state, "float64", "the state after three more padded steps")


@needs("lengths")
@each_cell(two_directions)
def test_state_of_the_backward_direction_is_taken_at_the_first_step(backend, cell, compare):
    """Its h is the backward output of step 0, where forward it is that of the last valid step."""
    case = makers.sequences_of(two_directions(cell), "float64")
    outputs, state = run(backend, "dynamic", *case[:3], UNSORTED)
    rows = UNSORTED > 0
    last = outputs[np.arange(len(outputs)), UNSORTED - 1]
    compare("state", state["bw/h"][rows], outputs[rows, 0, UNITS:], "float64", "bw/h")
    compare("state", state["fw/h"][rows], last[rows, :UNITS], "float64", "fw/h")


@each_cell(lambda cell: Layers((two_directions(cell),)))
def test_both_directions_of_a_layer_read_both_of_the_one_below(backend, cell, compare):
    """TF1's stack_bidirectional_dynamic_rnn, and PyTorch's layers of two directions."""
    case = makers.sequences_of(two_layers(two_directions(cell)), "float64")
    found, _ = run(backend, "dynamic", *case[:3])
    below, _ = run(backend, "dynamic", two_directions(cell), part(case.weights, "cell_0/"), case.inputs)
    expected, _ = run(backend, "dynamic", two_directions(cell), part(case.weights, "cell_1/"), below)
    compare("outputs", found, expected, "float64")


@each_cell(lambda cell: two_directions(two_layers(cell)))
def test_two_stacks_meet_at_the_top_only(backend, cell, compare):
    """TF1's bidirectional_dynamic_rnn over two MultiRNNCells: a layer reads its own direction alone."""
    case = makers.sequences_of(two_directions(two_layers(cell)), "float64")
    found, _ = run(backend, "dynamic", *case[:3])
    outputs, _ = run(backend, "dynamic", two_layers(cell), part(case.weights, "fw/"), case.inputs)
    compare("outputs", found[:, :, :UNITS], outputs, "float64", "outputs of the forward stack")
    outputs, _ = run(backend, "dynamic", two_layers(cell), part(case.weights, "bw/"), case.inputs[:, ::-1].copy())
    compare("outputs", found[:, :, UNITS:], outputs[:, ::-1], "float64", "outputs of the backward stack")


@needs("lengths", "initial_state")
@each_cell(Residual)
def test_residual_adds_its_inputs_to_its_outputs_and_nothing_to_its_state(backend, cell, compare):
    """Past the length too there is nothing: zero and not the inputs."""
    case = makers.sequences_of(Residual(cell), "float64", inputs=UNITS)
    outputs, state = run(backend, "dynamic", *case[:3], UNSORTED, case.initial_state)
    inner, expected_state = run(backend, "dynamic", cell, *case[1:3], UNSORTED, case.initial_state)
    expected = padded(inner + case.inputs, UNSORTED, 0.0)
    compare("outputs", outputs, expected, "float64")
    compare("state", state, expected_state, "float64")
