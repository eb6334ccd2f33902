"""Training by epochs, as several commands do it: batches, progress, one line and one entry of results per epoch."""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any, Callable

import click
import numpy as np
from tqdm import tqdm

from data.doors.plots import learning_curve
from data.doors.runs import Run, check_losses, write_atomically

__all__ = [
    "WEIGHTS_FILE",
    "curve_plot",
    "epoch_line",
    "forward",
    "record_and_print",
    "save_weights",
    "train_epochs",
]

WEIGHTS_FILE = "weights.npz"
_CHUNK = 10  # iterations between two updates of the progress bar: some 50 ms
_ROWS_AT_ONCE = 10_000  # rows per forward pass: MNIST's test set in one piece, a larger set in bounded memory

# From the last batch's row numbers to (accuracy on that batch, accuracy on the test set).
Measure = Callable[[np.ndarray], "tuple[float, float]"]


def train_epochs(
    trainer: Any,
    take: Callable[[int], np.ndarray],
    epochs: int,
    iterations: int,
    measure: Measure,
    bar: tqdm,
    done: Callable[[dict[str, Any]], None],
) -> None:
    """Train `epochs` epochs of `iterations` batches, take(iterations) giving an epoch's; done gets its figures.

    Raises NotFiniteError where the loss stops being finite.
    """
    for epoch in range(1, epochs + 1):
        start = time.perf_counter()
        batches = take(iterations)
        losses = np.empty(iterations)
        for first in range(0, iterations, _CHUNK):
            part = slice(first, min(first + _CHUNK, iterations))
            losses[part] = trainer.run(batches[part])
            check_losses(losses[part], (epoch - 1) * iterations + first)
            bar.update(part.stop - part.start)
        trained = time.perf_counter()
        train_accuracy, test_accuracy = measure(batches[-1])
        figures = {
            "epoch": epoch,
            "train_accuracy": train_accuracy,
            "test_accuracy": test_accuracy,
            "loss": float(losses.mean()),
            "training_seconds": round(trained - start, 3),
            "seconds": round(time.perf_counter() - start, 3),
        }
        done(figures)


def record_and_print(run: Run, epochs: int) -> Callable[[dict[str, Any]], None]:
    """What a command with one training does with each epoch's figures: results.json and a line."""

    def done(figures: dict[str, Any]) -> None:
        run.results["epochs"].append(figures)
        run.save()
        with tqdm.external_write_mode():
            click.echo(epoch_line(figures, epochs))

    return done


def epoch_line(figures: dict[str, Any], epochs: int) -> str:
    return "epoch %*d/%d   train accuracy %.4f   test accuracy %.4f   loss %.4f   %.1f s" % (
        len(str(epochs)),
        figures["epoch"],
        epochs,
        figures["train_accuracy"],
        figures["test_accuracy"],
        figures["loss"],
        figures["seconds"],
    )


def forward(trainer: Any, inputs: np.ndarray, lengths: np.ndarray | None = None) -> np.ndarray:
    """The trainer's logits of any number of rows, in bounded memory."""
    parts = []
    for first in range(0, len(inputs), _ROWS_AT_ONCE):
        part = slice(first, first + _ROWS_AT_ONCE)
        parts.append(trainer.forward(inputs[part], None if lengths is None else lengths[part]))
    return np.concatenate(parts)


def curve_plot(name: str, source: str, rows: str, epochs: list[dict[str, Any]]) -> bytes | None:
    """The learning curve as PNG; None before the first epoch. rows: what the test set holds, in the plural."""
    if not epochs:
        return None
    reached = (name, Path(source).name, 100 * epochs[-1]["test_accuracy"], rows, len(epochs))
    return learning_curve("%s, %s: %.2f%% of the test %s right after epoch %d" % reached, epochs)


def save_weights(folder: Path, weights: dict[str, np.ndarray]) -> None:
    """Weights in canonical form as folder/weights.npz, an array by each name; replaced as a whole."""
    stream = io.BytesIO()
    np.savez(stream, **weights)  # type: ignore[arg-type]  # NumPy's stub takes the arrays for its own flag
    write_atomically(folder / WEIGHTS_FILE, stream.getvalue())
