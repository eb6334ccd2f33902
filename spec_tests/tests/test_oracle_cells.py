"""The oracle's cells and structures: gradients against finite differences, and whether the questions can see."""

from typing import Any

import numpy as np
import pytest

from spec_tests import oracle
from spec_tests.oracle.activations import ACTIVATIONS, SLOPES
from spec_tests.oracle.cells import CELLS, lstm
from spec_tests.oracle.structures import STRUCTURES
from spec_tests.questions import kinds, makers
from spec_tests.questions.makers import LENGTHS
from spec_tests.tests.test_oracle import central_differences
from unrolled import networks
from unrolled.networks import GRU, LSTM, BasicRNN, prefixed

each_network = pytest.mark.parametrize("name", list(kinds.NETWORKS))
each_lengths = pytest.mark.parametrize("lengths", [None, LENGTHS["unsorted"]], ids=["full", "unsorted"])


def check_gradients(case: makers.Sequences, lengths):
    """Every weight, input and part of the initial state."""

    def cost():
        outputs, state = oracle.unroll(*case[:3], lengths, case.initial_state, case.masks)
        on_state = sum(np.sum(state[name] * gradient) for name, gradient in case.state_gradients.items())
        return np.sum(outputs * case.output_gradients) + on_state

    found = oracle.bptt(*case[:3], *case.cost, lengths, case.initial_state, case.masks)
    arrays = dict(case.weights, inputs=case.inputs, **prefixed("initial_state/", case.initial_state))
    assert set(found) == set(arrays)
    for name, array in arrays.items():
        expected = central_differences(cost, array)
        atol = 1e-7 * max(1.0, np.abs(expected).max())
        np.testing.assert_allclose(found[name], expected, rtol=0, atol=atol, err_msg=name)


@each_network
@each_lengths
def test_bptt_is_the_derivative_of_unroll(name, lengths, monkeypatch):
    network = kinds.NETWORKS[name]
    if getattr(network, "straight_through", False):
        monkeypatch.setattr(lstm, "_clipped", shifted())
    check_gradients(kinds.case(name, "float64"), lengths)


def shifted():
    """A straight-through clip as the way back sees it: a clip at first, and then always the shift that it was."""
    shifts: list[np.ndarray] = []

    def clipped(z, limit):
        if limit is None:
            return z
        shifts.append(np.clip(z, -limit, limit) - z if len(shifts) < makers.STEPS else shifts[-makers.STEPS])
        return z + shifts[-1]

    return clipped


@pytest.mark.parametrize("activation", networks.ACTIVATIONS)
@pytest.mark.parametrize("kind", [BasicRNN, LSTM, GRU])
def test_bptt_follows_every_activation(activation, kind):
    check_gradients(makers.sequences_of(kind(makers.UNITS, activation=activation), "float64"), None)


@pytest.mark.parametrize("name", networks.ACTIVATIONS)
def test_slopes_are_those_of_the_activations(name):
    """Also far out, where none overflows."""
    z = np.array([-800.0, -3.1, -2.0, -0.3, 0.2, 1.9, 2.7, 800.0])
    with np.errstate(all="raise", under="ignore"):
        slope = SLOPES[name](z, ACTIVATIONS[name](z))
    step = 1e-6
    expected = (ACTIVATIONS[name](z + step) - ACTIVATIONS[name](z - step)) / (2 * step)
    np.testing.assert_allclose(slope, expected, rtol=0, atol=1e-7)


def test_there_is_a_page_for_every_kind_that_the_contract_has_a_capability_for():
    from spec_tests.checks import KINDS

    assert sorted([*CELLS, *STRUCTURES]) == sorted(KINDS)
    assert set(ACTIVATIONS) == set(SLOPES) == set(networks.ACTIVATIONS)


def test_every_kind_is_asked_for():
    asked = {each.kind for network in kinds.NETWORKS.values() for each in networks.within(network)}
    assert asked == {*CELLS, *STRUCTURES}


@each_network
def test_cases_can_see(name):
    """Nothing is flat: every gradient of every cost is far from zero, and few outputs are where an activation is."""
    case = kinds.case(name, "float64")
    outputs, _ = oracle.unroll(*case[:3], None, case.initial_state, case.masks)
    assert 0.05 < np.median(np.abs(outputs)) < 1.5
    found = oracle.bptt(*case[:3], *case.cost, None, case.initial_state, case.masks)
    for name, gradient in found.items():
        assert np.abs(gradient).max() > 0.05, name
        assert np.mean(gradient == 0) < 0.6, name


