"""How good a run is on data that it was not trained on, and how sure that is."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tabulate import tabulate

from torch_impl.models import Classifier, Regressor
from torch_impl.runs import Run
from torch_impl.using.inputs import check_usable, class_names, labelled_rows, words
from torch_impl.using.series import cut, judged_series, series_facts
from unrolled.command_line.scores import balanced_accuracy, confusion_matrix, macro_f1
from unrolled.datasets import series
from unrolled.datasets.spelling import names_of
from unrolled.errors import DataError
from unrolled.own_data.compared import Comparison
from unrolled.showing import shown

__all__ = ["Evaluation", "Forecasts", "evaluate", "wilson_interval"]

_Z95 = 1.959963984540054  # the standard normal distribution's 97.5th percentile
_MOST_CLASSES = 5000
_AT_ONCE = 1000  # windows per forward pass


class Forecasts(NamedTuple):
    """What a regressor said of each window beside what came, in the data's own units.

    columns: their names. truth, forecast: float64 [windows, steps ahead, columns]. label: what the nearest one is.
    """

    columns: list[str]
    truth: np.ndarray
    forecast: np.ndarray
    label: str = "forecast, 1 step ahead"


class Evaluation(NamedTuple):
    """source: on what. figures: plain values by name. confusion: int64 [classes, classes], rows the truth, and classes
    their names, for a classifier or speller; forecasts for a regressor."""

    source: str
    figures: dict[str, Any]
    confusion: np.ndarray | None = None
    classes: list[str] | None = None
    forecasts: Forecasts | None = None

    def text(self, form: str = "table") -> str:
        """As "table" or "json", ending in a line break."""
        if form == "json":
            found = {"source": self.source, **self.figures}
            if self.confusion is not None:
                found["confusion"] = {"classes": self.classes, "rows_by_truth": self.confusion.tolist()}
            return json.dumps(found, indent=1, ensure_ascii=False) + "\n"
        if self.confusion is not None:
            return f"{self.headline()}\n{_table(self.figures['by_class'], '.4f')}"
        verdict = [self.figures["verdict"]] if "verdict" in self.figures else []
        return "\n".join([self.headline(), *verdict, _table(self.figures["forecasts"], ".4g")])

    def headline(self) -> str:
        """The one line that says it."""
        figures = self.figures
        if self.confusion is not None:
            low, high = figures["interval_95"]
            return (
                f"{shown(self.source)}: {figures['right']} of {figures['rows']} right, "
                f"accuracy {figures['accuracy']:.4f}, 95% interval {low:.4f} to {high:.4f}; "
                f"balanced {figures['balanced_accuracy']:.4f}, macro-F1 {figures['macro_f1']:.4f}"
            )
        units = "" if figures["in_own_units"] else " of the scaled values"
        return (
            f"{shown(self.source)}: {figures['rows']} rows, MSE {figures['mean_square_error']:.6g}, "
            f"MAE {figures['mean_absolute_error']:.6g}{units}"
        )


def wilson_interval(right: int, rows: int) -> tuple[float, float]:
    """The 95% confidence interval of a share, right out of rows.

    E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927), 209-212: it
    stays within 0 and 1, and is right also for shares near them and for few rows.
    """
    share, z2 = right / rows, _Z95**2
    middle = (share + z2 / (2 * rows)) / (1 + z2 / rows)
    half = _Z95 / (1 + z2 / rows) * math.sqrt(share * (1 - share) / rows + z2 / (4 * rows**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def evaluate(run: Run, path: Path | None = None) -> Evaluation:
    """On the labelled file or folder `path`, or on the test part of the data that the run was trained on.

    Raises DataError, one sentence, where there is none, or the data do not fit the run.
    """
    check_usable(run)
    if isinstance(run.model, Regressor):
        return _forecasts(run, path) if run.data.get("kind") == "table" else _chapter_series(run, path)
    rows = labelled_rows(run, path)
    assert rows.labels is not None
    found = run.predict(rows.inputs, rows.lengths)
    if isinstance(run.model, Classifier):
        classes = class_names(run)
    else:
        found, classes = _spelled(found, rows.labels)
    if rows.labels.max() >= len(classes):
        raise DataError("%s: has labels up to %d, the run %d classes" % (rows.source, rows.labels.max(), len(classes)))
    if len(classes) > _MOST_CLASSES:
        raise DataError("%s: %d classes are too many for a confusion matrix" % (rows.source, len(classes)))
    confusion = confusion_matrix(rows.labels, found, len(classes))
    right = int(np.trace(confusion))
    figures = {
        "rows": len(rows.labels),
        "right": right,
        "accuracy": right / len(rows.labels),
        "interval_95": list(wilson_interval(right, len(rows.labels))),
        "balanced_accuracy": balanced_accuracy(confusion),
        "macro_f1": macro_f1(confusion),
        "by_class": _by_class(confusion, classes),
    }
    return Evaluation(rows.source, figures, confusion, classes)


def _spelled(tokens: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """A speller's words as classes: the ten names, and all else in one."""
    try:
        names = words(names_of(np.arange(10)))
        names_of(labels)
    except ValueError as error:
        raise DataError("the images cannot be spelled: %s; use a data set of digits" % error) from None
    numbers = {name: number for number, name in enumerate(names)}
    found = np.array([numbers.get(word, len(names)) for word in words(tokens)])
    return found, [*names, "(no name)"] if (found == len(names)).any() else names


