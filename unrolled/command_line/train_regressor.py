"""`train regressor`: a series of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np

from unrolled.command_line.epochs import by_rows
from unrolled.command_line.loop import Train
from unrolled.command_line.network_options import check_directions, shape_words
from unrolled.command_line.options import count_option, output_options, seed_option
from unrolled.command_line.plots import forecasts
from unrolled.command_line.tasks import Task
from unrolled.command_line.train_own import common, common_options, counts, enter, header_words, plan
from unrolled.datasets.parts import Part
from unrolled.networks import MOST
from unrolled.own_data.compared import Comparison
from unrolled.own_data.reading import READINGS
from unrolled.own_data.series import PreparedSeries, regressor_data

__all__ = ["regressor_command"]


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
        "--time",
        metavar="NAME",
        help="The column that says when a row was: dates, ISO timestamps or numbers, each after the one before. Read "
        "only to check that, and to tell of gaps.",
    )
    @click.option(
        "--reading",
        type=click.Choice(["auto", *READINGS]),
        default="auto",
        show_default=True,
        help="level: the values as they are. relative: less the window's first row. difference: less the row before. "
        "The latter two predict changes from the last row on. auto: difference where the last value forecasts the "
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
    @common_options
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


class RegressorTask(Task):
    """A series in windows; reported are mean square errors of the scaled values, at the end also the data's own."""

    program = "regressor"
    plot_name = "prediction.png"
    keeps_best = True

    def __init__(self, name: str, options: dict[str, Any], series: PreparedSeries) -> None:
        self.implementation, self.series, facts = name, series, series.made.facts
        enter(self, options, series.made)
        self.arrays = {"data/marks": series.marks}
        self.columns = facts["targets"]
        reading = facts["scaling"]["reading"]
        chosen = " (chosen on the validation part)" if options["reading"] == "auto" else ""
        season = "no season found" if facts["season"] is None else "a season of %d rows" % facts["season"]
        read = [name for name in facts["columns"] if name not in self.columns]
        self.header = [
            "%s: %s windows of %d rows of %s, predicting %d ahead%s"
            % (
                options["data"],
                counts(facts["rows"]),
                facts["window"],
                ", ".join(self.columns[:10]),
                facts["horizon"],
                "; beside them %s" % ", ".join(read[:10]) if read else "",
            ),
            *header_words(options, facts),
            *series.notes,
            "read as %s%s%s; %s" % ("logarithms, " if options["log"] else "", reading, chosen, season),
            plan(self, options),
            *shape_words(options),
        ]

    def start(self) -> dict[str, Any]:
        return {"epochs": [], "forecast": None}

    def figures(self, backend: Any, trainer: Any, done: int, losses: np.ndarray, rows: np.ndarray) -> dict[str, Any]:
        figures = {"epoch": done // self.per_round, "loss": float(losses.mean())}
        if self.validation is not None:
            figures.update(self.validated(backend, trainer))
        if self.test is not None:
            figures["test_mse"] = _mse(trainer, self.test)
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
        best = results.get("best_round")
        lines = [] if best is None else ["best by the validation part, and used from here on: epoch %d" % best]
        if self.test is None:
            return lines
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
        lines += [
            "test part, column %s   one row ahead: RMSE %.5g   the last value as forecast: RMSE %.5g" % figure
            for figure in figures
        ]
        return [*lines, compared.verdict(rmse)]

    def plot(self, results: dict[str, Any]) -> bytes | None:
        if not results["epochs"]:
            return None
        shown = results.get("best_round") or len(results["epochs"])
        title = "%s after epoch %d: loss %.4g" % (self.implementation, shown, results["epochs"][shown - 1]["loss"])
        return forecasts(title, results["epochs"], results["forecast"])


def prepare_regressor(name: str, options: dict[str, Any]) -> RegressorTask:
    """The task for the options of the command line."""
    check_directions(options)
    cut = {key: options[key] for key in ("window", "horizon", "stride", "reading", "log", "season", "time")}
    if options["reading"] == "auto" and options.get("resume") is not None:  # decided when the run began
        kept = options["resume"].checkpoint.state.get("data")
        kept = kept.get("scaling") if isinstance(kept, dict) else None
        if isinstance(kept, dict) and kept.get("reading") in READINGS:
            cut["reading"] = kept["reading"]
    columns = list(options["columns"]) or None
    cut["covariates"] = list(options["covariates"])
    return RegressorTask(name, options, regressor_data(Path(options["data"]), columns, **cut, **common(options)))


def _mse(trainer: Any, part: Part) -> float:
    """Of the forecasts from the last step of each window, scaled."""
    errors = by_rows(trainer.forward, part.inputs)[:, -1].astype(np.float64) - part.targets[:, -1]
    return float(np.square(errors).mean())
