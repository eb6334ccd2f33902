"""A training program made ready: its data, its model, and what is reported of it. `loop` trains it."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import Any, Mapping

import numpy as np

from unrolled import networks
from unrolled.command_line.epochs import by_rows, curve_plot, epoch_line, save_weights
from unrolled.command_line.scores import balanced_accuracy, confusion_matrix, cross_entropy, macro_f1
from unrolled.datasets.batches import BatchStream
from unrolled.datasets.parts import Part
from unrolled.models import Model
from unrolled.programs import Adam

__all__ = ["EpochTask", "Task"]


class Task:
    """One program with its data; a subclass says what is reported.

    program: its name. model, optimizer: see `programs`. train, validation, test: `Part`s; the last two may be None.
    batch: rows per batch. seeds: one training for each. iterations: optimizer steps of a training. per_round: steps
    between two reports; an epoch, where there are epochs. facts: plain values for results.json, and with the key "data"
    for the checkpoints too (sizes, source, names of the classes, scaling). arrays: kept in the checkpoints beside them,
    by names that begin with "data/". header: lines to print before training.
    """

    program = ""
    plot_name = "learning_curve.png"
    chunk = 10  # iterations between two updates of the progress bar: some 50 ms
    saves_rounds = True  # whether results.json is written after each round
    keeps_best = False  # whether the best round's weights are what a training is for, where there is a validation set

    model: Model
    optimizer: Adam
    train: Part
    validation: Part | None = None
    test: Part | None = None
    batch: int
    seeds: list[int]
    iterations: int
    per_round: int
    facts: dict[str, Any]
    arrays: Mapping[str, np.ndarray] = MappingProxyType({})
    header: list[str]
    # What the best round can be found by, the default first -> the figure of `validated`, whether more of it is better.
    monitors: Mapping[str, tuple[str, bool]] = MappingProxyType({"loss": ("validation_mse", False)})

    def hyperparameters(self, **own: Any) -> dict[str, Any]:
        """A program's own and what every one has, as plain values."""
        optimizer = dict(self.optimizer._asdict(), kind="adam")
        return dict(own, network=networks.to_plain(self.model.network), optimizer=optimizer)

    def start(self) -> dict[str, Any]:
        """The results before anything is trained: the keys that the other methods fill."""
        return {}

    def stream(self, seed: int) -> BatchStream:
        """The batches of the training with this seed."""
        return BatchStream(len(self.train.inputs), self.batch, seed)

    def take(self, stream: BatchStream, count: int) -> np.ndarray:
        """The row numbers [count, batch] of a round."""
        return stream.take(count)

    def seen(self, results: dict[str, Any], losses: np.ndarray) -> None:
        """Take note of some iterations' losses [iterations], each before its step."""

    def validated(self, backend: Any, trainer: Any) -> dict[str, float]:
        """How good the model is on the validation set: the figures to report, all that `monitors` names among them."""
        raise NotImplementedError

    def score(self, figures: Mapping[str, Any], monitor: str | None = None) -> float:
        """What the best round has most of, from a round's figures. monitor: one of `monitors`, None for the first."""
        name, more = self.monitors[monitor or next(iter(self.monitors))]
        return figures[name] if more else -figures[name]

    def figures(self, backend: Any, trainer: Any, done: int, losses: np.ndarray, rows: np.ndarray) -> dict[str, Any]:
        """What is reported after a round. done: steps taken. losses: the round's. rows: those of its last batch."""
        raise NotImplementedError

    def record(self, results: dict[str, Any], figures: dict[str, Any]) -> None:
        """Enter a round's figures into the results."""

    def line(self, figures: dict[str, Any]) -> str | None:
        """The line that is printed after a round, if one is."""
        return None

    def trained(self, results: dict[str, Any], seed: int) -> list[str]:
        """Enter a whole training into the results, from what was recorded of it; the lines to print."""
        return []

    def finish(self, results: dict[str, Any], trainer: Any) -> list[str]:
        """Enter what is known after the last training; the lines to print. trainer: with the weights of the round
        results["best_round"], where that is there, else with the last ones."""
        return []

    def keep(self, folder: Path, trainer: Any, ended: bool) -> None:
        """Write further files after a round; ended: whether it was the training's last."""

    def plot(self, results: dict[str, Any]) -> bytes | None:
        """The picture of the results as PNG, None where there is nothing to draw yet."""
        return None


class EpochTask(Task):
    """A task trained by epochs: a classifier's, whose figures are losses and shares from 0 to 1.

    source: what the data are called in the picture, rows_name: what their rows are, in the plural.
    """

    source = ""
    rows_name = "rows"
    implementation = ""
    weights_kept = False  # whether weights.npz is written after each epoch
    monitors = MappingProxyType(
        {
            "loss": ("validation_loss", False),
            "accuracy": ("validation_accuracy", True),
            "macro-f1": ("validation_macro_f1", True),
        }
    )

    def start(self) -> dict[str, Any]:
        return {"epochs": []}

    def accuracy(self, backend: Any, trainer: Any, part: Part) -> float:
        """The share of rows whose class has the largest logit, ties included."""
        logits = by_rows(trainer.forward, part.inputs, part.lengths)
        return float(backend.in_top_k(logits, part.targets, 1).mean())

    def validated(self, backend: Any, trainer: Any) -> dict[str, float]:
        assert self.validation is not None
        part = self.validation
        logits = by_rows(trainer.forward, part.inputs, part.lengths)
        confusion = confusion_matrix(part.targets, logits.argmax(axis=1), logits.shape[1])
        return {
            "validation_accuracy": float(backend.in_top_k(logits, part.targets, 1).mean()),
            "validation_loss": cross_entropy(logits, part.targets),
            "validation_macro_f1": macro_f1(confusion),
            "validation_balanced_accuracy": balanced_accuracy(confusion),
        }

    def figures(self, backend: Any, trainer: Any, done: int, losses: np.ndarray, rows: np.ndarray) -> dict[str, Any]:
        figures = {
            "epoch": done // self.per_round,
            "train_accuracy": self.accuracy(backend, trainer, self.train.rows(rows)),
        }
        if self.test is not None:
            figures["test_accuracy"] = self.accuracy(backend, trainer, self.test)
        figures["loss"] = float(losses.mean())
        return figures

    def record(self, results: dict[str, Any], figures: dict[str, Any]) -> None:
        results["epochs"].append(figures)

    def line(self, figures: dict[str, Any]) -> str | None:
        return epoch_line(figures, self.iterations // self.per_round)

    def keep(self, folder: Path, trainer: Any, ended: bool) -> None:
        if self.weights_kept:
            save_weights(folder, trainer.weights())

    def plot(self, results: dict[str, Any]) -> bytes | None:
        return curve_plot(self.implementation, self.source, self.rows_name, results["epochs"])