def _by_class(confusion: np.ndarray, classes: list[str]) -> list[dict[str, Any]]:
    """Recall and precision of each class; None where there is nothing to divide by."""
    right, truth, found = np.diag(confusion).tolist(), confusion.sum(1).tolist(), confusion.sum(0).tolist()
    return [
        {
            "class": name,
            "rows": truth[label],
            "recall": right[label] / truth[label] if truth[label] else None,
            "precision": right[label] / found[label] if found[label] else None,
        }
        for label, name in enumerate(classes)
        if truth[label] or found[label]
    ]


def _forecasts(run: Run, path: Path | None) -> Evaluation:
    """Errors of the forecasts from each window's last step, by column and steps ahead, in the data's own units, beside
    those of the forecasts that a model has to beat."""
    facts, judged = series_facts(run), judged_series(run, path)
    found = cut(run, judged)
    compared = Comparison.of(facts, judged.values, found.starts + facts["window"], judged.trained)
    predicted = run.predict(found.inputs, rows=_AT_ONCE)[:, -1].astype(np.float64)
    forecasts = Forecasts(facts["targets"], compared.truth, predicted.reshape(compared.truth.shape))
    figures = _errors(run, forecasts, compared.forecasts)
    rmse = compared.with_model(forecasts.forecast)
    figures.update(rmse_over_all=rmse, verdict=compared.verdict(rmse))
    return Evaluation(judged.source, figures, forecasts=forecasts)


def _chapter_series(run: Run, path: Path | None) -> Evaluation:
    """The chapter's own series, a value at each point: the one training sequence, shifted by one."""
    if path is not None or run.program != "series":
        raise DataError(
            "%s: only a regressor of the chapter's series, or one trained on a table, can be evaluated; "
            "its outputs for a file come from predict" % run.folder
        )
    inputs, truth = series.prediction_pair()
    if (run.model.inputs, run.model.dense.out_features) != (1, 1):
        raise DataError("%s: does not take the chapter's series, one value in and one out" % run.folder)
    predicted = run.predict(inputs)[0].astype(np.float64)
    forecasts = Forecasts(["f(x)"], truth[0].astype(np.float64)[:, None], predicted[:, None], "output")
    return Evaluation("the series, shifted by one point", _errors(run, forecasts, None), forecasts=forecasts)


def _errors(run: Run, found: Forecasts, others: dict[str, np.ndarray] | None) -> dict[str, Any]:
    """Over all columns and steps, scaled where the columns have units of their own, and for each of them.

    others: forecasts to compare with by name, shaped like the run's own.
    """
    errors = found.forecast - found.truth
    if not np.isfinite(errors).all():
        raise DataError("%s: its predictions are not finite; use another checkpoint" % run.folder)
    rows = []
    for column, name in enumerate(found.columns):
        for step in range(errors.shape[1]):
            error = errors[:, step, column]
            row = {"column": name, "steps_ahead": step + 1, "MAE": float(np.abs(error).mean()), "RMSE": _rms(error)}
            for other, forecast in (others or {}).items():
                key = "RMSE_of_the_%s" % other.replace(" ", "_")
                row[key] = _rms(forecast[:, step, column] - found.truth[:, step, column])
            if others is None:
                del row["steps_ahead"]
            rows.append(row)
    scaled = len(found.columns) > 1 and run.scaling is not None
    overall = errors / run.scaling.scale[: len(found.columns)] if scaled and run.scaling is not None else errors
    return {
        "rows": len(errors),
        "mean_square_error": float(np.square(overall).mean()),
        "mean_absolute_error": float(np.abs(overall).mean()),
        "in_own_units": not scaled,
        "forecasts": rows,
    }


def _rms(error: np.ndarray) -> float:
    return float(np.sqrt(np.square(error).mean()))


def _table(rows: list[dict[str, Any]], form: str) -> str:
    columns = [name.replace("_", " ") for name in rows[0]]
    cells = [[shown(cell) if isinstance(cell, str) else cell for cell in row.values()] for row in rows]
    return tabulate(cells, columns, floatfmt=form, missingval="-") + "\n"
