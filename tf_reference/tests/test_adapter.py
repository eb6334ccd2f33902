"""What the reference does beside the contract: TF1's own manners, threads and devices, trainers of their own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from unrolled.models import Model
from unrolled.networks import BasicRNN
from unrolled.programs import Adam

NETWORK = BasicRNN(5)
MODEL = Model("classifier", NETWORK, inputs=3, outputs=4)
RNG = np.random.RandomState(3)
WEIGHTS = {"kernel": RNG.uniform(-0.6, 0.6, (8, 5)), "bias": RNG.uniform(-0.6, 0.6, 5)}
INPUTS = RNG.uniform(-0.8, 0.8, (4, 6, 3))
LABELS = np.array([3, 0, 2, 1])


def model_weights() -> dict[str, np.ndarray]:
    return dict(WEIGHTS, **{"dense/kernel": RNG.uniform(-0.6, 0.6, (5, 4)), "dense/bias": np.zeros(4)})


def test_lengths_out_of_range_are_clipped_as_in_tensorflow_1(backend: Any) -> None:
    wild, tame = np.array([9, -2, 6, 3]), np.array([6, 0, 6, 3])
    outputs, state = backend.dynamic_rnn(NETWORK, WEIGHTS, INPUTS, wild)
    expected, expected_state = backend.dynamic_rnn(NETWORK, WEIGHTS, INPUTS, tame)
    np.testing.assert_array_equal(outputs, expected)
    np.testing.assert_array_equal(state["h"], expected_state["h"])


@pytest.mark.parametrize("unrolling", ["static", "dynamic"])
def test_nan_in_the_padding_reaches_gradients_as_in_tensorflow_1(backend: Any, unrolling: str) -> None:
    inputs = INPUTS.copy()
    inputs[1, 4:] = np.nan
    found = backend.rnn_gradients(
        NETWORK,
        WEIGHTS,
        inputs,
        state_gradients={"h": np.ones((4, 5))},
        lengths=np.array([6, 4, 6, 6]),
        unrolling=unrolling,
    )
    assert np.isnan(found["kernel"]).any() and np.isnan(found["inputs"]).any()


def test_in_top_k_does_not_round_float64_logits(backend: Any) -> None:
    logits = np.array([[1.0, 1.0 + 1e-12, 0.0], [1.0, 1.0 + 1e-12, np.inf]])
    assert backend.in_top_k(logits, np.array([0, 1]), 1).tolist() == [False, False]
    assert backend.in_top_k(logits, np.array([1, 1]), 1).tolist() == [True, False]


def test_repeated_training_is_the_same_to_the_bit(backend: Any) -> None:
    """With an update of a weight not held back until every gradient has been taken, losses vary from run to run."""
    weights, batches = model_weights(), np.tile(np.arange(4), (40, 1))
    first = backend.train(MODEL, weights, Adam(), INPUTS, LABELS, batches)[0]
    for _ in range(5):
        np.testing.assert_array_equal(backend.train(MODEL, weights, Adam(), INPUTS, LABELS, batches)[0], first)


def test_trainers_do_not_share_variables(backend: Any) -> None:
    weights, batches = model_weights(), np.array([[0, 1], [2, 3], [1, 2], [3, 0]])
    losses, expected, slots = backend.train(MODEL, weights, Adam(), INPUTS, LABELS, batches)
    trainer = backend.trainer(MODEL, weights, Adam(), INPUTS, LABELS)
    other = backend.trainer(MODEL, {name: -array for name, array in weights.items()}, Adam(), INPUTS, LABELS)
    found = []
    for batch in batches:
        found += trainer.run(batch[None]).tolist()
        other.run(batch[None])
        backend.train(MODEL, weights, Adam(), INPUTS, LABELS, batch[None])
    assert found == losses.tolist()
    for name, array in trainer.weights().items():
        np.testing.assert_array_equal(array, expected[name])
    for name, array in trainer.slots().items():
        np.testing.assert_array_equal(array, slots[name])


def test_forward_in_parts_is_forward_at_once(backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from tf_reference import training

    weights, lengths = model_weights(), np.array([6, 0, 3, 1])
    whole = backend.forward(MODEL, weights, INPUTS, lengths)
    monkeypatch.setattr(training, "FORWARD_ROWS", 3)
    np.testing.assert_allclose(backend.forward(MODEL, weights, INPUTS, lengths), whole, rtol=1e-14)
    trainer = backend.trainer(MODEL, weights, Adam(), INPUTS, LABELS, lengths)
    np.testing.assert_allclose(trainer.forward(INPUTS, lengths), whole, rtol=1e-14)


def test_a_trainer_with_lengths_takes_none_as_every_row_full(backend: Any) -> None:
    weights = model_weights()
    trainer = backend.trainer(MODEL, weights, Adam(), INPUTS, LABELS, np.array([6, 0, 3, 1]))
    np.testing.assert_allclose(trainer.forward(INPUTS), backend.forward(MODEL, weights, INPUTS), rtol=1e-14)


def test_a_trainer_without_lengths_refuses_them(backend: Any) -> None:
    trainer = backend.trainer(MODEL, model_weights(), Adam(), INPUTS, LABELS)
    with pytest.raises(ValueError, match="lengths must be None"):
        trainer.forward(INPUTS, np.array([6, 0, 3, 1]))


def test_threads_are_set_once_in_a_process(backend: Any) -> None:
    from tf_reference.adapter import backend as make

    threads = int(backend.describe()["threads"])
    assert make(threads=threads).describe()["threads"] == str(threads)
    with pytest.raises(ValueError, match=rf"threads is {threads + 1}, but .* runs with {threads}"):
        make(threads=threads + 1)
    with pytest.raises(ValueError, match="threads is 0"):
        make(threads=0)


def test_a_device_that_is_not_there_is_one_sentence(tf: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from tf_reference.adapter import backend

    monkeypatch.setattr(tf.config.experimental, "list_physical_devices", lambda kind: [])
    with pytest.raises(ValueError, match=r'device is "cuda", but TensorFlow .* finds no GPU'):
        backend("cuda")
    assert backend("auto").describe()["device"] == "cpu"
    with pytest.raises(ValueError, match="device is 'tpu'"):
        backend("tpu")


def test_what_tensorflow_refuses_is_a_value_error(backend: Any) -> None:
    graph, feeds = backend._loaded(MODEL, model_weights(), INPUTS, None)
    with pytest.raises(ValueError, match="TensorFlow refused the values: Received a label value of 4"):
        graph.run(["loss"], dict(feeds, targets=np.array([0, 1, 2, 4])))


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        (np.zeros((4, 5)), "initial_state must be arrays by name, got float64 "),
        ({}, "initial_state/h is missing; expected are h"),
        ({"h": np.zeros((4, 5)), "c": np.zeros((4, 5))}, "initial_state/c is unknown; expected are h"),
        ({"h": np.zeros((4, 6))}, r"initial_state/h must be float64 \[4, 5\], got float64 \[4, 6\]"),
    ],
)
def test_a_state_is_given_whole(backend: Any, state: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        backend.dynamic_rnn(NETWORK, WEIGHTS, INPUTS, initial_state=state)
