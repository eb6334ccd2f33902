"""The variables of embeddings and hidden dense layers in TensorFlow's graphs."""

from __future__ import annotations

from typing import Any

from tf_reference.tests.test_graphs import variable_names
from unrolled.models import Dense, Model
from unrolled.networks import GRU, LSTM

WORDS = Model("classifier", GRU(5), 9, 4, embedding=3, hidden=(Dense(6, "relu"), Dense(2, "tanh")))
SPELLER = Model("speller", LSTM(5), 9, 4, max_steps=3, embedding=3)


def test_variables_are_called_as_their_weights(tf: Any) -> None:
    dense = ["hidden_0/kernel", "hidden_0/bias", "hidden_1/kernel", "hidden_1/bias", "dense/kernel", "dense/bias"]
    cell = ["rnn/gru_cell/%s/%s" % (part, name) for part in ("gates", "candidate") for name in ("kernel", "bias")]
    assert variable_names(tf, WORDS) == {"embedding", *cell, *dense}
    assert "encoder/embedding" in variable_names(tf, SPELLER) and "embedding" not in variable_names(tf, SPELLER)
