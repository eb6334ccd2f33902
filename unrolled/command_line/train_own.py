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
from unrolled.datasets.parts import Part
from unrolled.errors import DataError
from unrolled.networks import MOST
from unrolled.own_data.compared import Comparison
from unrolled.own_data.prepare import BATCH, EPOCHS, NETWORK, Prepared, classifier_data
from unrolled.own_data.reading import READINGS
from unrolled.own_data.series import PreparedSeries, regressor_data

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
        "--target",
        "--column",
        "columns",
        multiple=True,
        metavar="NAME",
        help="A column to read and to predict; may be given several times.  [default: the file's only one]",
    )
    @click.option(
        "--covariate", "covariates", multiple=True, metavar="NAME", help="A column to read alone: its past values."
    )
    @click.option(
        "--reading",
        type=click.Choice(["auto", *READINGS]),
        default="auto",
        show_default=True,
        help="level: the values as they are. relative: less the window's first row. difference: less the row before. "
        "The latter two predict changes from the last row on. auto: relative where the last value forecasts the "
        "validation part better than the mean does, else level.",
    )
    @click.option("--log", is_flag=True, help="Take the logarithm first; predictions are in the data's own units.")
    @click.option(
        "--season",
        type=click.IntRange(2, MOST),
        help="Rows of a season, for the seasonal naive forecast to compare with.  [default: looked for]",
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

        The rows of --data are split by time: the last ones are the test part, those before them the validation part.
        Windows to validate and test on may begin in earlier rows, but what they predict is in their own part; the
        scaling is measured on the training part alone. A basic recurrent cell, or the --cell, reads a window row by
        row; a dense layer on each of its outputs gives the next --horizon rows of the targets. Adam minimises the mean
        square error of the scaled values. All of the file is checked before training starts. At the end the forecasts
        of the test part stand beside the last value's, the seasonal naive's, the mean's and a ridge regression's.
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

    def __init__(self, name: str, options: dict[str, Any], series: PreparedSeries) -> None:
        self.implementation, self.series, facts = name, series, series.made.facts
        _enter(self, options, series.made)
        self.columns = facts["targets"]
        reading = facts["scaling"]["reading"]
        chosen = " (chosen on the validation part)" if options["reading"] == "auto" else ""
        season = "no season found" if facts["season"] is None else "a season of %d rows" % facts["season"]
        read = [name for name in facts["columns"] if name not in self.columns]
        self.header = [
            "%s: %s windows of %d rows of %s, predicting %d ahead%s"
            % (
                options["data"],
                _counts(facts["rows"]),
                facts["window"],
                ", ".join(self.columns[:10]),
                facts["horizon"],
                "; beside them %s" % ", ".join(read[:10]) if read else "",
            ),
            *_header_words(options, facts),
            "read as %s%s%s; %s" % ("logarithms, " if options["log"] else "", reading, chosen, season),
            _plan(self, options),
            *shape_words(options),
        ]

    def start(self) -> dict[str, Any]:
        return {"epochs": [], "forecast": None}

    def figures(self, backend: Any, trainer: Any, done: int, losses: np.ndarray, rows: np.ndarray) -> dict[str, Any]:
        figures = {"epoch": done // self.per_round, "loss": float(losses.mean())}
        for name, part in (("validation_mse", self.validation), ("test_mse", self.test)):
            if part is not None:
                figures[name] = _mse(trainer, part)
        return figures

    def validated(self, backend: Any, trainer: Any) -> dict[str, float]:
        assert self.validation is not None
        return {"validation_mse": _mse(trainer, self.validation)}

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
        facts, values = self.series.made.facts, self.series.values
        first, last = facts["split"]["test"]
        compared = Comparison.of(facts, values, np.arange(first, last - facts["horizon"] + 1), values)
        read = values[compared.origins - 1, : len(self.columns)]
        predicted = self.series.scaling.undo(by_rows(trainer.forward, self.test.inputs)[:, -1], read)
        forecast = predicted.reshape(compared.truth.shape)
        rmse = compared.with_model(forecast)
        shown = slice(0, 2000)
        results["forecast"] = {
            "columns": self.columns,
            "rmse": compared.by_column(forecast),
            "rmse_of_the_last_value": compared.by_column(compared.forecasts["last value"]),
            "scaled_rmse": rmse,
            "truth": compared.truth[shown, 0].tolist(),
            "forecast": forecast[shown, 0].tolist(),
        }
        figures = zip(self.columns, *(results["forecast"][key] for key in ("rmse", "rmse_of_the_last_value")))
        lines = [
            "test part, column %s   one row ahead: RMSE %.5g   the last value as forecast: RMSE %.5g" % figure
            for figure in figures
        ]
        return [*lines, compared.verdict(rmse)]

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
    cut = {key: options[key] for key in ("window", "horizon", "stride", "reading", "log", "season")}
    columns = list(options["columns"]) or None
    cut["covariates"] = list(options["covariates"])
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


def _mse(trainer: Any, part: Part) -> float:
    """Of the forecasts from the last step of each window, scaled."""
    errors = by_rows(trainer.forward, part.inputs)[:, -1].astype(np.float64) - part.targets[:, -1]
    return float(np.square(errors).mean())
