"""What people would rather look at, as PNG bytes: classified images, a continued series, a confusion matrix."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np

from torch_impl.using.evaluate import Evaluation, Forecasts
from torch_impl.using.predict import Predictions
from unrolled.command_line.plots import png_of
from unrolled.showing import shown

__all__ = ["evaluation_picture", "predictions_picture"]

_BLUE, _ORANGE, _GREY = "#0072B2", "#D55E00", "#666666"  # Okabe and Ito's, which the colour-blind can tell apart
_MOST_IMAGES, _PER_LINE, _MOST_BARS = 60, 10, 40
_MOST_COLUMNS = 8
_MOST_NUMBERED = 30  # classes beyond which a confusion matrix has no numbers in its cells


def predictions_picture(title: str, predictions: Predictions) -> bytes:
    """Images with their class or word; a series and its continuation; otherwise the probability of each row's class."""
    if predictions.kind == "series":
        return _series(title, predictions)
    if predictions.inputs is not None:
        return _images(title, predictions)
    return _bars(title, predictions)


def evaluation_picture(evaluation: Evaluation) -> bytes:
    """A confusion matrix; or a regressor's forecasts beside what came."""
    if evaluation.forecasts is not None:
        return _forecasts(evaluation.headline(), evaluation.forecasts)
    assert evaluation.confusion is not None and evaluation.classes is not None
    return _confusion(evaluation.headline(), evaluation.confusion, evaluation.classes)


def _confusion(title: str, confusion: np.ndarray, classes: list[str]) -> bytes:
    """Its colours are the shares of the row, its numbers the counts."""
    size = min(16.0, 3.2 + 0.48 * len(classes))
    figure = _figure((size + 1, size))
    axis = figure.subplots()
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    image = axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axis, shrink=0.8, label="share of the true class")
    if len(classes) <= _MOST_NUMBERED:
        for truth, found in np.argwhere(confusion > 0):
            shade = "white" if shares[truth, found] > 0.5 else "black"
            number = str(confusion[truth, found])
            axis.text(found, truth, number, ha="center", va="center", fontsize=8, color=shade)
    ticks: Any = np.arange(len(classes)) if len(classes) <= 2 * _MOST_NUMBERED else []
    rotation = 90 if max(map(len, classes)) > 3 else 0
    axis.set_xticks(ticks, [_short(classes[i]) for i in ticks], rotation=rotation, fontsize=9)
    axis.set_yticks(ticks, [_short(classes[i]) for i in ticks], fontsize=9)
    axis.set_xlabel("predicted")
    axis.set_ylabel("true")
    figure.suptitle(_wrapped(title, 70), x=0.01, ha="left", fontsize=11)
    return png_of(figure)


def _forecasts(title: str, found: Forecasts) -> bytes:
    """For each column what came, and what was said of the same row one step and, if there are more, all steps ahead."""
    count = min(len(found.columns), _MOST_COLUMNS)
    figure = _figure((10, 1.2 + 2.6 * count))
    axes = figure.subplots(count, 1, sharex=True, squeeze=False).ravel()
    rows = np.arange(len(found.truth))
    farthest = found.truth.shape[1] - 1
    for column, (axis, name) in enumerate(zip(axes, found.columns, strict=False)):
        truth = np.concatenate([found.truth[:, 0, column], found.truth[-1, 1:, column]])
        axis.plot(np.arange(len(truth)), truth, color=_BLUE, linewidth=2, label="truth")
        axis.plot(rows, found.forecast[:, 0, column], color=_ORANGE, linewidth=1.2, label=found.label)
        if farthest:
            label = f"forecast, {farthest + 1} steps ahead"
            ahead = found.forecast[:, farthest, column]
            axis.plot(rows + farthest, ahead, color=_GREY, linewidth=1, linestyle="--", label=label)
        axis.set_ylabel(_short(name))
        axis.grid(True, color="#dddddd", linewidth=0.8)
    _legend(axes[0])
    axes[-1].set_xlabel("row, from the first forecast on")
    figure.suptitle(_wrapped(title, 100), x=0.01, ha="left", fontsize=11)
    return png_of(figure)


