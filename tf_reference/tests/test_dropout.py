"""Masks on their way through TensorFlow's loops to the cells that read them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from unrolled import networks
from unrolled.networks import GRU, LSTM, BasicRNN, Bidirectional, Dropout, LayerNormLSTM, Layers, Network, Residual

BATCH, STEPS, INPUTS = 4, 4, 3
LENGTHS = np.array([4, 0, 1, 3])
X = np.random.RandomState(3).uniform(-0.8, 0.8, (BATCH, STEPS, INPUTS))
BOTH = Bidirectional(Dropout(LSTM(5), 0.7, 0.6, 0.5), LayerNormLSTM(4, candidate_keep=0.4))
MIXED = Layers((BOTH, Dropout(GRU(2), 0.9, 0.9, 0.9, variational=True), Bidirectional(GRU(2), Dropout(LSTM(3), 0.5))))
NESTED = Dropout(Layers((Dropout(LSTM(5), 0.5), Residual(Dropout(GRU(5), output_keep=0.3)))), state_keep=0.6)
EVERY = [BOTH, MIXED, NESTED]


def weights_of(network: Network) -> dict[str, np.ndarray]:
    random = np.random.RandomState(1)
    return {name: random.uniform(-0.7, 0.7, shape) for name, shape in networks.shapes(network.weights(INPUTS)).items()}


def masks_of(network: Network, seed: int = 2) -> dict[str, np.ndarray]:
    random = np.random.RandomState(seed)
    found = {}
    for name, mask in network.masks(INPUTS).items():
        shape = (BATCH, STEPS, mask.width) if mask.per_step else (mask.width,)
        found[name] = (random.uniform(size=shape) < mask.keep).astype(np.float64)
    return found


@pytest.mark.parametrize("network", EVERY)
def test_every_mask_is_read_in_both_unrollings(backend: Any, network: Network) -> None:
    """The two agree, and one value of any mask, at the first step, changes the outputs."""
    weights, masks = weights_of(network), masks_of(network)
    outputs, state = backend.dynamic_rnn(network, weights, X, LENGTHS, None, masks)
    steps, last = backend.static_rnn(network, weights, list(X.swapaxes(0, 1)), LENGTHS, None, masks)
    np.testing.assert_allclose(np.stack(steps, axis=1), outputs, rtol=1e-13)
    for name, part in state.items():
        np.testing.assert_allclose(last[name], part, rtol=1e-13)
    for name, mask in masks.items():
        other = mask.copy()
        other[(0, 0) if mask.ndim == 3 else ()] = 1 - other[(0, 0) if mask.ndim == 3 else ()]
        changed, final = backend.dynamic_rnn(network, weights, X, LENGTHS, None, dict(masks, **{name: other}))
        assert any(np.abs(final[part] - state[part]).max() > 0 for part in state) or (changed != outputs).any(), name


@pytest.mark.parametrize("lengths", [None, LENGTHS])
def test_a_backward_network_reads_its_masks_in_its_own_order(backend: Any, lengths: Any) -> None:
    """It is the network alone on each row's valid steps turned, with the masks as they are."""
    network = Bidirectional(GRU(2), Dropout(LSTM(5), 0.7, 0.6, 0.5))
    weights, masks = weights_of(network), masks_of(network)
    outputs, state = backend.dynamic_rnn(network, weights, X, lengths, None, masks)
    turned = X.copy()
    for row, length in enumerate(np.full(BATCH, STEPS) if lengths is None else lengths):
        turned[row, :length] = X[row, :length][::-1]
    own, given = (
        {name[3:]: array for name, array in arrays.items() if name.startswith("bw/")} for arrays in (weights, masks)
    )
    expected, final = backend.dynamic_rnn(network.backward, own, turned, lengths, None, given)
    for row, length in enumerate(np.full(BATCH, STEPS) if lengths is None else lengths):
        np.testing.assert_allclose(outputs[row, :length, 2:], expected[row, :length][::-1], rtol=1e-13)
    for name, part in final.items():
        np.testing.assert_allclose(state["bw/" + name], part, rtol=1e-13)


