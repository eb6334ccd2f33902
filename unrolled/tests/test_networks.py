"""Networks as values: what each kind answers, the plain form, and what is refused in a sentence."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from unrolled import initial_values, models, networks
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
    Mask,
    Network,
    Residual,
    tf1,
)

BOTH = Bidirectional(LSTM(5), GRU(4))
STACKED = Layers((BOTH, Bidirectional(GRU(3), GRU(2))))
EVERY: list[Network] = [
    BasicRNN(5, "softsign"),
    LSTM(5),
    LSTM(5, "relu", 0.0, True, 3, 2, 0.5, True),
    GRU(5, "hard_sigmoid"),
    GRU(5, reset_after=True),
    Layers((LSTM(4, projection=3), GRU(5))),
    BOTH,
    STACKED,
    Bidirectional(Layers((LSTM(5), LSTM(4))), Layers((GRU(3),))),
    Residual(GRU(3)),
    Dropout(LSTM(5), 0.5, 0.75, 0.25, True),
    Layers((Residual(Dropout(LSTM(3), 0.5)), Dropout(Residual(GRU(3))))),
    LayerNormLSTM(5, "relu", 0.0, 0.5),
    KerasLSTM(5, "relu", "sigmoid"),
    KerasGRU(5, reset_after=True),  # its bias, too, is a matrix
]


@pytest.mark.parametrize("network", EVERY)
def test_the_plain_form_is_json_and_comes_back_the_same(network: Network) -> None:
    plain = json.loads(json.dumps(networks.to_plain(network)))
    again = networks.from_plain(plain)
    assert again == network and hash(again) == hash(network) and repr(again) == repr(network)
    model = Model("classifier", network, inputs=3, outputs=2)
    assert models.from_plain(json.loads(json.dumps(models.to_plain(model)))) == model


@pytest.mark.parametrize("network", EVERY)
def test_answers_agree_with_each_other(network: Network) -> None:
    assert set(network.read_out) <= set(network.state)
    assert all(
        weight.limit > 0 or weight.orthogonal or 2 in weight.shape
        for weight in network.weights(3).values()
        if len(weight.shape) == 2
    )
    assert network.stepwise == (not any(each.kind == "bidirectional" for each in networks.within(network)))


def test_defaults_may_be_left_out_of_the_plain_form() -> None:
    assert networks.from_plain({"kind": "lstm", "units": 5}) == LSTM(5)
    assert networks.from_plain({"kind": "lstm", "units": 5, "cell_clip": None}) == LSTM(5)
    assert networks.from_plain({"kind": "dropout", "network": {"kind": "gru", "units": 2}}) == Dropout(GRU(2))


@pytest.mark.parametrize(
    ("network", "shapes", "state"),
    [
        (LSTM(5), {"kernel": (8, 20), "bias": (20,)}, {"c": 5, "h": 5}),
        (
            LSTM(5, peepholes=True, projection=2),
            {
                "kernel": (5, 20),
                "bias": (20,),
                "w_f_diag": (5,),
                "w_i_diag": (5,),
                "w_o_diag": (5,),
                "projection/kernel": (5, 2),
            },
            {"c": 5, "h": 2},
        ),
        (
            GRU(5),
            {"gates/kernel": (8, 10), "gates/bias": (10,), "candidate/kernel": (8, 5), "candidate/bias": (5,)},
            {"h": 5},
        ),
        (
            GRU(5, reset_after=True),
            {
                "gates/kernel": (8, 10),
                "gates/bias": (10,),
                "candidate/input_projection/kernel": (3, 5),
                "candidate/input_projection/bias": (5,),
                "candidate/hidden_projection/kernel": (5, 5),
                "candidate/hidden_projection/bias": (5,),
            },
            {"h": 5},
        ),
        (
            Layers((LSTM(5, projection=2), BasicRNN(4))),
            {"cell_0/kernel": (5, 20), "cell_0/bias": (20,), "cell_0/projection/kernel": (5, 2)}
            | {"cell_1/kernel": (6, 4), "cell_1/bias": (4,)},
            {"cell_0/c": 5, "cell_0/h": 2, "cell_1/h": 4},
        ),
        (
            Layers((Bidirectional(BasicRNN(5), LSTM(4)), BasicRNN(2))),
            {"cell_0/fw/kernel": (8, 5), "cell_0/fw/bias": (5,), "cell_0/bw/kernel": (7, 16), "cell_0/bw/bias": (16,)}
            | {"cell_1/kernel": (11, 2), "cell_1/bias": (2,)},
            {"cell_0/fw/h": 5, "cell_0/bw/c": 4, "cell_0/bw/h": 4, "cell_1/h": 2},
        ),
        (Residual(BasicRNN(3)), {"kernel": (6, 3), "bias": (3,)}, {"h": 3}),
        (Dropout(BasicRNN(5), 0.5), {"kernel": (8, 5), "bias": (5,)}, {"h": 5}),
    ],
)
def test_weights_and_state_have_the_shapes_of_tensorflow_1(network: Network, shapes: Any, state: Any) -> None:
    assert list(networks.shapes(network.weights(3)).items()) == list(shapes.items())
    assert list(network.state.items()) == list(state.items())


@pytest.mark.parametrize(
    ("network", "read_out"),
    [
        (LSTM(5), ("h",)),
        (BOTH, ("fw/h", "bw/h")),
        (STACKED, ("cell_1/fw/h", "cell_1/bw/h")),
        (Dropout(Residual(LSTM(3))), ("h",)),
    ],
)
def test_a_classifier_reads_the_last_outputs(network: Network, read_out: tuple[str, ...]) -> None:
    assert network.read_out == read_out
    assert Model("classifier", network, inputs=3, outputs=2).dense_inputs == network.output_size


@pytest.mark.parametrize(
    ("network", "name", "low", "high"),
    [
        (LSTM(40), "kernel", -0.1690, 0.1690),
        (LSTM(40), "bias", 0, 0),
        (LSTM(40, peepholes=True), "w_o_diag", -0.2739, 0.2739),
        (LSTM(40, projection=7), "projection/kernel", -0.3573, 0.3573),
        (GRU(40), "gates/kernel", -0.2148, 0.2148),
        (GRU(40), "gates/bias", 1, 1),
        (GRU(40), "candidate/kernel", -0.2582, 0.2582),
        (GRU(40), "candidate/bias", 0, 0),
        (GRU(40, reset_after=True), "candidate/hidden_projection/kernel", -0.2739, 0.2739),
        (Layers((GRU(40),)), "cell_0/gates/bias", 1, 1),
        (LayerNormLSTM(40), "kernel", -0.1690, 0.1690),
        (LayerNormLSTM(40), "state/gamma", 1, 1),
        (LayerNormLSTM(40), "forget/beta", 0, 0),
        (KerasLSTM(40), "kernel", -0.1879, 0.1879),
        (KerasGRU(40), "bias", 0, 0),
    ],
)
def test_first_values_are_those_of_tensorflow_1(network: Network, name: str, low: float, high: float) -> None:
    """The limits are those found in 1.15.5, with 10 inputs; a projection has its own for 40 and 7."""
    weight = network.weights(10)[name]
    middle = initial_values.middle(weight)
    np.testing.assert_allclose((middle - weight.limit, middle + weight.limit), (low, high), atol=5e-5)
    drawn = initial_values.draw({name: weight}, np.random.RandomState(0))[name]
    assert drawn.shape == weight.shape and low - 5e-5 <= drawn.min() <= drawn.max() <= high + 5e-5


def test_a_bias_of_gates_has_first_values_for_each_and_a_recurrent_kernel_of_keras_is_orthogonal() -> None:
    drawn = initial_values.draw(KerasLSTM(2).weights(3), np.random.RandomState(0))
    assert drawn["bias"].tolist() == [0, 0, 1, 1, 0, 0, 0, 0]
    wide = drawn["recurrent_kernel"]
    np.testing.assert_allclose(wide @ wide.T, np.eye(2), atol=1e-6)
    tall = initial_values.draw({"": networks.Weight((5, 3), orthogonal=True)}, np.random.RandomState(0))[""]
    np.testing.assert_allclose(tall.T @ tall, np.eye(3), atol=1e-6)


def test_a_model_may_have_an_embedding_before_its_network_and_dense_layers_after_it() -> None:
    model = Model("tagger", GRU(5), 11, 2, embedding=3, hidden=(Dense(4, "relu"), Dense(6)), activation="relu")
    shapes = networks.shapes(model.weights())
    assert next(iter(shapes)) == "embedding" and shapes["embedding"] == (11, 3) and shapes["gates/kernel"] == (8, 10)
    assert (
        shapes["hidden_0/kernel"] == (5, 4) and shapes["hidden_1/kernel"] == (4, 6) and shapes["dense/kernel"] == (6, 2)
    )
    assert models.from_plain(json.loads(json.dumps(models.to_plain(model)))) == model
    speller = Model("speller", GRU(5), 11, 2, max_steps=3, embedding=3)
    assert networks.shapes(speller.weights())["encoder/embedding"] == (11, 3)
    for wrong, sentence in (
        ({"hidden": [Dense(4)]}, "hidden must be a tuple of at most 16 Dense"),
        ({"embedding": -1}, "embedding must be an integer from 1"),
        ({"activation": "softmax"}, "activation of a model must be"),
        ({"kind": "speller", "max_steps": 2}, "a speller has one linear dense layer and no hidden one"),
    ):
        with pytest.raises(ValueError, match=sentence):
            replace(model, **wrong)
    with pytest.raises(ValueError, match="hidden must be a list of objects with units and activation"):
        models.from_plain(dict(models.to_plain(model), hidden=[{"size": 3}]))


def test_the_names_of_tensorflow_1_have_its_defaults() -> None:
    assert tf1.LSTMCell(5, cell_clip=0.0, proj_clip=1.0) == LSTM(5, cell_clip=0.0)
    assert tf1.LSTMCell(5, True, 2.0, 3, 0.5) == LSTM(5, "tanh", 1.0, True, 3, 2.0, 0.5)
    assert tf1.LSTMBlockCell(5, cell_clip=0) == tf1.BasicLSTMCell(5) == LSTM(5)
    assert tf1.LSTMBlockFusedCell(5, cell_clip=3) == LSTM(5, cell_clip=3, straight_through=True)
    assert tf1.CudnnCompatibleLSTMCell(5) == LSTM(5, forget_bias=0.0)
    assert tf1.GRUBlockCellV2(5) == tf1.GRUCell(5) == GRU(5)
    assert tf1.CudnnCompatibleGRUCell(5) == GRU(5, reset_after=True)
    assert tf1.LayerNormBasicLSTMCell(5, dropout_keep_prob=0.5) == LayerNormLSTM(5, candidate_keep=0.5)
    assert tf1.LayerNormBasicLSTMCell(5, layer_norm=False) == LSTM(5)
    dropped = tf1.DropoutWrapper(tf1.ResidualWrapper(tf1.GRUCell(3)), 0.5, 0.75, 0.25, True)
    assert tf1.MultiRNNCell([dropped]) == Layers((Dropout(Residual(GRU(3)), 0.5, 0.75, 0.25, True),))
    both = tf1.bidirectional_dynamic_rnn(tf1.GRUCell(3), tf1.GRUCell(3))
    assert tf1.stack_bidirectional_dynamic_rnn([GRU(3)], [GRU(3)]) == Layers((both,))
    with pytest.raises(ValueError, match="cells_bw must be as many as cells_fw, 1, got 0"):
        tf1.stack_bidirectional_dynamic_rnn([GRU(3)], [])


def test_networks_are_nested_no_deeper_than_they_are_opened_again() -> None:
    network: Network = GRU(3)
    for _ in range(networks.DEEPEST - 1):
        network = Residual(network)
    assert networks.from_plain(networks.to_plain(network)) == network
    with pytest.raises(ValueError, match="network must be a network of fewer than 8 within each other"):
        Residual(network)


def test_masks_say_what_is_dropped() -> None:
    assert EVERY[5].masks(3) == {} == Dropout(LSTM(5)).masks(3)
    whole = Dropout(Layers((LSTM(5, projection=2), GRU(4))), 0.5, 0.75, 0.25)
    assert whole.masks(3) == {
        "inputs": Mask(3, True, 0.5),
        "state/cell_0/h": Mask(2, True, 0.25),
        "state/cell_1/h": Mask(4, True, 0.25),
        "outputs": Mask(4, True, 0.75),
    }
    one = Dropout(LSTM(5), output_keep=0.5, variational=True)
    assert one.masks(3) == {"outputs": Mask(5, False, 0.5)}
    assert set(Dropout(Residual(one), 0.5).masks(5)) == {"inputs", "inner/outputs"}
    assert Layers((Dropout(GRU(5), 0.5), Bidirectional(one, Dropout(GRU(4), 0.9)))).masks(3) == {
        "cell_0/inputs": Mask(3, True, 0.5),
        "cell_1/fw/outputs": Mask(5, False, 0.5),
        "cell_1/bw/inputs": Mask(5, True, float(np.float32(0.9))),  # as TF1 rounds it
    }


def test_within_goes_from_the_outside_in() -> None:
    assert [each.kind for each in networks.within(Layers((Residual(LSTM(3)), BOTH)))] == (
        ["layers", "residual", "lstm", "bidirectional", "lstm", "gru"]
    )


NUMBERS = [None, "1", True, float("nan"), float("inf"), 10**400]


@pytest.mark.parametrize(
    ("make", "values", "sentence"),
    [
        (LSTM, [0, -1, 2.0, True, None, networks.MOST + 1], "units must be an integer from 1 to"),
        (lambda each: LSTM(5, activation=each), ["softmax", None, ["tanh"]], "activation must be 'tanh' or "),
        (lambda each: LSTM(5, forget_bias=each), NUMBERS, "forget_bias must be a finite number, got "),
        (lambda each: LSTM(5, peepholes=each), [1, None, "yes"], "peepholes must be True or False, got "),
        (lambda each: LSTM(5, projection=each), [0, 2.0, True], "projection must be an integer from 1 to"),
        (lambda each: LSTM(5, cell_clip=each), [*NUMBERS[1:], -1], "cell_clip must be None or a finite number of at"),
        (lambda each: LSTM(5, projection=2, projection_clip=each), [-0.5], "projection_clip must be None or a finite"),
        (lambda each: LSTM(5, projection_clip=each), [1.0], "projection_clip needs a projection"),
        (lambda each: LSTM(5, straight_through=each), [True], "straight_through needs a cell_clip"),
        (lambda each: GRU(5, reset_after=each), [None, 0], "reset_after must be True or False"),
        (Layers, [(), [GRU(5)], GRU(5), None], "layers must be a tuple of 1 to 256 networks, got "),
        (Layers, [(GRU(5), 5)], "each of the layers must be a network, got 5"),
        (lambda each: Bidirectional(GRU(5), each), [None, {}], "backward must be a network, got "),
        (lambda each: Bidirectional(each, GRU(5)), [BOTH], "forward must be a network that reads in one direction"),
        (Residual, [5], "network must be a network, got 5"),
        (Residual, [BOTH, STACKED], "network must be a network that reads in one direction, got kind "),
        (Dropout, [STACKED], "network must be a network that reads in one direction, got kind 'layers'"),
        (lambda each: Dropout(GRU(5), each), [*NUMBERS, 0, -0.5, 1.5], "input_keep must be a number above 0"),
        (lambda each: Dropout(GRU(5), 1, each), [1.5], "output_keep must be a number above 0, and at most 1, which"),
        (lambda each: Dropout(GRU(5), state_keep=each), [0.0, 1e-60], "state_keep must be a number above 0, and at mo"),
        (lambda each: Dropout(GRU(5), variational=each), [0.5], "variational must be True or False, got 0.5"),
        (lambda each: Residual(GRU(5)).weights(each), [4], "as many; got 4 inputs and 5 outputs"),
    ],
)
def test_wrong_values_are_refused_in_a_sentence(make: Any, values: list[Any], sentence: str) -> None:
    for value in values:
        with pytest.raises(ValueError, match=sentence):
            make(value)


GRU_PLAIN = {"kind": "gru", "units": 5}


@pytest.mark.parametrize(
    ("plain", "sentence"),
    [
        (dict(GRU_PLAIN, projection=3), "network kind 'gru' has no 'projection'; it has units, activation, reset"),
        ({"kind": "lstm", "activation": "relu"}, "network kind 'lstm' needs units, got activation"),
        ({"kind": "residual"}, "network kind 'residual' needs network, got none of them"),
        ({"kind": "cnn"}, "network kind must be 'basic_rnn' or 'lstm' or 'gru' or .* got 'cnn'"),
        ({"kind": "layers", "layers": []}, "layers must be a tuple of 1 to 256 networks"),
        ({"kind": "layers", "layers": [5]}, "a network must be an object with a kind, .* got 5"),
        ({"kind": "layers", "layers": GRU_PLAIN}, "layers must be a tuple of 1 to 256 networks"),
        ({"kind": "dropout", "network": GRU_PLAIN, "output_keep": 1.5}, "output_keep must be a number above 0"),
        ({"kind": "lstm", "units": GRU_PLAIN}, "units must be an integer"),
    ],
)
def test_a_wrong_plain_form_is_refused_in_a_sentence(plain: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        networks.from_plain(plain)


def test_the_plain_form_is_not_endlessly_deep() -> None:
    plain = networks.to_plain(GRU(5))
    for _ in range(9):
        plain = {"kind": "residual", "network": plain}
    with pytest.raises(ValueError, match="at most 8 deep"):
        networks.from_plain(plain)


def test_a_model_says_what_its_network_cannot_do() -> None:
    model = Model("regressor", BOTH, inputs=3, outputs=2)
    with pytest.raises(ValueError, match="a regressor whose projection is 'wrapped' needs a network that reads in one"):
        replace(model, projection="wrapped")
    with pytest.raises(
        ValueError, match="a speller needs a network that reads in one direction, got kind 'bidirectional'"
    ):
        replace(model, kind="speller", max_steps=4)
    with pytest.raises(ValueError, match="got 3 inputs and 5 outputs"):
        replace(model, network=Residual(GRU(5)))
    with pytest.raises(ValueError, match="got 2 inputs and 3 outputs"):  # the decoder reads its own tokens
        replace(model, network=Residual(GRU(3)), kind="speller", max_steps=4)
