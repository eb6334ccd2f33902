"""The adapter is strict, copies what it takes, and leaves the process as it was."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from torch_impl.adapter import backend
from unrolled.models import Model
from unrolled.networks import BasicRNN, Dropout
from unrolled.programs import Adam

NETWORK = BasicRNN(5)
MODEL = Model("classifier", NETWORK, 3, 4)
SETTINGS = Adam(learning_rate=0.1)
BACKEND = backend()
WEIGHTS = BACKEND.initial_weights(MODEL, 1)
CELL_WEIGHTS = {name: WEIGHTS[name] for name in ("kernel", "bias")}
X = np.linspace(-1, 1, 4 * 6 * 3, dtype=np.float32).reshape(4, 6, 3)
H = np.ones((4, 5), np.float32)
LABELS = np.array([0, 1, 2, 3])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"inputs": X.tolist()}, "inputs must be a NumPy array, got list"),
        ({"inputs": X.astype(np.float64)}, "inputs must be float32"),
        ({"inputs": X.astype(np.int64)}, "inputs must be a float32 or float64 array, got int64"),
        ({"inputs": X[..., :2]}, r"inputs must be float32 \[batch, steps, 3\]"),
        ({"lengths": np.ones(4)}, "lengths must be an array of integers, got float64"),
        ({"lengths": np.array([6, 2**63 + 1, 0, 1], np.uint64)}, r"lengths must hold integers below 2\*\*63"),
        ({"lengths": np.array([6, 7, 0, 1])}, r"lengths\[1\] = 7"),
        ({"targets": np.array([0, 1, 2, 4])}, r"targets\[3\] = 4"),
        ({"targets": np.array([0, 1, 2, -100])}, r"targets\[3\] = -100"),
        ({"targets": None}, "targets must be an array of integers"),
        ({"weights": {**WEIGHTS, "bias": WEIGHTS["bias"].astype(np.float64)}}, "'bias' must be .* float32"),
        ({"weights": CELL_WEIGHTS}, "missing: dense/kernel, dense/bias"),
        ({"weights": {}}, "weight 'kernel' must be a float32 or float64 array, got none"),
        ({"targets": np.ones(4, np.float32)}, "targets must be integers"),
    ],
)
def test_a_wrong_argument_is_a_value_error_that_names_it(change: dict[str, Any], words: str) -> None:
    arguments = {"model": MODEL, "weights": WEIGHTS, "inputs": X, "targets": LABELS, "lengths": None}
    with pytest.raises(ValueError, match=words):
        BACKEND.loss(**{**arguments, **change})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "one of output_gradients and state_gradients must be given"),
        ({"state_gradients": {"h": np.ones((4, 4), np.float32)}}, r"state_gradients/h must be float32 \[4, 5\]"),
        ({"state_gradients": {}}, "state_gradients must have exactly the parts h, got none"),
        ({"output_gradients": np.ones((4, 5, 5), np.float32)}, r"output_gradients must be float32 \[4, 6, 5\]"),
        ({"state_gradients": {"h": H}, "unrolling": "both"}, "unrolling must be 'static' or 'dynam"),
    ],
)
def test_gradients_check_their_arguments(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        BACKEND.rnn_gradients(NETWORK, CELL_WEIGHTS, X, **change)


def test_seeds_and_k_are_checked() -> None:
    for seed in (-1, 1.5, None, True, 2**63):
        with pytest.raises(ValueError, match="seed must be an integer from 0 to"):
            BACKEND.initial_weights(MODEL, seed)  # type: ignore[arg-type]
    for k in (1.5, 0, True):
        with pytest.raises(ValueError, match="k must be an integer of at least 1"):
            BACKEND.in_top_k(np.zeros((4, 3), np.float32), LABELS, k)  # type: ignore[arg-type]


@pytest.mark.filterwarnings("error")
def test_read_only_strided_arguments_are_taken_and_kept() -> None:
    """PyTorch warns of the first and refuses the second; both are ordinary NumPy."""
    flipped = X[::-1]
    flipped.flags.writeable = False
    outputs, _ = BACKEND.dynamic_rnn(NETWORK, CELL_WEIGHTS, flipped)
    np.testing.assert_array_equal(outputs, BACKEND.dynamic_rnn(NETWORK, CELL_WEIGHTS, flipped.copy())[0])
    kept = {name: array.copy() for name, array in WEIGHTS.items()}
    BACKEND.train(MODEL, WEIGHTS, SETTINGS, X, LABELS, np.zeros((3, 2), int))
    assert all(np.array_equal(array, kept[name]) for name, array in WEIGHTS.items())


def test_the_global_random_state_stays() -> None:
    state = torch.random.get_rng_state()
    BACKEND.initial_weights(MODEL, 3)
    BACKEND.forward(MODEL, WEIGHTS, X)
    BACKEND.dynamic_rnn(NETWORK, CELL_WEIGHTS, X)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_masks_are_as_given_and_nothing_is_dropped_without_them() -> None:
    network, x = Dropout(NETWORK, 0.5, 0.5, 0.5), X
    for masks, words in (
        ({"inputs": X}, "masks must be exactly inputs, state/h, outputs, got inputs"),
        ([], "masks must be a dict of arrays by name, got list"),
        (dict.fromkeys(("inputs", "state/h", "outputs"), X.astype(float)), r"masks\['inputs'\] must be float32"),
    ):
        with pytest.raises(ValueError, match=words):
            BACKEND.dynamic_rnn(network, CELL_WEIGHTS, x, masks=masks)  # type: ignore[arg-type]
    outputs, _ = BACKEND.dynamic_rnn(network, CELL_WEIGHTS, x)
    np.testing.assert_array_equal(outputs, BACKEND.dynamic_rnn(NETWORK, CELL_WEIGHTS, x)[0])
    model, batches = replace(MODEL, network=network), np.array([[0, 1], [2, 3]])
    losses, *_ = BACKEND.train(model, WEIGHTS, SETTINGS, X, LABELS, batches)
    np.testing.assert_allclose(losses, BACKEND.train(MODEL, WEIGHTS, SETTINGS, X, LABELS, batches)[0], 1e-6)


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        (X, "inputs must be an array of integers, got float32"),
        (np.array([[1, 3], [0, 0]], np.uint8), r"inputs must be tokens, .* from 0 to 2, got inputs\[0, 1\] = 3"),
        (np.array([1, 2]), r"inputs must be tokens, integers \[rows, steps\]"),
    ],
)
def test_tokens_are_checked(inputs: np.ndarray, words: str) -> None:
    model = replace(MODEL, embedding=2)
    with pytest.raises(ValueError, match=words):
        BACKEND.forward(model, BACKEND.initial_weights(model, 1), inputs, np.array([1, 1]))


def test_the_trainer_is_train_in_parts() -> None:
    batches = np.array([[0, 1], [2, 3], [1, 2], [3, 3]])
    losses, weights, slots = BACKEND.train(MODEL, WEIGHTS, SETTINGS, X, LABELS, batches)
    trainer = BACKEND.trainer(MODEL, WEIGHTS, SETTINGS, X, LABELS)
    parts = [trainer.run(batches[:1]), trainer.run(batches[1:])]
    np.testing.assert_array_equal(np.concatenate(parts), losses)
    for got, expected in ((trainer.weights(), weights), (trainer.slots(), slots)):
        assert got.keys() == expected.keys()
        assert all(np.array_equal(got[name], expected[name]) for name in expected)
    np.testing.assert_array_equal(trainer.forward(X), BACKEND.forward(MODEL, weights, X))


def test_a_device_that_is_not_there() -> None:
    with pytest.raises(ValueError, match="device 'gpu7' cannot be used here"):
        backend("gpu7")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="device 'cuda' cannot be used here"):
            backend("cuda")
    with pytest.raises(ValueError, match="device 'meta' holds no values"):
        backend("meta")
    for threads in (0, -1, True, 1.5):
        with pytest.raises(ValueError, match="threads must be an integer of at least 1"):
            backend("cpu", threads)  # type: ignore[arg-type]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
def test_tf32_is_off_on_a_gpu() -> None:
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
    assert "TF32 off" in backend("cuda").describe()["device"]
    assert not torch.backends.cudnn.allow_tf32 and not torch.backends.cuda.matmul.allow_tf32


def test_an_unknown_path_in_the_environment_is_found_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNROLLED_PATH", "foo")
    with pytest.raises(ValueError, match="UNROLLED_PATH must be one of compiled, bptt, native, got 'foo'"):
        backend()


def test_threads_are_reported() -> None:
    assert backend("cpu", 1).describe()["threads"] == "1"


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        (X[..., :2], r"'kernel' must be .* \[7, 5\], got float32 \[8, 5\]"),
        (X[0, 0, 0], "inputs must be a NumPy array"),
        (X.tolist(), r"inputs must be a NumPy array \[..., inputs\], .* got list"),
        (X[0], "inputs must have rank 3"),
        (X[..., :0], r"inputs must be .* at least 1 value per step, got \[4, 6, 0\]"),
    ],
)
def test_inputs_and_kernel_must_fit(inputs: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        BACKEND.dynamic_rnn(NETWORK, CELL_WEIGHTS, inputs)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (H, "initial_state must have exactly the parts h, got ndarray"),
        ({}, "initial_state must have exactly the parts h, got none"),
        ({"h": H, "c": H}, "initial_state must have exactly the parts h, got h, c"),
        ({"h": H[:, :4]}, r"initial_state/h must be float32 \[4, 5\], got float32 \[4, 4\]"),
        ({"h": H.astype(np.float64)}, "initial_state/h must be float32"),
        ({"h": H.tolist()}, "initial_state/h must be a NumPy array, got list"),
    ],
)
def test_a_state_is_given_whole(state: Any, words: str) -> None:
    decoder = {**WEIGHTS, "embedding": np.zeros((4, 3), np.float32)}
    with pytest.raises(ValueError, match=words):
        BACKEND.dynamic_rnn(NETWORK, CELL_WEIGHTS, X, None, state)
    with pytest.raises(ValueError, match=words):
        BACKEND.static_rnn(NETWORK, CELL_WEIGHTS, list(X.swapaxes(0, 1)), None, state)
    with pytest.raises(ValueError, match=words):
        BACKEND.rnn_gradients(NETWORK, CELL_WEIGHTS, X, state_gradients={"h": H}, initial_state=state)
    with pytest.raises(ValueError, match=words.replace(r"\[4, 5\]", r"\[batch, 5\]")):
        BACKEND.decode(NETWORK, decoder, state, 0, 1, 3)


@pytest.mark.parametrize("inputs", [[], X, None])
def test_static_inputs_are_a_list(inputs: Any) -> None:
    with pytest.raises(ValueError, match="inputs must be a list of arrays"):
        BACKEND.static_rnn(NETWORK, CELL_WEIGHTS, inputs)