def test_without_masks_nothing_is_dropped_or_scaled(backend: Any) -> None:
    network = Dropout(Layers((Dropout(LSTM(5), 0.5), GRU(5))), 0.2, 0.3, 0.4)
    weights = weights_of(network)
    outputs, _ = backend.dynamic_rnn(network, weights, X, LENGTHS)
    expected, _ = backend.dynamic_rnn(Layers((LSTM(5), GRU(5))), weights, X, LENGTHS)
    np.testing.assert_array_equal(outputs, expected)


@pytest.mark.parametrize(
    ("masks", "sentence"),
    [
        ({}, "masks/inputs is missing; expected are inputs, state/h"),
        ({"inputs": np.ones((4, 4, 3)), "state/c": np.ones((4, 4, 5))}, "masks/state/h is missing"),
        ({"state/h": np.ones((4, 4, 5)), "inputs": np.ones((4, 4, 3)), "outputs": np.ones(5)}, "masks/outputs is unkn"),
        ({"state/h": np.ones((4, 4, 5)), "inputs": np.ones(3)}, r"masks/inputs must be float64 \[4, 4, 3\], got"),
        ({"state/h": np.full((4, 4, 5), 0.5), "inputs": np.ones((4, 4, 3))}, "masks/state/h must be ones and zeros"),
        ([], "masks must be arrays by name, got list"),
    ],
)
def test_masks_are_given_whole(backend: Any, masks: Any, sentence: str) -> None:
    network = Dropout(LSTM(5), 0.5, 1.0, 0.5)
    with pytest.raises(ValueError, match=sentence):
        backend.dynamic_rnn(network, weights_of(network), X, None, None, masks)


def test_a_network_without_dropout_takes_no_masks(backend: Any) -> None:
    weights = weights_of(GRU(5))
    backend.dynamic_rnn(GRU(5), weights, X, None, None, {})
    with pytest.raises(ValueError, match="masks/inputs is unknown; it has none"):
        backend.dynamic_rnn(GRU(5), weights, X, None, None, {"inputs": np.ones((4, 4, 3))})


def test_state_dropout_spares_c_only_in_a_tuple(tf: Any) -> None:
    """TensorFlow's own wrapper, which draws: of c and h joined in one tensor it drops some of c."""
    from tf_reference.tf1 import quiet_warnings

    dropped = {}
    with tf.Graph().as_default(), tf.Session() as session, quiet_warnings():
        tf.set_random_seed(1)
        for tupled in (True, False):
            cell = tf.nn.rnn_cell.LSTMCell(50, state_is_tuple=tupled)
            wrapped = tf.nn.rnn_cell.DropoutWrapper(cell, state_keep_prob=0.5)
            _, state = tf.nn.dynamic_rnn(wrapped, tf.constant(X), dtype=tf.float64, scope="rnn_%s" % tupled)
            dropped[tupled] = tf.equal(state.c if tupled else state[:, :50], 0)
        session.run(tf.global_variables_initializer())
        found = session.run(dropped)
    assert not found[True].any() and 0.2 < found[False].mean() < 0.8


def test_a_wrapper_rounds_its_share_to_float32(backend: Any) -> None:
    """Also where all else is float64; the cell with layer normalisation does not."""
    weights = {"kernel": np.zeros((8, 5)), "bias": np.full(5, 0.5)}
    masks = {"outputs": np.ones((BATCH, STEPS, 5))}
    network = Dropout(BasicRNN(5, "linear"), output_keep=0.7)
    outputs, _ = backend.dynamic_rnn(network, weights, X, None, None, masks)
    np.testing.assert_allclose(outputs, 0.5 / float(np.float32(0.7)), rtol=1e-14)
    assert network.masks(3)["outputs"].keep == float(np.float32(0.7)) != 0.7
    assert LayerNormLSTM(5, candidate_keep=0.7).masks(3)["candidate"].keep == 0.7
