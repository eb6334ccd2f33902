"""Predictions for a file: classes with their probabilities, words, or how a series goes on."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tabulate import tabulate

from torch_impl.models import Classifier, Regressor
from torch_impl.runs import Run
from torch_impl.using.inputs import Rows, check_usable, class_names, read_rows, read_series, words
from torch_impl.using.series import series_facts
from unrolled.errors import DataError
from unrolled.showing import shown

__all__ = ["Predictions", "predict_file"]

_MOST_STEPS = 1_000_000
_MOST_CELLS = 1 << 23  # of a table, which is held as a whole
_SHOWN_CLASSES = 12  # a table of more columns is not read by anyone; CSV and JSON have them all


class Predictions(NamedTuple):
    """columns: names. rows: plain values, a list for each row of the table.

    A classifier gives the row's name, its class, that class's probability, and the probabilities of all classes; a
    speller the row's name and the word; a regressor the step and the values, in the units of the user's own data.
    known, forecast: for a regressor, the series given and its continuation, float64 [rows, columns]. inputs: for images
    that were classified or spelled, the images. kind: "classes", "words" or "series".
    """

    kind: str
    columns: list[str]
    rows: list[list[Any]]
    known: np.ndarray | None = None
    forecast: np.ndarray | None = None
    inputs: np.ndarray | None = None

    def text(self, form: str = "table") -> str:
        """As "table", "csv" or "json" (a list of objects), ending in a line break.

        What UTF-8 cannot hold of a file's name becomes a question mark.
        """
        return self._text(form).encode("utf-8", "replace").decode("utf-8")

    def _text(self, form: str) -> str:
        if form == "json":
            objects = [dict(zip(self.columns, row, strict=True)) for row in self.rows]
            return json.dumps(objects, indent=1, ensure_ascii=False) + "\n"
        if form == "csv":
            stream = io.StringIO()
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(self.columns)
            writer.writerows(self.rows)
            return stream.getvalue()
        most = 3 + _SHOWN_CLASSES if self.kind == "classes" else len(self.columns)
        short = [[_shown(cell) for cell in (row if len(row) <= most else row[:3])] for row in self.rows]
        columns = list(map(shown, self.columns if len(self.columns) <= most else self.columns[:3]))
        return tabulate(short, columns, floatfmt=".4g", disable_numparse=[0, 1]) + "\n"


def predict_file(run: Run, path: str | os.PathLike[str], steps: int | None = None, invert: bool = False) -> Predictions:
    """What the run predicts for a file, or a folder of files, of the user's own.

    A classifier and a speller take images (PNG, JPEG, BMP; IDX), .npz, .npy or .csv: see unrolled.own_data.sequences. A
    regressor takes a series, .csv, .parquet, .npy or .npz, and continues it for `steps` rows (None: its horizon), fed
    with its own predictions where they are more than its horizon; one whose outputs are no continuation of its inputs,
    as the chapter's, gives its outputs at the steps given. invert: images' black for white, where MNIST's strokes are
    white. Raises DataError, one sentence, for a file that cannot be used.
    """
    path = Path(path)
    check_usable(run)
    if isinstance(run.model, Regressor):
        if invert:
            raise DataError("--invert is for images; this run holds a regressor")
        return _series(run, path, steps)
    if steps is not None:
        raise DataError("--steps continues a series; this run holds a %s" % type(run.model).__name__.lower())
    rows = read_rows(run, path, invert=invert)
    pictures = rows.inputs if rows.images else None
    if isinstance(run.model, Classifier):
        return _classes(run, rows)._replace(inputs=pictures)
    spelled = words(run.predict(rows.inputs, rows.lengths))
    pairs = [[name, word] for name, word in zip(rows.names, spelled, strict=True)]
    return Predictions("words", ["row", "word"], pairs, inputs=pictures)


def _classes(run: Run, rows: Rows) -> Predictions:
    names = class_names(run)
    if len(rows.inputs) * len(names) > _MOST_CELLS:
        raise DataError(
            "%d rows of %d classes are more than %d probabilities; give fewer rows at a time"
            % (len(rows.inputs), len(names), _MOST_CELLS)
        )
    probabilities = run.probabilities(rows.inputs, rows.lengths)
    if not np.isfinite(probabilities).all():
        raise DataError("%s: its predictions are not finite; use another checkpoint" % run.folder)
    table = [
        [name, names[int(row.argmax())], _plain(row.max()), *map(_plain, row)]
        for name, row in zip(rows.names, probabilities, strict=True)
    ]
    return Predictions("classes", ["row", "class", "probability", *(f"p({name})" for name in names)], table)


def _series(run: Run, path: Path, steps: int | None) -> Predictions:
    columns, known = read_series(run, path)
    if run.data.get("kind") != "table":
        return _outputs(run, columns, known, steps)
    forecast = continued(run, known, steps)
    rows = [[step + 1, *map(_plain, row)] for step, row in enumerate(forecast)]
    targets = forecast.shape[1]
    return Predictions("series", ["step", *columns[:targets]], rows, known[:, :targets], forecast)


def continued(run: Run, known: np.ndarray, steps: int | None) -> np.ndarray:
    """The `steps` rows after a series known [rows, columns], both in their own units; float64 [steps, targets].

    The model reads the last window of rows and gives the next `horizon` of them; these are appended, and so on. Where
    it reads columns that it does not predict, it goes no further than its horizon.
    """
    facts, columns = series_facts(run), known.shape[1]
    window, horizon, targets = facts["window"], facts["horizon"], len(facts["targets"])
    steps = horizon if steps is None else steps
    if not 1 <= steps <= _MOST_STEPS:
        raise DataError("--steps is %d, expected 1 to %d" % (steps, _MOST_STEPS))
    if targets < columns and steps > horizon:
        raise DataError(
            "--steps is %d, but the run reads columns that it does not predict (%s), so it goes no further than its "
            "horizon of %d" % (steps, ", ".join(facts["columns"][targets : targets + 10]), horizon)
        )
    rows = known[-window:]
    made: list[np.ndarray] = []
    while len(made) * horizon < steps:
        ahead = run.predict(rows[None])[0, -1].reshape(horizon, targets)
        if not np.isfinite(ahead).all():
            raise DataError(
                "the series grows beyond all bounds %d steps on; ask for fewer --steps" % (len(made) * horizon)
            )
        made.append(ahead.astype(np.float64))
        if targets == columns:
            rows = np.concatenate([rows, ahead])[-window:]
    return np.concatenate(made)[:steps]


def _outputs(run: Run, columns: list[str], known: np.ndarray, steps: int | None) -> Predictions:
    """A regressor whose outputs are not its inputs' next rows: its outputs at the given steps and, where the inputs are
    points at equal distances, as the chapter's, at `steps` more of them."""
    if steps is not None:
        gaps = np.diff(known, axis=0)
        if len(known) < 2 or not np.allclose(gaps, gaps[0], rtol=1e-3):
            raise DataError("--steps continues this run's inputs only at equal distances; give at least two such rows")
        known = np.concatenate([known, known[-1] + gaps[0] * np.arange(1, steps + 1)[:, None]])
    outputs = run.predict(known[None])[0].astype(np.float64)
    if not np.isfinite(outputs).all():
        raise DataError("%s: its predictions are not finite; use another checkpoint" % run.folder)
    names = ["predicted"] if outputs.shape[1] == 1 else [f"predicted {column}" for column in range(outputs.shape[1])]
    rows = [
        [step + 1, *map(_plain, row), *map(_plain, out)]
        for step, (row, out) in enumerate(zip(known, outputs, strict=True))
    ]
    return Predictions("series", ["step", *columns, *names], rows, None, outputs)


def _shown(cell: Any) -> Any:
    return shown(cell) if isinstance(cell, str) else cell


def _plain(value: Any) -> float:
    return float(f"{float(value):.8g}")
