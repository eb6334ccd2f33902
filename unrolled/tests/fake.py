"""A tiny backend in NumPy for the tests of the command lines: right shapes and deterministic numbers, no recurrence to
speak of. Its classifier is a softmax regression on the mean row, which does learn; its regressor one on x alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from unrolled.initial_values import draw


class FakeTrainer:
    """Plain gradient descent on the dense layer over the mean of the inputs. Diverges or is interrupted on request."""

    def __init__(self, model: Any, weights: dict, inputs: np.ndarray, targets: np.ndarray, trouble: dict) -> None:
        self.model, self.inputs, self.targets, self.trouble = model, inputs, targets, trouble
        self.seed_mark = float(weights["kernel"].ravel()[0])
        shape = (self._features(inputs).shape[-1], model.outputs)
        begun = np.zeros(shape) if model.kind == "regressor" else np.random.RandomState(0).standard_normal(shape)
        self.matrix = weights.get("matrix", begun).copy()
        self.rate = trouble.get("rate", 1e-3)
        self.done, self.lengths = 0, None
        self.batches: list = []

    def _features(self, inputs: np.ndarray) -> np.ndarray:
        if self.model.kind == "classifier":
            return np.concatenate([inputs.mean(axis=1), inputs.mean(axis=2), np.ones((len(inputs), 1))], axis=1)
        return np.concatenate([inputs, np.ones_like(inputs)], axis=2)

    def forward(self, inputs: np.ndarray, lengths: Any = None) -> np.ndarray:
        return (self._features(inputs) @ self.matrix).astype(np.float32)

    def weights(self) -> dict:
        return {"kernel": np.array([[self.seed_mark]]), "matrix": self.matrix.copy()}

    def run(self, batches: np.ndarray) -> np.ndarray:
        return np.array([self._step(rows) for rows in batches], dtype=np.float32)

    def _step(self, rows: np.ndarray) -> float:
        self.batches.append(rows.copy())
        self.done += 1
        if self.done == self.trouble.get("interrupt_at"):
            raise KeyboardInterrupt
        if self.done == self.trouble.get("diverge_at"):
            return float("inf")
        features, targets = self._features(self.inputs[rows]), self.targets[rows]
        values = features @ self.matrix
        if self.model.kind == "regressor":
            error = values - targets
            self.matrix -= self.rate * np.einsum("bti,bto->io", features, error) / error.size
            return float(np.square(error).mean())
        exponentials = np.exp(values - values.max(axis=1, keepdims=True))
        chances = exponentials / exponentials.sum(axis=1, keepdims=True)
        loss = -np.log(chances[np.arange(len(rows)), targets]).mean()
        chances[np.arange(len(rows)), targets] -= 1
        self.matrix -= features.T @ chances / len(rows)
        return float(loss)


class FakeBackend:
    """What the command lines ask of an adapter; `trouble` can hold interrupt_at and diverge_at, iterations from 1,
    and rate, the regressor's learning rate."""

    name = "fake"

    def __init__(self, **trouble: Any) -> None:
        self.trouble = trouble
        self.opened: list = []
        self.trainers: list = []

    def __call__(self, device: str, threads: int | None) -> FakeBackend:
        self.opened.append((device, threads))
        return self

    def describe(self) -> dict:
        return {"framework": "NumPy", "version": np.__version__}

    def _steps(self, weights: dict, inputs: np.ndarray, lengths: Any = None) -> tuple:
        state = np.zeros((len(inputs), len(weights["bias"])))
        outputs = []
        for step in range(inputs.shape[1]):
            new = np.tanh(np.concatenate([inputs[:, step], state], axis=1) @ weights["kernel"] + weights["bias"])
            valid = np.ones((len(inputs), 1), bool) if lengths is None else (step < lengths)[:, None]
            state = np.where(valid, new, state)
            outputs.append(np.where(valid, new, 0.0))
        return outputs, {"h": state}

    def two_step(self, network: Any, weights: dict, x0: np.ndarray, x1: np.ndarray) -> tuple:
        return tuple(self._steps(weights, np.stack([x0, x1], axis=1))[0])

    def static_rnn(self, network: Any, weights: dict, inputs: list, lengths: Any = None) -> tuple:
        return self._steps(weights, np.stack(inputs, axis=1), lengths)

    def dynamic_rnn(self, network: Any, weights: dict, inputs: np.ndarray, lengths: Any = None) -> tuple:
        outputs, state = self._steps(weights, inputs, lengths)
        return np.stack(outputs, axis=1), state

    def initial_weights(self, model: Any, seed: int) -> dict:
        return draw(model.weights(), np.random.RandomState(seed))

    def in_top_k(self, logits: np.ndarray, targets: np.ndarray, k: int = 1) -> np.ndarray:
        return (logits > logits[np.arange(len(targets)), targets][:, None]).sum(axis=1) < k

    def trainer(
        self,
        model: Any,
        weights: dict,
        optimizer: Any,
        inputs: np.ndarray,
        targets: np.ndarray,
        lengths: Any = None,
        seed: int = 0,
    ) -> FakeTrainer:
        self.trainers.append(FakeTrainer(model, weights, inputs, targets, self.trouble))
        self.trainers[-1].lengths = lengths
        return self.trainers[-1]
