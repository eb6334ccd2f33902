"""Dropout by given masks: what is dropped and scaled, what the next step reads, and whose masks are whose.

Each is put beside the network within, which has no dropout, on inputs or from states that are dropped by hand.
"""

import numpy as np
import pytest

from spec_tests.capabilities import needs_of
from spec_tests.questions import makers
from spec_tests.questions.makers import BATCH, LENGTHS, STEPS, UNITS, run
from spec_tests.questions.masks import masks_within
from spec_tests.suite.marks import needs, refused
from spec_tests.tolerances import exact
from unrolled.networks import GRU, LSTM, BasicRNN, Bidirectional, Dropout, Layers, Network, Residual

pytestmark = needs("dropout", "dynamic_rnn", "float64")
KEEP = float(np.float32(0.7))  # TF1 rounds what it is told to keep, also for float64
CELLS: dict[str, Network] = {
    "basic_rnn": BasicRNN(UNITS),
    "lstm": LSTM(UNITS),
    "gru": GRU(UNITS),
    "layers": Layers((LSTM(UNITS), GRU(2))),
}


def each_cell(*names):
    parameters = [pytest.param(CELLS[name], marks=needs(*needs_of(CELLS[name])), id=name) for name in names]
    return pytest.mark.parametrize("cell", parameters)


def asked(backend, case, state=None):
    """The case's network with its masks."""
    return run(backend, "dynamic", case.network, case.weights, case.inputs, None, state, case.masks)


def alone(backend, case, inputs=None, state=None):
    """The network within, which has the same weights."""
    inputs = case.inputs if inputs is None else inputs
    return run(backend, "dynamic", case.network.network, case.weights, inputs, None, state)


@each_cell("lstm", "gru")
def test_inputs_are_dropped_and_what_is_kept_is_scaled(backend, cell, compare):
    case = makers.sequences_of(Dropout(cell, input_keep=0.7), "float64")
    outputs, state = asked(backend, case)
    expected, expected_state = alone(backend, case, case.inputs * case.masks["inputs"] / KEEP)
    compare("outputs", outputs, expected, "float64")
    compare("state", state, expected_state, "float64")


@each_cell("lstm", "gru")
def test_outputs_are_dropped_and_do_not_enter_the_state(backend, cell, compare):
    """The next step, and the final state, have the output as it was."""
    case = makers.sequences_of(Dropout(cell, output_keep=0.7), "float64")
    outputs, state = asked(backend, case)
    expected, expected_state = alone(backend, case)
    compare("outputs", outputs, expected * case.masks["outputs"] / KEEP, "float64")
    compare("state", state, expected_state, "float64")


@needs("initial_state")
@each_cell("basic_rnn", "lstm", "gru", "layers")
def test_the_outgoing_state_is_dropped_except_c(backend, cell, compare):
    """Step by step by hand: a step's output is not dropped, its state is, as the next step reads it and as it is
    returned; the state that comes in is not."""
    case = makers.sequences_of(Dropout(cell, state_keep=0.7), "float64")
    outputs, state = asked(backend, case, state=case.initial_state)
    states = {"state/" + name for name in case.network.state if name[-1] != "c"}
    assert set(case.masks) == states, "the masks are of %s: the test is about %s" % (sorted(case.masks), sorted(states))
    expected, last = [], case.initial_state
    for t in range(STEPS):
        output, last = alone(backend, case, case.inputs[:, t : t + 1], last)
        expected.append(output)
        factors = {name: case.masks["state/" + name][:, t] / KEEP for name in last if name[-1] != "c"}
        last = {name: part * factors.get(name, 1.0) for name, part in last.items()}
    compare("outputs", outputs, np.concatenate(expected, axis=1), "float64")
    compare("state", state, last, "float64")


@each_cell("gru")
def test_shares_to_keep_are_rounded_to_float32(backend, cell, compare):
    """Also where weights are float64: TF1's 0.9 is 0.89999998."""
    case = makers.sequences_of(Dropout(cell, output_keep=0.9), "float64")
    found, _ = asked(backend, case)
    expected, _ = alone(backend, case)
    compare("outputs", found, expected * case.masks["outputs"] / 0.8999999761581421, "float64")


