"""`train classifier` and `train regressor`: the same networks on data of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import click
import numpy as np

from unrolled.command_line.epochs import by_rows
from unrolled.command_line.loop import Train
from unrolled.command_line.network_options import (
    activation_option,
    check_directions,
    check_dropout,
    network_of,
    network_options,
    shape_words,
)
from unrolled.command_line.options import count_option, learning_rate_option, output_options, seed_option
from unrolled.command_line.plots import forecasts
from unrolled.command_line.tasks import EpochTask, Task
from unrolled.errors import DataError
from unrolled.own_data.prepare import BATCH, EPOCHS, NETWORK, Prepared, classifier_data, regressor_data
from unrolled.own_data.scaling import ColumnScaling

__all__ = ["classifier_command", "regressor_command"]


def _common_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What both commands take."""
    share = click.FloatRange(0, 1, max_open=True)
    for option in (
        learning_rate_option(0.001),
        activation_option,
        network_options(NETWORK, "Recurrent neurons."),
        count_option("--batch-size", BATCH, "Rows per batch; all rows where there are fewer."),
        count_option("--epochs", EPOCHS, "Epochs to train."),
        click.option(
            "--header/--no-header",
            default=None,
            help="Whether numbers in a CSV file's first line are the columns' names.  [default: decided by the file]",
        ),
        click.option(
            "--scale/--no-scale",
            default=True,
            show_default=True,
            help="Bring each input to mean 0 and standard deviation 1 over the training part; images stay as they are.",
        ),
        click.option("--test-share", type=share, default=0.1, show_default=True, help="Share put aside to test on."),
        click.option(
            "--validation-share", type=share, default=0.1, show_default=True, help="Share put aside to validate on."
        ),
    ):
        command = option(command)
    return command


def classifier_command(name: str, trained: Train) -> click.Command:
    """The command `train classifier` of the implementation `name`; see `unrolled.command_line` for the arguments."""

    @click.command("classifier", short_help="Classify sequences of your own.")
    @click.option(
        "--data", required=True, type=click.Path(), help="A folder with a subfolder per class, or an .npz file."
    )
    @click.option("--test-data", type=click.Path(), help="Another one to test on, instead of --test-share.")
    @_common_options
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


def regressor_command(name: str, trained: Train) -> click.Command:
    """The command `train regressor` of the implementation `name`; see `unrolled.command_line` for the arguments."""

    @click.command("regressor", short_help="Predict a series of your own.")
    @click.option("--data", required=True, type=click.Path(), help="A CSV or Parquet file, its rows in order of time.")
    @click.option(
        "--column",
        "columns",
        multiple=True,
        metavar="NAME",
        help="A column to read and to predict; may be given several times.  [default: the file's only one]",
    )
    @count_option("--window", 100, "Rows that the network reads.")
    @count_option("--horizon", 1, "Rows that it predicts after each of them.")
    @count_option(
        "--stride", 1, "Rows between the starts of two windows to train on; the other parts have every window."
    )
    @_common_options
    @seed_option("Of the initial weights, the batches' order and what is dropped.")
    @output_options("runs/%s-regressor" % name)
    def train(**options: Any) -> None:
        """Predict a series of your own, of one column or several.

        The rows of --data are split by time: the last ones are the test part, those before them the validation part; no
        window leaves its part, and the scaling is measured on the training part alone. A basic recurrent cell, or the
        --cell, reads a window row by row; a dense layer on each of its outputs gives the next --horizon rows of all
        columns. Adam minimises the mean square error of the scaled values. All of the file is checked before training
        starts.
        """
        trained(options, prepare_regressor)

    return train


class ClassifierTask(EpochTask):
    """Sequences with labels."""

    program = "classifier"

    def __init__(self, name: str, options: dict[str, Any], made: Prepared) -> None:
        self.implementation = name
        _enter(self, options, made)
        self.source = Path(options["data"]).name
        train, facts = self.train.inputs, made.facts
        self.header = [
            "%s: %s rows of up to %d steps of %d values, %d classes"
            % (options["data"], _counts(facts["rows"]), train.shape[1], train.shape[2], len(facts["classes"])),
            *_header_words(options, made.facts),
            _plan(self, options),
            *shape_words(options),
        ]

    def figures(self, backend: Any, trainer: Any, done: int, losses: np.ndarray, rows: np.ndarray) -> dict[str, Any]:
        figures = super().figures(backend, trainer, done, losses, rows)
        if self.validation is not None:
            figures.update(self.validated(backend, trainer))
        return figures


