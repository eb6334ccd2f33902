"""`train classifier`: sequences of one's own, with labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np

from unrolled.command_line.loop import Train
from unrolled.command_line.network_options import check_dropout, shape_words
from unrolled.command_line.options import output_options, seed_option
from unrolled.command_line.tasks import EpochTask
from unrolled.command_line.train_own import common, common_options, counts, enter, header_words, is_older, plan
from unrolled.own_data.prepare import Prepared, classifier_data

__all__ = ["classifier_command"]


def classifier_command(name: str, trained: Train) -> click.Command:
    """The command `train classifier` of the implementation `name`; see `unrolled.command_line` for the arguments."""

    @click.command("classifier", short_help="Classify sequences of your own.")
    @click.option(
        "--data", required=True, type=click.Path(), help="A folder with a subfolder per class, or an .npz file."
    )
    @click.option("--test-data", type=click.Path(), help="Another one to test on, instead of --test-share.")
    @common_options
    @seed_option("Of the split, the initial weights, the batches' order and what is dropped.")
    @output_options("runs/%s-classifier" % name)
    def train(**options: Any) -> None:
        """Classify sequences of your own, of equal or different lengths.

        --data is a folder CLASS/FILE, each FILE an .npy array [steps, inputs], a .csv file with a line per step, or an
        image, read row by row; or an .npz file with the arrays inputs [rows, steps, inputs], labels [rows] and, for
        rows of different lengths, lengths [rows]; or one of numpy.savez(FILE, *sequences, labels=labels). All of it is
        checked before training starts. A basic recurrent cell, or the --cell, reads one step after the other; a dense
        layer on its state at a row's last step gives the logits. Adam minimises the mean softmax cross-entropy. Of each
        class the same shares are drawn for validation and test.
        """
        trained(options, prepare_classifier)

    return train


class ClassifierTask(EpochTask):
    """Sequences with labels."""

    program = "classifier"
    keeps_best = True

    def __init__(self, name: str, options: dict[str, Any], made: Prepared) -> None:
        self.implementation = name
        enter(self, options, made)
        self.source = Path(options["data"]).name
        train, facts = self.train.inputs, made.facts
        self.header = [
            "%s: %s rows of up to %d steps of %d values, %d classes"
            % (options["data"], counts(facts["rows"]), train.shape[1], train.shape[2], len(facts["classes"])),
            *header_words(options, made.facts),
            plan(self, options),
            *shape_words(options),
        ]

    def figures(self, backend: Any, trainer: Any, done: int, losses: np.ndarray, rows: np.ndarray) -> dict[str, Any]:
        figures = super().figures(backend, trainer, done, losses, rows)
        if self.validation is not None:
            figures.update(self.validated(backend, trainer))
        return figures

    def finish(self, results: dict[str, Any], trainer: Any) -> list[str]:
        if "best_round" not in results:
            return []
        best = results["epochs"][results["best_round"] - 1]
        parts = [key for key in ("validation_loss", "validation_accuracy", "test_accuracy") if key in best]
        figures = ["%s %.4f" % (key.replace("_", " "), best[key]) for key in parts]
        return ["best by the validation part: epoch %d, %s" % (best["epoch"], ", ".join(figures))]


def prepare_classifier(name: str, options: dict[str, Any]) -> ClassifierTask:
    """The task for the options of the command line."""
    check_dropout("classifier", options)
    test = None if options["test_data"] is None else Path(options["test_data"])
    given = dict(common(options), seed=options["seed"], rounded=is_older(options.get("resume")))
    given["outputs"] = getattr(options.get("resume"), "outputs", None)
    return ClassifierTask(name, options, classifier_data(Path(options["data"]), test, **given))
