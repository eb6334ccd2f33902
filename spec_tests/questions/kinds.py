"""Networks of every kind and with every option, and what is made of them: models, decoders, training runs.

As in `makers`, everything is drawn from np.random.RandomState. Python 3.7 syntax.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from spec_tests.questions import makers
from spec_tests.questions.decoding import Decoding
from spec_tests.questions.makers import BATCH, INPUTS, STEPS, UNITS, Supervised, Training
from unrolled.models import Dense, Model
from unrolled.networks import (
    GRU,
    LSTM,
    BasicRNN,
    Bidirectional,
    Dropout,
    KerasGRU,
    KerasLSTM,
    LayerNormLSTM,
    Layers,
    Network,
    Residual,
)
from unrolled.programs import Adam

# Layers differ in width. Two directions are alike where a framework has one layer for both, and elsewhere differ. The
# clips act on some of the values of `case`, and on some not. What is normalised has more units: of a few, some rows are
# so flat that rounding grows.
NETWORKS: dict[str, Network] = {
    "basic_rnn": BasicRNN(UNITS),
    "lstm": LSTM(UNITS),
    "lstm forget bias 0": LSTM(UNITS, forget_bias=0.0),
    "lstm peepholes": LSTM(UNITS, peepholes=True),
    "lstm projection": LSTM(5, projection=2),
    "lstm clips": LSTM(5, peepholes=True, projection=2, cell_clip=0.4, projection_clip=0.1),
    "lstm straight through": LSTM(UNITS, cell_clip=0.4, straight_through=True),
    "gru": GRU(UNITS),
    "gru reset after": GRU(UNITS, reset_after=True),
    "layer norm lstm": LayerNormLSTM(7),
    "keras lstm": KerasLSTM(UNITS),
    "keras gru": KerasGRU(UNITS),
    "keras gru reset after": KerasGRU(UNITS, reset_after=True),
    "layers basic_rnn": Layers((BasicRNN(UNITS), BasicRNN(2, "relu"))),
    "layers lstm": Layers((LSTM(UNITS), LSTM(2))),
    "layers lstm gru": Layers((LSTM(UNITS), GRU(2))),
    "residual": Residual(LSTM(INPUTS)),
    "layers residual": Layers((LSTM(UNITS), Residual(GRU(UNITS)))),
    "bidirectional lstm": Bidirectional(LSTM(UNITS), LSTM(UNITS)),
    "bidirectional lstm gru": Bidirectional(LSTM(UNITS), GRU(2)),
    "stacked bidirectional": Layers((Bidirectional(GRU(UNITS), GRU(UNITS)), Bidirectional(GRU(2), GRU(2)))),
    "two stacks": Bidirectional(Layers((LSTM(UNITS), GRU(2))), Layers((GRU(2), LSTM(UNITS)))),
    "dropout lstm": Dropout(LSTM(UNITS), 0.8, 0.6, 0.7),
    "dropout layers": Dropout(Layers((LayerNormLSTM(7, candidate_keep=0.7), KerasGRU(2))), 0.8, 0.7, 0.6),
    "bidirectional dropout": Bidirectional(
        Dropout(KerasLSTM(UNITS), 0.8, 0.6, 0.7), Dropout(GRU(2), 0.7, 0.6, 0.6, variational=True)
    ),
}


def case(name: str, dtype: str) -> makers.Sequences:
    """A random case of one of NETWORKS, of the makers' own sizes."""
    return makers.sequences_of(NETWORKS[name], dtype)


