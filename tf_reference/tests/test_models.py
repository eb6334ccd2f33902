"""Embeddings, hidden dense layers and taggers in TensorFlow's graphs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tf_reference.tests.test_graphs import variable_names
from unrolled.models import Dense, Model
from unrolled.networks import GRU, LSTM, Bidirectional
from unrolled.programs import Adam

WORDS = Model("classifier", GRU(5), 9, 4, embedding=3, hidden=(Dense(6, "relu"), Dense(2, "tanh")))
TAGGER = Model("tagger", Bidirectional(GRU(5), GRU(4)), 9, 4, embedding=3)
SPELLER = Model("speller", LSTM(5), 9, 4, max_steps=3, embedding=3)
TOKENS = np.random.RandomState(1).randint(0, 7, (4, 6))  # of nine, so that two are never fed
LENGTHS = np.array([6, 0, 1, 4])
LABELS = np.array([3, 0, 2, 1])


def weights_of(model: Model) -> dict[str, np.ndarray]:
    random = np.random.RandomState(2)
    return {name: random.uniform(-0.7, 0.7, weight.shape) for name, weight in model.weights().items()}


def test_variables_are_called_as_their_weights(tf: Any) -> None:
    dense = ["hidden_0/kernel", "hidden_0/bias", "hidden_1/kernel", "hidden_1/bias", "dense/kernel", "dense/bias"]
    cell = ["rnn/gru_cell/%s/%s" % (part, name) for part in ("gates", "candidate") for name in ("kernel", "bias")]
    assert variable_names(tf, WORDS) == {"embedding", *cell, *dense}
    assert "encoder/embedding" in variable_names(tf, SPELLER) and "embedding" not in variable_names(tf, SPELLER)


@pytest.mark.parametrize("model", [WORDS, TAGGER])
def test_adam_moves_the_rows_of_tokens_that_are_not_fed_too(backend: Any, model: Model) -> None:
    """Once they have a moment: TF1's Adam is not lazy. Their gradient is zero."""
    weights, targets = weights_of(model), LABELS if model is WORDS else TOKENS % 4
    _, gradients = backend.loss_gradients(model, weights, TOKENS, targets, LENGTHS)
    unfed = np.setdiff1d(np.arange(9), TOKENS[:, :1])
    assert gradients["embedding"].shape == (9, 3) and not gradients["embedding"][7:].any()
    one = backend.train(model, weights, Adam(), TOKENS, targets, np.array([[0, 1, 2, 3]]))
    inputs = np.repeat(TOKENS[:, :1], 6, axis=1)
    two = backend.train(model, one[1], Adam(), inputs, targets, np.array([[0, 1, 2, 3]]), slots=one[2])
    fed_before = np.intersect1d(unfed, TOKENS)
    assert (two[1]["embedding"][fed_before] != one[1]["embedding"][fed_before]).all()
    np.testing.assert_array_equal(two[1]["embedding"][7:], weights["embedding"][7:])


def test_a_tagger_counts_valid_steps_alone(backend: Any) -> None:
    weights, targets = weights_of(TAGGER), TOKENS % 4
    wild = np.where(np.arange(6) < LENGTHS[:, None], targets, -7)
    expected = backend.loss(TAGGER, weights, TOKENS, targets, LENGTHS)
    assert backend.loss(TAGGER, weights, TOKENS, wild, LENGTHS) == expected
    logits = backend.forward(TAGGER, weights, TOKENS, LENGTHS)
    log = logits - np.log(np.exp(logits).sum(axis=2, keepdims=True))
    steps = [(row, step) for row, length in enumerate(LENGTHS) for step in range(length)]
    assert expected == pytest.approx(-np.mean([log[row, step, targets[row, step]] for row, step in steps]), rel=1e-13)
    predicted = backend.predict(TAGGER, weights, TOKENS, LENGTHS)
    assert predicted.dtype == np.int64 and not predicted[np.arange(6) >= LENGTHS[:, None]].any()
    assert backend.loss(TAGGER, weights, TOKENS, wild * 0 - 7, LENGTHS * 0) == 0
    with pytest.raises(ValueError, match=r"targets must be classes from 0 to 3, got targets\[0, 2\] = 4"):
        backend.loss(TAGGER, weights, TOKENS, np.where(np.arange(6) == 2, 4, targets), LENGTHS)


@pytest.mark.parametrize("wrong", [-1, 9])
def test_a_token_out_of_range_is_an_error_also_on_padding(backend: Any, wrong: int) -> None:
    tokens = TOKENS.copy()
    tokens[2, 5] = wrong
    with pytest.raises(ValueError, match=r"inputs must be tokens from 0 to 8, got inputs\[2, 5\] = %d" % wrong):
        backend.forward(WORDS, weights_of(WORDS), tokens, LENGTHS)
    with pytest.raises(ValueError, match="inputs must be integers"):
        backend.forward(WORDS, weights_of(WORDS), TOKENS * 1.0, LENGTHS)
