"""The kinds of networks: TF1's variable names, what its own classes say, and what they have no form for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from unrolled import initial_values, networks
from unrolled.models import Model
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

BATCH, STEPS, INPUTS = 4, 6, 3
LENGTHS = np.array([6, 0, 1, 4])
BOTH = Bidirectional(LSTM(5), GRU(4))
STACKED = Layers((BOTH, GRU(2)))
ONE_WAY: list[Network] = [
    LSTM(5),
    GRU(5),
    GRU(5, reset_after=True),
    LayerNormLSTM(5),
    KerasLSTM(5),
    KerasGRU(5, reset_after=True),
    Layers((LSTM(4, projection=2), GRU(5))),
]
LSTM_NAMES = ["lstm_cell/kernel", "lstm_cell/bias"]
GRU_NAMES = ["gru_cell/" + part for part in ("gates/kernel", "gates/bias", "candidate/kernel", "candidate/bias")]


def drawn(shapes: dict[str, Any], seed: int) -> dict[str, np.ndarray]:
    random = np.random.RandomState(seed)
    return {name: random.uniform(-0.7, 0.7, shape) for name, shape in shapes.items()}


def weights_of(network: Network) -> dict[str, np.ndarray]:
    return drawn(networks.shapes(network.weights(INPUTS)), 1)


def state_of(network: Network, seed: int = 2) -> dict[str, np.ndarray]:
    return drawn({name: (BATCH, width) for name, width in network.state.items()}, seed)


X = drawn({"inputs": (BATCH, STEPS, INPUTS)}, 3)["inputs"]


def below(prefix: str, *names: list[str]) -> list[str]:
    return [prefix + name for each in names for name in each]


@pytest.mark.parametrize(
    ("network", "static", "names"),
    [
        (LSTM(5), False, below("rnn/", LSTM_NAMES)),
        (
            LSTM(5, peepholes=True, projection=2, cell_clip=0.5, straight_through=True),
            True,
            below("rnn/lstm_cell/", ["kernel", "bias", "w_f_diag", "w_i_diag", "w_o_diag", "projection/kernel"]),
        ),
        (GRU(5), False, below("rnn/", GRU_NAMES)),
        (
            GRU(5, reset_after=True),
            False,
            below("rnn/cudnn_compatible_gru_cell/gates/", ["kernel", "bias"])
            + below("rnn/cudnn_compatible_gru_cell/candidate/input_projection/", ["kernel", "bias"])
            + below("rnn/cudnn_compatible_gru_cell/candidate/hidden_projection/", ["kernel", "bias"]),
        ),
        (
            LayerNormLSTM(5),
            False,
            ["rnn/layer_norm_basic_lstm_cell/kernel"]
            + [
                "rnn/layer_norm_basic_lstm_cell/%s/%s" % (gate, part)
                for gate in ("input", "transform", "forget", "output", "state")
                for part in ("gamma", "beta")
            ],
        ),
        (KerasLSTM(5), False, below("rnn/lstm/", ["kernel", "recurrent_kernel", "bias"])),
        (KerasGRU(5), True, below("rnn/gru/", ["kernel", "recurrent_kernel", "bias"])),
        (Dropout(Dropout(LSTM(5), 0.5), 0.5, 0.5, 0.5), False, below("rnn/", LSTM_NAMES)),
        (
            Layers((Dropout(LSTM(5)), Residual(GRU(5)))),
            True,
            below("rnn/multi_rnn_cell/cell_0/", LSTM_NAMES) + below("rnn/multi_rnn_cell/cell_1/", GRU_NAMES),
        ),
        (BOTH, False, below("bidirectional_rnn/fw/", LSTM_NAMES) + below("bidirectional_rnn/bw/", GRU_NAMES)),
        (BOTH, True, below("bidirectional_rnn/fw/", LSTM_NAMES) + below("bidirectional_rnn/bw/", GRU_NAMES)),
        (
            STACKED,
            False,
            below("stack_bidirectional_rnn/cell_0/bidirectional_rnn/fw/", LSTM_NAMES)
            + below("stack_bidirectional_rnn/cell_0/bidirectional_rnn/bw/", GRU_NAMES)
            + below("stack_bidirectional_rnn/cell_1/rnn/", GRU_NAMES),
        ),
        (
            STACKED,
            True,
            below("stack_bidirectional_rnn/cell_0/fw/", LSTM_NAMES)
            + below("stack_bidirectional_rnn/cell_0/bw/", GRU_NAMES)
            + below("stack_bidirectional_rnn/cell_1/", GRU_NAMES),
        ),
    ],
)
def test_variables_have_the_names_of_tensorflow_1(tf: Any, network: Network, static: bool, names: list[str]) -> None:
    from tf_reference.graphs import rnn_graph
    from tf_reference.tf1 import quiet_warnings

    with tf.Graph().as_default(), quiet_warnings():
        made = rnn_graph(
            network, INPUTS, "float32", STEPS if static else None, with_lengths=True, with_masks=False, backwards=False
        )
    found = {name: variable.op.name for name, variable in made.variables.items()}
    assert found == dict(zip(network.weights(INPUTS), names, strict=True))


@pytest.mark.parametrize("forget_bias", [0.0, 1.0])
def test_an_lstm_without_options_is_tensorflows_basic_lstm_cell(backend: Any, tf: Any, forget_bias: float) -> None:
    from tf_reference.tf1 import quiet_warnings

    network = LSTM(5, forget_bias=forget_bias)
    weights, state = weights_of(network), state_of(network)
    outputs, final = backend.dynamic_rnn(network, weights, X, LENGTHS, state)
    with tf.Graph().as_default(), tf.Session() as session, quiet_warnings():
        cell = tf.nn.rnn_cell.BasicLSTMCell(5, forget_bias=forget_bias)
        given = tf.nn.rnn_cell.LSTMStateTuple(*map(tf.constant, (state["c"], state["h"])))
        expected = tf.nn.dynamic_rnn(cell, tf.constant(X), LENGTHS, given)
        for variable, name in zip(tf.trainable_variables(), ("kernel", "bias"), strict=True):
            variable.load(weights[name], session)
        expected_outputs, expected_state = session.run(expected)
    np.testing.assert_allclose(outputs, expected_outputs, rtol=1e-14)
    np.testing.assert_allclose(final["c"], expected_state.c, rtol=1e-14)


def test_straight_through_the_gradient_does_not_see_the_clip(backend: Any) -> None:
    """Over one step, and with a cost on c alone, it is that of the cell without a clip."""
    weights, state = weights_of(LSTM(5)), state_of(LSTM(5))
    results = {}
    for name, network in (
        ("without", LSTM(5)),
        ("clipped", LSTM(5, cell_clip=0.1)),
        ("through", LSTM(5, cell_clip=0.1, straight_through=True)),
    ):
        _, final = backend.dynamic_rnn(network, weights, X[:, :1], None, state)
        cost = {"c": state_of(network, 5)["c"], "h": np.zeros((BATCH, 5))}
        results[name] = final, backend.rnn_gradients(network, weights, X[:, :1], None, cost, None, state)
    np.testing.assert_allclose(results["through"][0]["h"], results["clipped"][0]["h"], rtol=1e-14)
    assert np.abs(results["through"][0]["c"]).max() == 0.1 < np.abs(results["without"][0]["c"]).max()
    for name, expected in results["without"][1].items():
        np.testing.assert_allclose(results["through"][1][name], expected, rtol=1e-12)
    assert np.abs(results["clipped"][1]["kernel"] - results["without"][1]["kernel"]).max() > 0.1


def test_a_direction_by_itself_is_the_network_alone(backend: Any) -> None:
    """Forward as it is; backward over the valid steps of each row turned, its outputs turned back."""
    weights, state = weights_of(BOTH), state_of(BOTH)
    outputs, final = backend.dynamic_rnn(BOTH, weights, X, LENGTHS, state)
    turned = X.copy()
    for row, length in enumerate(LENGTHS):
        turned[row, :length] = X[row, :length][::-1]
    for direction, network, inputs, columns in (
        ("fw/", BOTH.forward, X, slice(None, 5)),
        ("bw/", BOTH.backward, turned, slice(5, None)),
    ):
        own, given = (
            {name[3:]: array for name, array in arrays.items() if name.startswith(direction)}
            for arrays in (weights, state)
        )
        expected, expected_state = backend.dynamic_rnn(network, own, inputs, LENGTHS, given)
        for row, length in enumerate(LENGTHS):
            if direction == "bw/":
                expected[row, :length] = expected[row, :length][::-1].copy()
        np.testing.assert_allclose(outputs[:, :, columns], expected, rtol=1e-14)
        for name, part in expected_state.items():
            np.testing.assert_allclose(final[direction + name], part, rtol=1e-14)


@pytest.mark.parametrize("network", [*ONE_WAY, Residual(GRU(3)), BOTH, STACKED])
@pytest.mark.parametrize(("kind", "projection"), [("classifier", "stacked"), ("regressor", "stacked")])
def test_every_kind_of_network_trains(backend: Any, network: Network, kind: str, projection: str) -> None:
    model = Model(kind, network, INPUTS, 2, projection)
    targets = np.array([1, 0, 1, 0]) if kind == "classifier" else X[:, :, :2]
    weights = drawn(networks.shapes(model.weights()), 4)
    losses, after, slots = backend.train(
        model, weights, Adam(0.01), X, targets, np.tile(np.arange(BATCH), (30, 1)), LENGTHS
    )
    assert losses[-1] < losses[0] and set(after) == set(weights) and set(slots) > {f"{name}/Adam" for name in weights}


@pytest.mark.parametrize("network", ONE_WAY)
def test_wrapped_and_stacked_agree_without_lengths(backend: Any, network: Network) -> None:
    stacked, wrapped = (Model("regressor", network, INPUTS, 2, projection) for projection in ("stacked", "wrapped"))
    weights = drawn(networks.shapes(stacked.weights()), 4)
    np.testing.assert_allclose(backend.forward(wrapped, weights, X), backend.forward(stacked, weights, X), rtol=1e-13)
    assert not backend.forward(wrapped, weights, X, LENGTHS)[1].any()


@pytest.mark.parametrize("network", ONE_WAY)
def test_what_is_decoded_is_what_teaching_it_gives(backend: Any, network: Network) -> None:
    """Its own tokens fed to the network give the outputs that it decoded them from; the final state is the last."""
    weights = drawn(networks.shapes(Model("regressor", network, INPUTS, INPUTS).weights()), 4)
    state = state_of(network)
    tokens, lengths, _, outputs, final = backend.decode(network, weights, state, 0, 1, 5)
    fed = np.eye(INPUTS)[np.concatenate([np.zeros((BATCH, 1), int), tokens[:, :-1]], axis=1)]
    own = {name: weights[name] for name in network.weights(INPUTS)}
    expected, expected_state = backend.dynamic_rnn(network, own, fed, lengths, state)
    np.testing.assert_allclose(outputs, expected, rtol=1e-13)
    for name, part in expected_state.items():
        np.testing.assert_allclose(final[name], part, rtol=1e-13)
    loss, gradients = backend.decode_gradients(network, weights, state, 0, 1, tokens)
    assert loss > 0 and set(gradients) == set(weights) | {f"initial_state/{name}" for name in network.state}


@pytest.mark.parametrize("network", ONE_WAY)
def test_a_speller_has_two_networks_of_every_kind(backend: Any, network: Network) -> None:
    model = Model("speller", network, INPUTS, 4, max_steps=3)
    weights = drawn(networks.shapes(model.weights()), 4)
    _, gradients = backend.loss_gradients(model, weights, X, np.array([[1, 2, 0]] * BATCH), LENGTHS)
    assert set(gradients) == set(weights) and all(np.abs(each).max() > 0 for each in gradients.values())
    assert backend.predict(model, weights, X, LENGTHS).shape == (BATCH, 3)


@pytest.mark.parametrize("network", [BOTH, STACKED])
def test_a_network_that_reads_in_two_directions_decodes_nothing(backend: Any, network: Network) -> None:
    weights = drawn(networks.shapes(Model("regressor", network, INPUTS, INPUTS).weights()), 4)
    with pytest.raises(ValueError, match="a network that writes tokens must read in one direction, got kind"):
        backend.decode(network, weights, state_of(network), 0, 1, 5)


def test_two_directions_refuse_a_length_out_of_range(backend: Any) -> None:
    for wrong in (7, -1):
        with pytest.raises(ValueError, match="TensorFlow refused the values"):
            backend.dynamic_rnn(BOTH, weights_of(BOTH), X, np.array([6, wrong, 1, 4]))


def test_what_is_no_network_is_refused(backend: Any) -> None:
    with pytest.raises(ValueError, match=r"network must be one of unrolled\.networks, got str 'lstm'"):
        backend.dynamic_rnn("lstm", {}, X)
    with pytest.raises(ValueError, match="network kind must be 'basic_rnn' here, got 'lstm'"):
        backend.two_step(LSTM(5), weights_of(LSTM(5)), X[:, 0], X[:, 1])


@pytest.mark.parametrize("network", [BasicRNN(40), LSTM(40, peepholes=True, projection=7), GRU(40), *ONE_WAY, STACKED])
def test_first_values_are_those_that_the_value_tells(backend: Any, network: Network) -> None:
    """Where a weight has enough of them, they also reach for the limits."""
    model = Model("classifier", network, INPUTS, 4)
    found = backend.initial_weights(model, 7)
    for name, weight in model.weights().items():
        if weight.orthogonal:
            np.testing.assert_allclose(found[name] @ found[name].T, np.eye(len(found[name])), atol=1e-6)
            continue
        away = np.abs(found[name] - initial_values.middle(weight)).max()
        assert away <= weight.limit * (1 + 1e-6)
        assert found[name].size < 40 or away >= 0.8 * weight.limit