def _series(title: str, predictions: Predictions) -> bytes:
    forecast, known = predictions.forecast, predictions.known
    assert forecast is not None
    names = predictions.columns[1:] if known is not None else predictions.columns[-forecast.shape[1] :]
    names = names[:_MOST_COLUMNS]
    figure = _figure((9, 1.2 + 2.4 * len(names)))
    axes = figure.subplots(len(names), 1, sharex=True, squeeze=False).ravel()
    start = 0 if known is None else len(known)
    most = max(200, 4 * len(forecast))
    for column, (axis, name) in enumerate(zip(axes, names, strict=True)):
        if known is not None:
            first = max(0, start - most)
            axis.plot(np.arange(first, start), known[first:, column], color=_BLUE, linewidth=1.5, label="given")
            joint = np.concatenate([known[-1:, column], forecast[:, column]])
            axis.plot(np.arange(start - 1, start + len(forecast)), joint, color=_ORANGE, linewidth=2, label="continued")
        else:
            axis.plot(np.arange(1, len(forecast) + 1), forecast[:, column], color=_ORANGE, marker="o", markersize=3)
        axis.set_ylabel(_short(name))
        axis.grid(True, color="#dddddd", linewidth=0.8)
    if known is not None:
        _legend(axes[0])
    figure.suptitle(_wrapped(title, 90), x=0.01, ha="left", fontsize=11)
    axes[-1].set_xlabel("row")
    return png_of(figure)


def _images(title: str, predictions: Predictions) -> bytes:
    assert predictions.inputs is not None
    images, rows = predictions.inputs[:_MOST_IMAGES], predictions.rows[:_MOST_IMAGES]
    lines = -(-len(rows) // _PER_LINE)
    figure = _figure((11, 0.8 + 1.35 * lines))
    axes = figure.subplots(lines, _PER_LINE, squeeze=False).ravel()
    for axis in axes:
        axis.axis("off")
    for axis, image, row in zip(axes, images, rows, strict=False):
        axis.imshow(image, cmap="gray_r", vmin=0, vmax=1)
        sure = f"\n{100 * row[2]:.0f}%" if predictions.kind == "classes" else ""
        axis.set_title(_short(row[1]) + sure, fontsize=9, pad=3, color=_GREY)
    more = f" (the first {len(rows)} of {len(predictions.rows)})" if len(rows) < len(predictions.rows) else ""
    figure.suptitle(_wrapped(title + more, 100), x=0.01, ha="left", fontsize=12)
    return png_of(figure)


def _bars(title: str, predictions: Predictions) -> bytes:
    rows = predictions.rows[:_MOST_BARS]
    figure = _figure((8, 1.3 + 0.26 * len(rows)))
    axis = figure.subplots()
    places = np.arange(len(rows))[::-1]
    axis.barh(places, [row[2] if len(row) > 2 else 1.0 for row in rows], color=_BLUE, height=0.7)
    axis.set_yticks(places, [f"{_short(row[0])}: {_short(row[1])}" for row in rows], fontsize=8)
    axis.set_xlim(0, 1)
    axis.set_ylim(-0.7, len(rows) - 0.3)
    axis.set_xlabel("probability of the class")
    more = f" (the first {len(rows)} of {len(predictions.rows)})" if len(rows) < len(predictions.rows) else ""
    figure.suptitle(_wrapped(title + more, 80), x=0.01, ha="left", fontsize=11)
    return png_of(figure)


def _legend(axis: Any) -> None:
    """Above the axis, where it hides no line."""
    axis.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2, frameon=False, ncol=3, fontsize=9)


def _wrapped(text: str, width: int) -> str:
    return "\n".join(textwrap.wrap(shown(text).replace("$", r"\$"), width))


def _short(text: Any) -> str:
    text = shown(text).replace("$", r"\$")
    return text if len(text) <= 24 else text[:11] + "…" + text[-12:]


def _figure(size: tuple[float, float]) -> Any:
    """Outside pyplot, so no window and no global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    return figure