# A classifier of each cell and of two directions, a regressor of layers in both forms, taggers, spellers; some have an
# embedding or hidden layers.
MODELS: dict[str, Model] = {
    "lstm classifier": Model("classifier", LSTM(UNITS), INPUTS, 8),
    "lstm projection classifier": Model("classifier", LSTM(5, projection=2), INPUTS, 8),
    "gru classifier": Model("classifier", GRU(UNITS), INPUTS, 8),
    "bidirectional lstm classifier": Model("classifier", Bidirectional(LSTM(UNITS), LSTM(UNITS)), INPUTS, 8),
    "layers lstm regressor": Model("regressor", Layers((LSTM(UNITS), LSTM(5))), INPUTS, 2),
    "layers lstm gru wrapped regressor": Model("regressor", Layers((LSTM(UNITS), GRU(5))), INPUTS, 2, "wrapped"),
    "stacked bidirectional regressor": Model("regressor", NETWORKS["stacked bidirectional"], INPUTS, 5),
    "keras gru hidden regressor": Model(
        "regressor", KerasGRU(UNITS), INPUTS, 2, hidden=(Dense(5, "relu"), Dense(7)), activation="sigmoid"
    ),
    "embedding lstm classifier": Model("classifier", LSTM(UNITS), 9, 8, embedding=INPUTS, hidden=(Dense(5, "tanh"),)),
    "bidirectional lstm tagger": Model("tagger", Bidirectional(LSTM(UNITS), LSTM(UNITS)), INPUTS, 5),
    "embedding gru tagger": Model("tagger", GRU(UNITS), 9, 5, embedding=INPUTS),
    "lstm speller": Model("speller", LSTM(UNITS), INPUTS, 8, max_steps=6),
    "layers gru speller": Model("speller", Layers((GRU(UNITS), GRU(5))), INPUTS, 8, max_steps=6),
    "embedding gru speller": Model("speller", GRU(UNITS), 9, 8, max_steps=6, embedding=INPUTS),
}


# Of the spellers' weights: with these, three different words or more are decoded, of different lengths, and the largest
# logit is ahead of the next by more than 0.01.
SPELLERS: dict[str, int] = {"lstm speller": 251, "layers gru speller": 150, "embedding gru speller": 216}


def supervised(name: str, dtype: str, seed: int | None = None) -> Supervised:
    """A small random case for one of MODELS."""
    chosen, random = MODELS[name], np.random.RandomState(3)
    inputs = makers.inputs_for(chosen, random, BATCH, STEPS, dtype)
    if chosen.kind == "speller":
        targets = random.randint(0, chosen.outputs, (BATCH, 4))
    else:
        targets = makers.targets_for(chosen, random, BATCH, STEPS, dtype)
    weights = makers.model_weights(chosen, dtype, SPELLERS.get(name, 2) if seed is None else seed)
    return Supervised(chosen, weights, inputs, targets)


def training(name: str, dtype: str, iterations: int = 60, seed: int = 4) -> Training:
    """Adam's first steps on one of MODELS, with batches of 3 rows in a random order."""
    rows = supervised(name, dtype)
    batches = np.random.RandomState(seed).randint(0, BATCH, (iterations, 3))
    return Training(rows.model, rows.weights, Adam(), rows.inputs, rows.targets, batches)


VOCABULARY, START, END, MAX_STEPS = 8, 2, 0, 7
# With these seeds rows end at three or more different steps, and the largest logit is ahead of the next by more than
# 0.03, so that rounding cannot change a token.
DECODERS: dict[str, int] = {
    "lstm": 59,
    "lstm clips": 44,
    "gru": 21,
    "gru reset after": 13,
    "layers lstm gru": 58,
    "residual": 305,
    "layer norm lstm": 67,
    "keras gru": 19,
    "dropout lstm": 59,
}


def decoding(name: str, dtype: str, seed: int | None = None) -> Decoding:
    """Decoding with one of NETWORKS that DECODERS has a seed for, from a random state, with an embedding."""
    network, random = NETWORKS[name], np.random.RandomState(DECODERS[name] if seed is None else seed)
    # A decoder has the weights of a regressor: a dense layer on every output.
    weights: dict[str, Any] = makers.drawn(random, Model("regressor", network, INPUTS, VOCABULARY).weights(), "float64")
    weights["dense/kernel"] *= 3.0
    weights["embedding"] = random.normal(size=(VOCABULARY, INPUTS))
    weights = {name: array.astype(dtype) for name, array in weights.items()}
    state = makers.state_of(random, network, BATCH, dtype)
    tokens = random.randint(0, VOCABULARY, (BATCH, MAX_STEPS - 1))
    return Decoding(network, weights, state, START, END, MAX_STEPS, tokens)