@pytest.mark.parametrize("name", ["lstm clips", "lstm straight through"])
def test_clips_act_on_some_values_and_none_is_within_a_rounding_of_its_clip(name, monkeypatch):
    clipped = lstm._clipped
    seen: dict[float, list[np.ndarray]] = {}

    def spy(z, limit):
        seen.setdefault(limit, []).append(np.abs(z))
        return clipped(z, limit)

    monkeypatch.setattr(lstm, "_clipped", spy)
    case = kinds.case(name, "float64")
    network: Any = case.network
    for state in (None, case.initial_state):
        oracle.unroll(*case[:3], None, state)
    for limit in {network.cell_clip, network.projection_clip} - {None}:
        sizes = np.stack(seen[limit])
        assert 0.1 < np.mean(sizes > limit) < 0.9
        assert np.abs(sizes - limit).min() > 1e-5


@pytest.mark.parametrize("name", list(kinds.DECODERS))
def test_decoded_rows_end_at_different_steps_and_no_two_logits_are_within_a_rounding(name):
    case = kinds.decoding(name, "float64")
    _, lengths, finished, outputs, _ = oracle.decode(*case.greedy())
    assert len(set(lengths)) >= 3 and lengths.min() == 1 and not finished.all()
    assert margin(outputs @ case.weights["dense/kernel"] + case.weights["dense/bias"], lengths) > 0.03
    ends = oracle.token_lengths(case.tokens, case.end)
    assert len(set(ends)) >= 3 and (case.tokens != case.end).all(axis=1).any()


@pytest.mark.parametrize("name", list(kinds.SPELLERS))
@each_lengths
def test_spelled_words_differ_and_no_two_logits_are_within_a_rounding(name, lengths):
    case = kinds.supervised(name, "float64")
    tokens, logits = oracle.spell(case.model, case.weights, case.inputs, lengths)
    ends = oracle.token_lengths(tokens, 0)
    assert len(set(map(tuple, tokens))) >= 3 and len(set(ends)) >= 2
    assert margin(logits, ends) > 0.01


def margin(logits, lengths):
    """How far the largest logit is ahead of the next, on the valid steps."""
    ordered = np.sort(logits, axis=2)
    return (ordered[:, :, -1] - ordered[:, :, -2])[np.arange(logits.shape[1]) < lengths[:, None]].min()


@pytest.mark.parametrize("name", ["layers lstm gru", "lstm clips"])
def test_taught_gradients_are_the_derivative_of_the_loss(name):
    case = kinds.decoding(name, "float64")
    _, found = oracle.decode_gradients(*case.taught())
    for weight, array in dict(case.weights, **prefixed("initial_state/", case.initial_state)).items():
        expected = central_differences(lambda: oracle.decode_gradients(*case.taught())[0], array)
        np.testing.assert_allclose(found[weight], expected, rtol=0, atol=1e-7, err_msg=weight)


@pytest.mark.parametrize("name", list(kinds.MODELS))
def test_loss_gradients_are_the_derivative_of_loss(name):
    case, lengths = kinds.supervised(name, "float64"), LENGTHS["unsorted"]
    value, found = oracle.loss_gradients(*case, lengths)
    assert value == oracle.loss(*case, lengths)
    assert set(found) == set(case.weights)
    for weight, array in case.weights.items():
        expected = central_differences(lambda: oracle.loss(*case, lengths), array)
        np.testing.assert_allclose(found[weight], expected, rtol=0, atol=1e-7, err_msg=weight)


@pytest.mark.parametrize("name", list(kinds.MODELS))
def test_training_runs_do_not_magnify_rounding(name):
    """Weights that are off by up to 1e-6 move no loss by more than the suite's limit for float32."""
    case = kinds.training(name, "float64")
    random = np.random.RandomState(8)
    moved = {name: w * (1 + random.uniform(-1e-6, 1e-6, w.shape)) for name, w in case.weights.items()}
    losses, found = oracle.train(*case)[0], oracle.train(*case._replace(weights=moved))[0]
    assert np.abs(found - losses).max() < 2e-6 * losses.max()
