"""`train series`: the chapter's regressor, one output per step, trained on a single sequence."""

from __future__ import annotations

from typing import Any

import click
import numpy as np

from unrolled.command_line.loop import Train
from unrolled.command_line.network_options import check_directions, network_options, shape_words, with_network
from unrolled.command_line.options import count_option, learning_rate_option, output_options, seed_option
from unrolled.command_line.plots import truth_against_prediction
from unrolled.command_line.tasks import Task
from unrolled.datasets import series
from unrolled.datasets.parts import Part
from unrolled.programs import SERIES

__all__ = ["series_command"]

_REPORT_EVERY = 100  # iterations, as in the chapter


def series_command(name: str, trained: Train) -> click.Command:
    """The command `train series` of the implementation `name`; see `unrolled.command_line` for the arguments."""
    model = SERIES.model

    @click.command("series", short_help="Fit a time series, one output per step.")
    @count_option("--iterations", SERIES.iterations, "Optimizer steps.")
    @network_options(model.network, "Recurrent neurons.")
    @learning_rate_option(SERIES.optimizer.learning_rate)
    @click.option(
        "--projection",
        type=click.Choice(["stacked", "wrapped"]),
        default=model.projection,
        show_default=True,
        help="The dense layer over all outputs at once, or inside the loop: the same numbers, another speed.",
    )
    @seed_option("Of the initial weights, and of what is dropped.")
    @output_options("runs/%s-series" % name)
    def train(**options: Any) -> None:
        """Fit a time series, one output per step.

        A basic recurrent cell with ReLU, or the --cell, reads x at the first 100 of 101 points from 12 to 15; a dense
        layer on each of its outputs gives f(x) = x sin(x) / 3 + 2 sin(5x). Adam minimises the mean square error (MSE),
        printed every 100 iterations as each found it before its step. Then the last 100 points are predicted. The
        folder --output gets results.json and prediction.png.
        """
        trained(options, prepare)

    return train


class SeriesTask(Task):
    """One sequence, again and again; every iteration's loss is kept, and a line printed every hundredth."""

    program = SERIES.name
    plot_name = "prediction.png"
    chunk = 20
    saves_rounds = False

    def __init__(self, name: str, options: dict[str, Any]) -> None:
        self.implementation = name
        check_directions(options)
        self.model = with_network(SERIES.model, options, projection=options["projection"])
        self.optimizer = SERIES.optimizer._replace(learning_rate=options["learning_rate"])
        self.train = Part(*series.training_pair())
        self.batch, self.seeds = SERIES.batch, [options["seed"]]
        self.iterations, self.per_round = options["iterations"], _REPORT_EVERY
        self.facts = {
            "hyperparameters": self.hyperparameters(
                iterations=options["iterations"],
                projection=self.model.projection,
                seed=options["seed"],
            ),
        }
        self.header = [
            "The series: 1 sequence of %d steps; %d units, %s projection"
            % (SERIES.steps, options["units"], self.model.projection),
            *shape_words(options),
        ]

    def start(self) -> dict[str, Any]:
        return {"mse": [], "prediction": None}  # mse: of each iteration, before its step

    def seen(self, results: dict[str, Any], losses: np.ndarray) -> None:
        results["mse"].extend(float("%.9g" % loss) for loss in losses)

    def figures(self, backend: Any, trainer: Any, done: int, losses: np.ndarray, rows: np.ndarray) -> dict[str, Any]:
        return {"iteration": done, "mse": float("%.9g" % losses[-1])}

    def record(self, results: dict[str, Any], figures: dict[str, Any]) -> None:
        """Nothing: `seen` has entered every loss."""

    def line(self, figures: dict[str, Any]) -> str | None:
        if figures["iteration"] % _REPORT_EVERY:
            return None
        return "iteration %*d   MSE %.6f" % (len(str(self.iterations)), figures["iteration"], figures["mse"])

    def finish(self, results: dict[str, Any], trainer: Any) -> list[str]:
        results["final_mse"] = _mse(trainer.forward(self.train.inputs), self.train.targets)
        results["prediction"] = _predict(trainer)
        return [
            "after %d iterations   MSE %.6f   predicting the last %d points   MSE %.6f"
            % (len(results["mse"]), results["final_mse"], SERIES.steps, results["prediction"]["mse"]),
            *_came_apart(results, float(self.train.targets.var())),
        ]

    def plot(self, results: dict[str, Any]) -> bytes | None:
        return _plot(self.implementation, results)


def prepare(name: str, options: dict[str, Any]) -> SeriesTask:
    """The task for the options of the command line."""
    return SeriesTask(name, options)


def _predict(trainer: Any) -> dict[str, Any]:
    """The last 100 points, shifted by one against those trained on; plain values for results.json."""
    inputs, targets = series.prediction_pair()
    predictions = trainer.forward(inputs)
    return {
        "x": inputs.ravel().tolist(),
        "truth": targets.ravel().tolist(),
        "predicted": np.asarray(predictions).ravel().tolist(),
        "mse": _mse(predictions, targets),
    }


def _mse(predictions: np.ndarray, targets: np.ndarray) -> float:
    return float(np.mean(np.square(predictions.astype(np.float64) - targets.astype(np.float64))))


def _came_apart(results: dict[str, Any], variance: float) -> list[str]:
    """A sentence where a fit was found and lost: without bounds on ReLU's outputs one step can undo thousands."""
    least = int(np.argmin(results["mse"]))
    if results["mse"][least] > 0.01 * variance or results["final_mse"] < 0.1 * variance:
        return []
    return [
        "Its least MSE was %.6f, at iteration %d; then training came apart, as a ReLU cell's may. "
        "Try --clip-norm 1 or another --seed." % (results["mse"][least], least + 1)
    ]


def _plot(name: str, results: dict[str, Any]) -> bytes | None:
    prediction = results["prediction"]
    if prediction is None:
        return None
    title = "%s after %d iterations: MSE %.4g" % (name, len(results["mse"]), prediction["mse"])
    x, truth, predicted = (np.array(prediction[key]) for key in ("x", "truth", "predicted"))
    return truth_against_prediction(title, x, truth, predicted)
