"""Training with dropout: masks drawn by NumPy, from the seed and the step, and none where results are computed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from unrolled.initial_values import draw
from unrolled.models import Model
from unrolled.networks import GRU, LSTM, Dropout, Layers
from unrolled.programs import Adam

BATCHES = np.arange(6).reshape(2, 3)
LENGTHS = np.array([5, 1, 3, 2, 5, 4])
X = np.random.RandomState(0).normal(size=(6, 5, 3)).astype(np.float32)
LSTMS = Dropout(LSTM(4), 0.8, 0.5, 0.9)


def weights_of(model: Model) -> dict[str, np.ndarray]:
    return draw(model.weights(), np.random.RandomState(1))


def trainer(backend: Any, model: Model, targets: np.ndarray, seed: int) -> Any:
    return backend.trainer(model, weights_of(model), Adam(0.01), X, targets, LENGTHS, seed=seed)


@pytest.mark.parametrize("projection", ["stacked", "wrapped"])
def test_the_loss_is_that_of_the_masks_that_were_drawn(backend: Any, projection: str) -> None:
    model = Model("regressor", LSTMS, 3, 2, projection)
    targets = np.random.RandomState(2).normal(size=(6, 5, 2)).astype(np.float32)
    made, rows = trainer(backend, model, targets, 7), BATCHES[0]
    masks = {name[6:]: mask for name, mask in made._drawn({"inputs": X[rows], "targets": targets[rows]}).items()}
    weights = weights_of(model)
    network = {name: array for name, array in weights.items() if not name.startswith("dense/")}
    outputs, _ = backend.dynamic_rnn(LSTMS, network, X[rows], LENGTHS[rows], masks=masks)
    predictions = outputs @ weights["dense/kernel"] + weights["dense/bias"]
    if projection == "wrapped":
        predictions[np.arange(5) >= LENGTHS[rows][:, None]] = 0
    np.testing.assert_allclose(made.run(BATCHES)[0], np.square(predictions - targets[rows]).mean(), rtol=1e-5)
    weights = made.weights()
    np.testing.assert_array_equal(made.forward(X, LENGTHS), backend.forward(model, weights, X, LENGTHS))


def test_what_is_dropped_hangs_on_the_seed(backend: Any) -> None:
    model = Model("classifier", Layers((LSTMS, GRU(3))), 3, 4)
    losses = [trainer(backend, model, np.arange(6) % 4, seed).run(BATCHES) for seed in (1, 1, 2)]
    assert np.array_equal(losses[0], losses[1]) and not np.array_equal(losses[0], losses[2])


def test_a_speller_drops_in_encoder_and_decoder(backend: Any) -> None:
    model = Model("speller", LSTMS, 3, 4, max_steps=3)
    tokens = np.random.RandomState(2).randint(0, 4, (6, 2))
    made = trainer(backend, model, tokens, 1)
    masks = made._drawn({"inputs": X[:2], "targets": tokens[:2]})
    assert masks["masks/encoder/outputs"].shape == (2, 5, 4) and masks["masks/decoder/outputs"].shape == (2, 2, 4)
    assert np.isfinite(made.run(BATCHES)).all()
    assert made.forward(X, LENGTHS).shape == (6, 3, 4)
