"""What several commands report of training by epochs: a line and a curve, accuracies of large sets, the weights."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Callable

import numpy as np

from unrolled.command_line.plots import learning_curve
from unrolled.writing import write_atomically

__all__ = ["WEIGHTS_FILE", "by_rows", "curve_plot", "epoch_line", "save_weights"]

WEIGHTS_FILE = "weights.npz"
_ROWS_AT_ONCE = 10_000  # rows per forward pass: MNIST's test set in one piece, a larger set in bounded memory


def epoch_line(figures: dict[str, Any], epochs: int) -> str:
    """A line with an epoch's figures; the accuracies of the training, the validation and the test set, as there are."""
    parts = ["epoch %*d/%d" % (len(str(epochs)), figures["epoch"], epochs)]
    for part in ("train", "validation", "test"):
        if part + "_accuracy" in figures:
            parts.append("%s accuracy %.4f" % (part, figures[part + "_accuracy"]))
    parts.append("loss %.4f" % figures["loss"])
    if "validation_loss" in figures:
        parts.append("validation loss %.4f" % figures["validation_loss"])
    return "   ".join(parts + ["%.1f s" % figures["seconds"]])


def by_rows(function: Callable[..., np.ndarray], inputs: np.ndarray, lengths: np.ndarray | None = None) -> np.ndarray:
    """function(inputs, lengths), such as a trainer's forward, of any number of rows, in bounded memory."""
    parts = []
    for first in range(0, len(inputs), _ROWS_AT_ONCE):
        part = slice(first, first + _ROWS_AT_ONCE)
        parts.append(function(inputs[part], None if lengths is None else lengths[part]))
    return np.concatenate(parts)


def curve_plot(name: str, source: str, rows: str, epochs: list[dict[str, Any]]) -> bytes | None:
    """The learning curve as PNG; None before the first epoch. rows: what the test set holds, in the plural."""
    if not epochs:
        return None
    key, part = ("test_accuracy", "test") if "test_accuracy" in epochs[-1] else ("train_accuracy", "last batch's")
    reached = (name, Path(source).name, 100 * epochs[-1][key], part, rows, len(epochs))
    return learning_curve("%s, %s: %.2f%% of the %s %s right after epoch %d" % reached, epochs)


def save_weights(folder: Path, weights: dict[str, np.ndarray]) -> None:
    """Weights in canonical form as folder/weights.npz, an array by each name; replaced as a whole."""
    stream = io.BytesIO()
    np.savez(stream, **weights)  # type: ignore[arg-type]  # NumPy's stub takes the arrays for its own flag
    write_atomically(folder / WEIGHTS_FILE, stream.getvalue())
