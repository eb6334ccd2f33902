"""Masks: who is given them, what they must be, and what a network or a model needs of a backend."""

from typing import Any

import numpy as np
import pytest

from spec_tests.capabilities import CAPABILITIES, needs_of
from spec_tests.checks import check_masks
from spec_tests.oracle.backend import OracleBackend
from spec_tests.questions import kinds, makers
from spec_tests.questions.masks import masks_of
from unrolled.models import Dense, Model
from unrolled.networks import GRU, LSTM, BasicRNN, Dropout, KerasLSTM, LayerNormLSTM, Layers, Residual

SHAPE, FLOAT64 = (6, 5, 3), np.dtype(np.float64)
DROPOUT = Dropout(GRU(4), 0.8, 0.6, 0.7)


def masks():
    return masks_of(np.random.RandomState(1), DROPOUT, *SHAPE, "float64")


class Older:
    """A backend whose methods have no masks, as before there was dropout."""

    def static_rnn(self, network, weights, inputs, lengths=None, initial_state=None):
        return inputs, {}

    def dynamic_rnn(self, network, weights, inputs, lengths=None, initial_state=None):
        return inputs, {}


@pytest.mark.parametrize("unrolling", ["static", "dynamic"])
def test_a_backend_without_dropout_is_never_given_masks(unrolling):
    case = kinds.case("lstm", "float64")
    makers.run(Older(), unrolling, *case[:3], masks=case.masks)
    dropped = kinds.case("dropout lstm", "float64")
    with pytest.raises(TypeError, match="masks"):
        makers.run(Older(), unrolling, *dropped[:3], masks=dropped.masks)


def test_masks_that_are_drawn_are_whole_and_keep_their_share():
    found, asked = masks(), DROPOUT.masks(3)
    check_masks(DROPOUT, found, SHAPE, FLOAT64)
    assert {name: mask.mean() for name, mask in found.items()} == pytest.approx(
        {name: mask.keep for name, mask in asked.items()}, abs=0.15
    )
    assert masks_of(np.random.RandomState(1), GRU(4), *SHAPE, "float64") == {}
    variational = masks_of(np.random.RandomState(1), Dropout(GRU(4), 0.5, variational=True), *SHAPE, "float32")
    assert variational["inputs"].shape == (3,)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"inputs": np.full((6, 5, 3), 0.5)}, r"masks/inputs: found \[0.5\], expected zeros and ones"),
        ({"inputs": np.full((6, 5, 3), np.nan)}, r"masks/inputs: found \[nan\], expected zeros and ones"),
        ({"inputs": np.ones((6, 5, 3), np.float32)}, r"masks/inputs: found float32 \[6, 5, 3\], expected float64"),
        ({"inputs": np.ones((6, 5, 3), bool)}, "masks/inputs: found bool"),
        ({"state/h": np.ones((6, 4))}, r"masks/state/h: found float64 \[6, 4\], expected float64 \[6, 5, 4\]"),
        ({"state/c": np.ones((6, 5, 4))}, "masks: found an unknown 'state/c', expected a dict of exactly inputs, st"),
    ],
)
def test_masks_that_are_wrong_are_named(wrong, said):
    with pytest.raises(ValueError, match=said):
        check_masks(DROPOUT, dict(masks(), **wrong), SHAPE, FLOAT64)


def test_masks_are_given_whole_or_not_at_all():
    case = kinds.case("dropout lstm", "float64")
    backend = OracleBackend()
    for unrolling in ("static", "dynamic"):
        assert makers.run(backend, unrolling, *case[:3], masks=None)[0].shape == (6, 5, 4)
    wrong: list[Any] = [{}, [1, 2]]
    for given in wrong:
        with pytest.raises(ValueError, match=r"^masks: found "):
            backend.dynamic_rnn(*case[:3], masks=given)
    without = kinds.case("lstm", "float64")
    assert backend.dynamic_rnn(*without[:3], masks={})[0].shape == (6, 5, 4)
    with pytest.raises(ValueError, match=r"^masks: found an unknown 'inputs', expected a dict of exactly no masks$"):
        backend.rnn_gradients(*without[:3], without.output_gradients, masks={"inputs": np.ones(3)})


@pytest.mark.parametrize(
    ("asked", "needed"),
    [
        (LSTM(2), {"lstm", "tanh"}),
        (LSTM(2, "elu"), {"lstm", "activations"}),
        (KerasLSTM(2), {"keras_lstm", "tanh", "activations"}),
        (KerasLSTM(2, "relu", "tanh"), {"keras_lstm", "tanh", "relu", "activations"}),
        (LayerNormLSTM(2), {"layer_norm_lstm", "tanh"}),
        (LayerNormLSTM(2, candidate_keep=0.5), {"layer_norm_lstm", "tanh", "dropout"}),
        (Dropout(BasicRNN(2)), {"basic_rnn", "tanh", "dropout"}),
        (
            Layers((Residual(Dropout(GRU(2), 0.5)), LSTM(2))),
            {"layers", "residual", "dropout", "gru", "lstm", "tanh"},
        ),
        (Model("classifier", GRU(2), 3, 4), {"classifier", "gru", "tanh"}),
        (Model("tagger", GRU(2), 3, 4, embedding=5), {"tagger", "embedding", "gru", "tanh"}),
        (Model("regressor", GRU(2), 3, 4, hidden=(Dense(5),)), {"regressor", "hidden", "gru", "tanh"}),
        (
            Model("regressor", GRU(2), 3, 4, hidden=(Dense(5, "relu"),), activation="elu"),
            {"regressor", "hidden", "gru", "tanh", "relu", "activations"},
        ),
        (Model("classifier", GRU(2), 3, 4, activation="tanh"), {"classifier", "hidden", "gru", "tanh"}),
    ],
    ids=str,
)
def test_what_a_network_or_a_model_needs(asked, needed):
    assert needs_of(asked) == needed <= set(CAPABILITIES)