@each_cell("lstm", "gru")
def test_a_variational_mask_is_one_for_all_rows_and_steps(backend, cell, compare):
    case = makers.sequences_of(Dropout(cell, 0.7, 0.6, 0.8, variational=True), "float64")
    outputs, state = asked(backend, case)
    by_step = Dropout(cell, 0.7, 0.6, 0.8)
    repeated = {name: np.tile(mask, (BATCH, STEPS, 1)) for name, mask in case.masks.items()}
    expected, expected_state = run(backend, "dynamic", by_step, *case[1:3], masks=repeated)
    compare("outputs", outputs, expected, "float64")
    compare("state", state, expected_state, "float64")


@each_cell("lstm", "gru")
def test_without_masks_nothing_is_dropped_or_scaled(backend, cell, compare):
    case = makers.sequences_of(Dropout(cell, 0.7, 0.6, 0.8), "float64")._replace(masks={})
    outputs, state = asked(backend, case)
    expected, expected_state = alone(backend, case)
    compare("outputs", outputs, expected, "float64")
    compare("state", state, expected_state, "float64")


@needs("lengths")
@each_cell("gru")
def test_a_backward_directions_masks_are_in_its_own_order(backend, cell, compare):
    """Their first step is the one that it reads first, a row's last valid one."""
    backward, lengths = Dropout(cell, 0.7, 0.6), LENGTHS["unsorted"]
    case = makers.sequences_of(Bidirectional(cell, backward), "float64")
    found, _ = run(backend, "dynamic", *case[:3], lengths, masks=case.masks)
    own = {name: case.weights["bw/" + name] for name in cell.weights(case.inputs.shape[2])}
    for row, n in enumerate(lengths):
        if n:
            masks = {name[3:]: mask for name, mask in masks_within(case.masks, [row], n).items()}
            reversed_row = case.inputs[row : row + 1, :n][:, ::-1].copy()
            expected, _ = run(backend, "dynamic", backward, own, reversed_row, masks=masks)
            what = "backward outputs of row %d" % row
            compare("outputs", found[row, :n, UNITS:], expected[0, ::-1], "float64", what)


@needs("residual")
@each_cell("gru")
def test_a_residual_network_around_dropout_adds_its_inputs_undropped(backend, cell, compare):
    dropout = Dropout(cell, input_keep=0.7, output_keep=0.7)
    case = makers.sequences_of(Residual(dropout), "float64", inputs=UNITS)
    found, _ = asked(backend, case)
    inner, _ = run(backend, "dynamic", dropout, *case[1:3], masks=case.masks)
    compare("outputs", found, case.inputs + inner, "float64")


@needs("gradients")
@each_cell("lstm", "gru")
def test_nothing_flows_through_what_is_dropped(backend, cell):
    """The gradient by a dropped input is exactly zero, and an output that is dropped has none to give."""
    case = makers.sequences_of(Dropout(cell, input_keep=0.7, output_keep=0.7), "float64")
    found = backend.rnn_gradients(*case[:3], case.output_gradients, masks=case.masks)["inputs"]
    dropped = case.masks["inputs"] == 0
    exact(found[dropped], np.zeros(dropped.sum()), "the gradient by the inputs that are dropped")
    hidden = case.output_gradients * (1.0 - case.masks["outputs"])
    found = backend.rnn_gradients(*case[:3], hidden, masks=case.masks)
    exact(found["inputs"], np.zeros(case.inputs.shape), "the gradient of a cost on dropped outputs alone")


@each_cell("lstm")
@pytest.mark.parametrize("unrolling", ["dynamic", pytest.param("static", marks=needs("static_rnn"))])
def test_masks_are_strict(backend, cell, unrolling):
    """One that is missing, unknown or misshapen is an error that names it, and so is any for a network without."""
    case = makers.sequences_of(Dropout(cell, 0.7, 0.6, 0.8), "float64")
    for name, mask in case.masks.items():
        missing = {each: case.masks[each] for each in case.masks if each != name}
        unknown = dict(case.masks, **{name + "_2": mask})
        for wrong, said in (
            (missing, name),
            (unknown, name + "_2"),
            (dict(case.masks, **{name: mask[:, 1:]}), name),
            (dict(case.masks, **{name: mask[0, 0]}), name),
        ):
            with refused("masks(.|\n)*" + said):
                run(backend, unrolling, *case[:3], masks=wrong)
    with refused("masks"):
        run(backend, unrolling, cell, *case[1:3], masks=case.masks)
