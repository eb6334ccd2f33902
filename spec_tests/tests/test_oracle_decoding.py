"""The oracle's decoding: its gradients against finite differences, and the cases that the suite decodes."""

import numpy as np
import pytest

from spec_tests import oracle
from spec_tests.questions import decoding, makers
from spec_tests.questions.decoding import END, SEEDS
from spec_tests.tests.test_oracle import central_differences
from unrolled.models import END as SPELLER_END
from unrolled.networks import prefixed


@pytest.mark.parametrize(("form", "activation"), list(SEEDS))
def test_taught_gradients_are_the_derivative_of_the_loss(form, activation):
    case = decoding.decoding("float64", activation, form)
    _, found = oracle.decode_gradients(*case.taught())
    given = dict(case.weights, **prefixed("initial_state/", case.initial_state))
    assert set(found) == set(given)
    for name, array in given.items():
        expected = central_differences(lambda: oracle.decode_gradients(*case.taught())[0], array)
        np.testing.assert_allclose(found[name], expected, rtol=0, atol=2e-8, err_msg=name)


@pytest.mark.parametrize("lengths", [None, makers.LENGTHS["unsorted"]], ids=["full", "unsorted"])
def test_gradients_of_a_speller_are_the_derivative_of_its_loss(lengths):
    case = decoding.spelling_case("float64")
    value, found = oracle.loss_gradients(*case, lengths)
    assert value == oracle.loss(*case, lengths)
    for name, array in case.weights.items():
        expected = central_differences(lambda: oracle.loss(*case, lengths), array)
        np.testing.assert_allclose(found[name], expected, rtol=0, atol=2e-8, err_msg=name)


@pytest.mark.parametrize(("form", "activation"), list(SEEDS))
def test_the_cases_can_see(form, activation):
    """Rows end at three or more different steps, one at its first, one never; no two logits are within a rounding."""
    case = decoding.decoding("float64", activation, form)
    _, lengths, finished, outputs, _ = oracle.decode(*case.greedy())
    assert len(set(lengths)) >= 3 and lengths.min() == 1 and not finished.all()
    logits = np.sort(outputs @ case.weights["dense/kernel"] + case.weights["dense/bias"], axis=2)
    valid = np.arange(outputs.shape[1]) < lengths[:, None]
    assert (logits[:, :, -1] - logits[:, :, -2])[valid].min() > 0.03
    ends = oracle.token_lengths(case.tokens, END)
    assert len(set(ends)) >= 3 and (case.tokens != END).all(axis=1).any()


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("lengths", [None, *makers.LENGTHS.values()][:3], ids=["full", "mixed", "unsorted"])
def test_the_spelled_words_differ_in_letters_and_length(activation, lengths):
    case = decoding.spelling_case("float64", activation)
    tokens, logits = oracle.spell(case.model, case.weights, case.inputs, lengths)
    ends = oracle.token_lengths(tokens, SPELLER_END)
    assert len({tuple(row) for row in tokens.tolist()}) >= 3 and len(set(ends)) >= 2
    valid = np.arange(tokens.shape[1]) < ends[:, None]
    largest = np.sort(logits, axis=2)[valid]
    assert (largest[:, -1] - largest[:, -2]).min() > 0.004
    targets = oracle.token_lengths(case.targets, SPELLER_END)
    assert len(set(targets)) >= 2


def test_token_lengths_by_hand():
    tokens = np.array([[0, 0, 0], [1, 0, 2], [1, 2, 0], [1, 2, 1]])
    assert oracle.token_lengths(tokens, 0).tolist() == [1, 2, 3, 3]


def test_a_worked_example_of_the_taught_loss():
    """Two rows of 1 and 2 valid steps, all logits equal: every step costs log(3)."""
    case = decoding.countdown("float64", [1, 2], 0, 0, 4, vocabulary=3)
    weights = dict(case.weights, **{"dense/kernel": np.zeros((5, 3))})
    tokens = np.array([[0, 1], [1, 0]])
    loss, gradients = oracle.decode_gradients(case.network, weights, case.initial_state, 0, 0, tokens)
    assert loss == pytest.approx(np.log(3), rel=1e-15)
    # Of three valid steps two are END and one is token 1: softmax minus one-hot, over three.
    np.testing.assert_allclose(gradients["dense/bias"], [1 / 3 - 2 / 3, 1 / 3 - 1 / 3, 1 / 3], rtol=0, atol=1e-16)
