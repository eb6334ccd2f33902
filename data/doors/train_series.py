"""`train series`: the chapter's regressor, one output per step, trained on a single sequence."""

from __future__ import annotations

from typing import Any, Callable

import click
import numpy as np
from tqdm import tqdm

from data import series
from data.doors.options import (
    backend_options,
    count_option,
    learning_rate_option,
    open_backend,
    output_option,
    plain_failures,
    seed_option,
)
from data.doors.plots import truth_against_prediction
from data.doors.runs import Run, check_losses, prepare_folder
from data.programs import SERIES

__all__ = ["series_command"]

_REPORT_EVERY = 100  # iterations, as in the chapter
_CHUNK = 20  # iterations between two updates of the progress bar


def series_command(name: str, backend: Callable[[str, int | None], Any]) -> click.Command:
    """The command `train series` of the implementation `name`; see `data.doors.command_line` for backend."""
    model = SERIES.model

    @click.command("series", short_help="Fit a time series, one output per step.")
    @count_option("--iterations", SERIES.iterations, "Optimizer steps.")
    @count_option("--units", model.cell.units, "Recurrent neurons.")
    @learning_rate_option(SERIES.optimizer.learning_rate)
    @click.option(
        "--projection",
        type=click.Choice(["stacked", "wrapped"]),
        default=model.projection,
        show_default=True,
        help="The dense layer over all outputs at once, or inside the loop: the same numbers, another speed.",
    )
    @seed_option("Of the initial weights.")
    @output_option("runs/%s-series" % name)
    @backend_options
    def train(**options: Any) -> None:
        """Fit a time series, one output per step.

        A basic recurrent cell with ReLU reads x at the first 100 of 101 points from 12 to 15; a dense layer on each of
        its outputs gives f(x) = x sin(x) / 3 + 2 sin(5x). Adam minimises the mean square error (MSE), printed every 100
        iterations as each found it before its step. Then the last 100 points are predicted. The folder --output gets
        results.json and prediction.png.
        """
        with plain_failures():
            _train(name, backend, options)

    return train


def _train(name: str, backend: Callable[[str, int | None], Any], options: dict[str, Any]) -> None:
    prepare_folder(options["output"])
    cell = SERIES.model.cell._replace(units=options["units"])
    model = SERIES.model._replace(cell=cell, projection=options["projection"])
    optimizer = SERIES.optimizer._replace(learning_rate=options["learning_rate"])
    adapter = open_backend(backend, options["device"], options["threads"])
    facts: dict[str, Any] = {
        "program": SERIES.name,
        "implementation": name,
        "hyperparameters": {
            "iterations": options["iterations"],
            "projection": model.projection,
            "seed": options["seed"],
            "cell": dict(cell._asdict()),
            "optimizer": dict(optimizer._asdict(), kind="adam"),
        },
        "backend": dict(adapter.describe()),
        "mse": [],  # of each iteration, before its step
        "prediction": None,
    }
    run = Run(options["output"], "prediction.png", lambda results: _plot(name, results), facts)
    click.echo(
        "The series: 1 sequence of %d steps; %d units, %s projection" % (SERIES.steps, cell.units, model.projection)
    )
    click.echo(", ".join("%s %s" % item for item in run.results["backend"].items()))
    inputs, targets = series.training_pair()
    trainer = adapter.trainer(model, adapter.initial_weights(model, options["seed"]), optimizer, inputs, targets)
    with run.recording():
        _fit(trainer, options["iterations"], run.results["mse"])
        run.results["final_mse"] = _mse(trainer.forward(inputs), targets)
        run.results["prediction"] = _predict(trainer)
        click.echo(
            "after %d iterations   MSE %.6f   predicting the last %d points   MSE %.6f"
            % (options["iterations"], run.results["final_mse"], SERIES.steps, run.results["prediction"]["mse"])
        )


def _fit(trainer: Any, iterations: int, curve: list[float]) -> None:
    """Train on the one sequence; each iteration's loss is appended to curve, every hundredth printed."""
    with tqdm(total=iterations, unit="it", disable=None) as bar:
        for first in range(0, iterations, _CHUNK):
            count = min(_CHUNK, iterations - first)
            losses = trainer.run(np.zeros((count, 1), dtype=np.int64))
            check_losses(losses, first)
            curve.extend(float("%.9g" % loss) for loss in losses)
            bar.update(count)
            if len(curve) % _REPORT_EVERY == 0:
                with tqdm.external_write_mode():
                    click.echo("iteration %*d   MSE %.6f" % (len(str(iterations)), len(curve), curve[-1]))


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


def _plot(name: str, results: dict[str, Any]) -> bytes | None:
    prediction = results["prediction"]
    if prediction is None:
        return None
    title = "%s after %d iterations: MSE %.4g" % (name, len(results["mse"]), prediction["mse"])
    x, truth, predicted = (np.array(prediction[key]) for key in ("x", "truth", "predicted"))
    return truth_against_prediction(title, x, truth, predicted)