class RegressorTask(Task):
    """A series in windows; reported are mean square errors of the scaled values, at the end also the data's own."""

    program = "regressor"
    plot_name = "prediction.png"

    def __init__(self, name: str, options: dict[str, Any], made: Prepared) -> None:
        self.implementation = name
        _enter(self, options, made)
        self.columns = made.facts["columns"]
        self.scaling = ColumnScaling.from_json(made.facts["scaling"], len(self.columns))
        self.header = [
            "%s: %s windows of %d rows of %s, predicting %d ahead"
            % (
                options["data"],
                _counts(made.facts["rows"]),
                made.facts["window"],
                ", ".join(self.columns[:10]),
                made.facts["horizon"],
            ),
            *_header_words(options, made.facts),
            _plan(self, options),
            *shape_words(options),
        ]

    def start(self) -> dict[str, Any]:
        return {"epochs": [], "forecast": None}

    def figures(self, backend: Any, trainer: Any, done: int, losses: np.ndarray, rows: np.ndarray) -> dict[str, Any]:
        figures = {"epoch": done // self.per_round, "loss": float(losses.mean())}
        for name, part in (("validation_mse", self.validation), ("test_mse", self.test)):
            if part is not None:
                errors = by_rows(trainer.forward, part.inputs).astype(np.float64) - part.targets
                figures[name] = float(np.square(errors).mean())
        return figures

    def record(self, results: dict[str, Any], figures: dict[str, Any]) -> None:
        results["epochs"].append(figures)

    def line(self, figures: dict[str, Any]) -> str | None:
        epochs = self.iterations // self.per_round
        parts = ["epoch %*d/%d" % (len(str(epochs)), figures["epoch"], epochs), "loss %.6f" % figures["loss"]]
        for part in ("validation", "test"):
            if part + "_mse" in figures:
                parts.append("%s MSE %.6f" % (part, figures[part + "_mse"]))
        return "   ".join(parts + ["%.1f s" % figures["seconds"]])

    def finish(self, results: dict[str, Any], trainer: Any) -> list[str]:
        if self.test is None:
            return []
        truth, forecast = (
            self._own_units(values) for values in (self.test.targets, by_rows(trainer.forward, self.test.inputs))
        )
        last = self.scaling.undo(self.test.inputs[:, -1])
        found = {"columns": self.columns, "rmse": _rms(forecast - truth), "rmse_of_the_last_value": _rms(last - truth)}
        shown = slice(0, 2000)
        results["forecast"] = dict(found, truth=truth[shown].tolist(), forecast=forecast[shown].tolist())
        return [
            "test part, column %s   one row ahead: RMSE %.5g   the last value as forecast: RMSE %.5g" % figures
            for figures in zip(self.columns, found["rmse"], found["rmse_of_the_last_value"])
        ]

    def _own_units(self, values: np.ndarray) -> np.ndarray:
        """The first row ahead of each window's last step, [windows, columns]."""
        return self.scaling.undo(values[:, -1, : len(self.columns)])

    def plot(self, results: dict[str, Any]) -> bytes | None:
        if not results["epochs"]:
            return None
        title = "%s after epoch %d: loss %.4g" % (
            self.implementation,
            len(results["epochs"]),
            results["epochs"][-1]["loss"],
        )
        return forecasts(title, results["epochs"], results["forecast"])


def prepare_classifier(name: str, options: dict[str, Any]) -> ClassifierTask:
    """The task for the options of the command line."""
    check_dropout("classifier", options)
    test = None if options["test_data"] is None else Path(options["test_data"])
    given = dict(_common(options), seed=options["seed"], rounded=_is_older(options.get("resume")))
    return ClassifierTask(name, options, classifier_data(Path(options["data"]), test, **given))


def _is_older(resumed: Any) -> bool:
    """Whether the run that is resumed is of those that took all numbers for data, and rounded before they scaled."""
    facts = None if resumed is None else resumed.checkpoint.state.get("data")
    return isinstance(facts, dict) and "header" not in facts


def prepare_regressor(name: str, options: dict[str, Any]) -> RegressorTask:
    """The task for the options of the command line."""
    check_directions(options)
    cut = {key: options[key] for key in ("window", "horizon", "stride")}
    columns = list(options["columns"]) or None
    return RegressorTask(name, options, regressor_data(Path(options["data"]), columns, **cut, **_common(options)))


def _common(options: dict[str, Any]) -> dict[str, Any]:
    names = ("validation_share", "test_share", "scale", "learning_rate", "epochs", "header")
    given = {name: options[name] for name in names}
    if given["header"] is None and _is_older(options.get("resume")):
        given["header"] = False
    return dict(given, network=network_of(options, NETWORK), batch=options["batch_size"])


def _enter(task: Task, options: dict[str, Any], made: Prepared) -> None:
    """What both kinds of task take from the data."""
    program = made.program
    if made.train.inputs.size > 1 << 31:
        raise DataError("%s: gives more than 2**31 values to train on; give fewer" % options["data"])
    task.model, task.optimizer = program.model, program.optimizer
    task.train, task.validation, task.test = made.train, made.validation, made.test
    task.batch, task.seeds, task.iterations = program.batch, [options["seed"]], program.iterations
    task.per_round = program.iterations // options["epochs"]
    task.facts = {
        "hyperparameters": task.hyperparameters(
            epochs=options["epochs"],
            iterations_per_epoch=task.per_round,
            batch_size=task.batch,
            seed=options["seed"],
        ),
        "data": made.facts,
    }


def _header_words(options: dict[str, Any], facts: dict[str, Any]) -> list[str]:
    """What was decided of a first line of numbers, where nothing was asked for."""
    if facts["header"] is None or options["header"] is not None:
        return []
    words = ("data", "--header if they are the columns' names"), ("the columns' names", "--no-header if they are data")
    return ["numbers in the first line: taken for %s; %s" % words[facts["header"]]]


def _counts(rows: dict[str, int]) -> str:
    return "%d training, %d validation and %d test" % (rows["train"], rows["validation"], rows["test"])


def _plan(task: Task, options: dict[str, Any]) -> str:
    figures = (options["units"], options["activation"], task.per_round, task.batch)
    return "%d units, %s; %d iterations of %d rows per epoch" % figures


def _rms(errors: np.ndarray) -> list[float]:
    return [float(error) for error in np.sqrt(np.square(errors).mean(axis=0))]
