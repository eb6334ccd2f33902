"""`train vowels`: who speaks? Utterances of different lengths, classified by a cell's state at the last valid frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np

from unrolled.command_line.epochs import curve_plot, epoch_line, save_weights
from unrolled.command_line.loop import Train
from unrolled.command_line.network_options import network_options, shape_words, with_network
from unrolled.command_line.options import count_option, learning_rate_option, output_options, seed_option
from unrolled.command_line.tasks import EpochTask
from unrolled.datasets import vowels
from unrolled.datasets.batches import BatchStream, bucketed, padding_share
from unrolled.datasets.parts import Part
from unrolled.programs import VOWELS, VOWELS_EPOCHS

__all__ = ["vowels_command"]

_SEEDS = 5


def vowels_command(name: str, trained: Train) -> click.Command:
    """The command `train vowels` of the implementation `name`; see `unrolled.command_line` for the arguments."""

    @click.command("vowels", short_help="Tell nine speakers apart by utterances of different lengths.")
    @count_option("--epochs", VOWELS_EPOCHS, "Epochs to train.")
    @count_option("--batch-size", VOWELS.batch, "Utterances per batch.")
    @network_options(VOWELS.model.network, "Recurrent neurons.")
    @learning_rate_option(VOWELS.optimizer.learning_rate)
    @seed_option(
        "Of the initial weights, the batches' order and what is dropped; each further training takes the next."
    )
    @count_option("--seeds", _SEEDS, "How many trainings, whose mean accuracy is reported.")
    @click.option(
        "--bucketed/--not-bucketed",
        default=False,
        show_default=True,
        help="Put utterances of like lengths into one batch, which saves padding.",
    )
    @output_options("runs/%s-vowels" % name)
    def train(**options: Any) -> None:
        """Tell nine speakers apart by utterances of different lengths.

        Japanese Vowels: 270 training and 370 test utterances of 7 to 29 frames with 12 channels, each channel scaled to
        mean 0 and standard deviation 1 over the training frames. A basic recurrent cell with tanh, or the --cell, reads
        one frame per step; a dense layer on its state at an utterance's last frame gives the logits. Adam minimises the
        mean softmax cross-entropy. The folder --output gets results.json, learning_curve.png (the mean of all
        trainings) and weights.npz (of the last one).
        """
        trained(options, prepare)

    return train


class VowelsTask(EpochTask):
    """Several trainings, each with a seed of its own; what is reported of the epochs is the mean of all."""

    program = VOWELS.name

    def __init__(self, name: str, options: dict[str, Any]) -> None:
        self.implementation = name
        loaded = vowels.load()
        speakers = vowels.standardized(loaded)
        rows, _, inputs = speakers.train.inputs.shape
        if options["batch_size"] > rows:
            raise click.BadParameter(
                "%d is more than the %d training utterances." % (options["batch_size"], rows),
                param_hint="'--batch-size'",
            )
        self.model = with_network(VOWELS.model, options)
        self.optimizer = VOWELS.optimizer._replace(learning_rate=options["learning_rate"])
        self.train, self.test = (Part(part.inputs, part.speaker, part.lengths) for part in speakers)
        self.batch, self.bucketed = options["batch_size"], options["bucketed"]
        self.seeds = list(range(options["seed"], options["seed"] + options["seeds"]))
        self.per_round = rows // self.batch
        self.iterations = options["epochs"] * self.per_round
        self.facts = {
            "hyperparameters": self.hyperparameters(
                epochs=options["epochs"],
                iterations_per_epoch=self.per_round,
                batch_size=self.batch,
                bucketed=self.bucketed,
                seeds=self.seeds,
            ),
            "data": {
                "train": rows,
                "test": len(speakers.test.lengths),
                "source": "Japanese Vowels",
                "inputs": inputs,
                "classes": ["speaker %d" % (1 + speaker) for speaker in range(self.model.outputs)],
                "scaling": vowels.scaling(loaded).to_json(),
            },
            "padding": _padding(speakers.train.lengths, options),
        }
        self.header = [
            "Japanese Vowels: %d training and %d test utterances of %d channels; %d iterations of %d per epoch"
            % (rows, len(speakers.test.lengths), inputs, self.per_round, self.batch),
            _padding_line(self.facts["padding"], self.bucketed),
            *shape_words(options),
        ]
        self._epochs: list[dict[str, Any]] = []  # of the training in progress

    def start(self) -> dict[str, Any]:
        self._epochs = []
        return {"epochs": [], "runs": []}  # epochs: means over the trainings so far

    def take(self, stream: BatchStream, count: int) -> np.ndarray:
        batches = stream.take(count)
        lengths = self.train.lengths
        return bucketed(batches, lengths) if self.bucketed and lengths is not None else batches

    def record(self, results: dict[str, Any], figures: dict[str, Any]) -> None:
        self._epochs.append(figures)

    def line(self, figures: dict[str, Any]) -> str | None:
        return None

    def keep(self, folder: Path, trainer: Any, ended: bool) -> None:
        if ended:
            save_weights(folder, trainer.weights())

    def trained(self, results: dict[str, Any], seed: int) -> list[str]:
        epochs, self._epochs = self._epochs, []
        results["runs"].append({"seed": seed, "test_accuracy": epochs[-1]["test_accuracy"], "epochs": epochs})
        results["epochs"] = [_mean(same) for same in zip(*(one["epochs"] for one in results["runs"]))]
        spent = sum(figures["seconds"] for figures in epochs)
        line = epoch_line(dict(epochs[-1], seconds=spent), self.iterations // self.per_round)
        return ["seed %d   %s" % (seed, line)]

    def finish(self, results: dict[str, Any], trainer: Any) -> list[str]:
        accuracies = [one["test_accuracy"] for one in results["runs"]]
        results["mean_test_accuracy"] = float(np.mean(accuracies))
        return [
            "mean test accuracy of %s %.4f   least %.4f   most %.4f"
            % (_seeds(results["runs"]), np.mean(accuracies), min(accuracies), max(accuracies))
        ]

    def plot(self, results: dict[str, Any]) -> bytes | None:
        rows = "utterances (%s)" % _seeds(results["runs"])
        return curve_plot(self.implementation, "Vowels", rows, results["epochs"])


def prepare(name: str, options: dict[str, Any]) -> VowelsTask:
    """The task for the options of the command line."""
    return VowelsTask(name, options)


def _seeds(runs: list[dict[str, Any]]) -> str:
    return "1 seed" if len(runs) == 1 else "%d seeds" % len(runs)


def _mean(figures: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    """The means of what several trainings show for the same epoch."""
    return {key: figures[0][key] if key == "epoch" else float(np.mean([f[key] for f in figures])) for key in figures[0]}


def _padding(lengths: np.ndarray, options: dict[str, Any]) -> dict[str, float]:
    """The shares of a padded batch's steps that are padding, over the first seed's epochs: as drawn, and bucketed."""
    stream = BatchStream(len(lengths), options["batch_size"], options["seed"])
    drawn = [stream.take(len(lengths) // stream.batch) for _ in range(min(options["epochs"], 10))]
    return {
        "as_drawn": float(np.mean([padding_share(batches, lengths) for batches in drawn])),
        "bucketed": float(np.mean([padding_share(bucketed(batches, lengths), lengths) for batches in drawn])),
    }


def _padding_line(padding: dict[str, float], chosen: bool) -> str:
    shares = (100 * padding["as_drawn"], 100 * padding["bucketed"], "chosen" if chosen else "not chosen")
    return "padding: %.1f%% of the steps of the batches as drawn, %.1f%% of bucketed ones (%s)" % shares
