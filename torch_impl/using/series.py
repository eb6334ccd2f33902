"""A table as what a regressor is evaluated on: never by rows that it was trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from torch_impl.runs import Run
from torch_impl.using.inputs import read_series
from unrolled.errors import DataError
from unrolled.networks import MOST
from unrolled.own_data.marks import known_by
from unrolled.own_data.series import known_rows, rows_digest
from unrolled.own_data.windows import Windows, windows

__all__ = ["Judged", "judged_series", "series_facts", "test_windows"]

_MOST_WINDOWS = 50_000


class Judged(NamedTuple):
    """values: the table, float64 [rows, columns]. part: the first row to be forecast, and the row after the last.
    source: what to call it. trained: the table that the run was trained on, None where it is not at hand. seen: rows
    that are not to be judged by, bool [rows]; None where the part has none."""

    values: np.ndarray
    part: tuple[int, int]
    source: str
    trained: np.ndarray | None
    seen: np.ndarray | None = None


def series_facts(run: Run) -> dict[str, Any]:
    """What a run of a table says of its data, checked, with what older runs do not say: window, horizon, targets,
    means, season, split. Raises DataError."""
    data, inputs = run.data, int(run.model.inputs)
    facts: dict[str, Any] = {name: _integer(run, name) for name in ("window", "horizon")}
    columns = data.get("columns") or [str(column) for column in range(inputs)]
    facts["columns"], facts["targets"] = columns, data.get("targets") or columns
    outputs = facts["horizon"] * len(facts["targets"])
    if outputs != run.model.dense.out_features or facts["targets"] != columns[: len(facts["targets"])]:
        raise DataError("%s: its data do not fit its model; use another checkpoint" % run.folder)
    means = data.get("means")
    if means is None and run.scaling is not None:  # of a run from before they were kept: its scaling's own
        means = run.scaling.shift[: len(facts["targets"])].tolist()
    good = isinstance(means, list) and len(means) == len(facts["targets"])
    good = good and all(type(mean) in (int, float) for mean in means or [])
    facts["means"] = means if good else [np.nan] * len(facts["targets"])
    season = data.get("season")
    facts["season"] = season if type(season) is int and 2 <= season <= MOST else None
    facts["split"] = {name: _part(run, name) for name in ("train", "validation", "test")}
    return facts


def judged_series(run: Run, path: Path | None) -> Judged:
    """The test part of what the run was trained on, or a file's rows; DataError where there is nothing to judge by.

    Where the rows that the run has seen lie in the file, by their digest, only those after them are judged.
    """
    facts = series_facts(run)
    judged, window, horizon = _judged(run, facts, path), facts["window"], facts["horizon"]
    first, last = judged.part
    if last - max(first, window) < horizon:
        raise DataError(
            "%s: has %d rows to be judged by, but a window of %d steps and a horizon of %d need %d"
            % (judged.source, last - first, window, horizon, max(0, window - first) + horizon)
        )
    return judged


def _judged(run: Run, facts: dict[str, Any], path: Path | None) -> Judged:
    known = run.data.get("known")
    source = path or Path(str(run.data.get("source")))
    values = read_series(run, source)[1]
    seen, last = facts["split"]["test"]
    if path is not None:
        start = known_rows(values, seen, known)
        if start is None:
            seen_here = _known(run, values)
            count = 0 if seen_here is None else int(seen_here.sum())
            name = "%s, without %d rows seen in training" % (source, count) if count else str(source)
            return Judged(values, (0, len(values)), name, _trained(run, facts), seen_here if count else None)
        part, trained = (start + seen, len(values)), values[start : start + seen]
        return Judged(values, part, "%s, the rows after those seen in training" % source, trained)
    if last <= seen:
        raise DataError("%s: the run has no test part; name a file with --data" % source)
    if known is None:  # of a run from before digests were kept
        if last > len(values):
            raise DataError("%s: has %d rows, fewer than when the run was trained" % (source, len(values)))
        return Judged(values, (seen, last), "%s, test part" % source, values[:seen])
    same = isinstance(known, dict) and known.get("file_sha256") == rows_digest(values)
    start = 0 if same else known_rows(values, seen, known)
    if start is None:
        raise DataError(
            "%s: holds other rows than the run was trained on (their SHA-256 differs); put the old file back, or name "
            "this one with --data" % source
        )
    changed = "" if same else " (the file has changed: the rows seen in training begin at row %d)" % (start + 1)
    part = (start + seen, min(len(values), start + last))
    trained = values[start : start + seen]
    return Judged(values, part, "%s, test part%s" % (source, changed), trained)


def test_windows(run: Run, path: Path | None) -> tuple[Windows, str]:
    """The windows that end before the rows to be judged by, not scaled, and what to call them. One for each row; for
    every second row, third, … where there are more than 50,000."""
    judged = judged_series(run, path)
    return cut(run, judged), judged.source


def cut(run: Run, judged: Judged) -> Windows:
    """The windows of a judged table, as `test_windows`; targets: the rows that follow each step, all columns."""
    stride = 1 + (judged.part[1] - judged.part[0]) // _MOST_WINDOWS
    size = _integer(run, "window"), _integer(run, "horizon")
    found = windows(judged.values, judged.values[1:], judged.part, "test", *size, stride)
    if judged.seen is None:
        return found
    ahead = found.starts[:, None] + size[0] + np.arange(size[1])
    kept = ~judged.seen[ahead].any(axis=1)
    if not kept.any():
        raise DataError("%s: leaves nothing to judge by, a row ahead of a window; name other rows" % judged.source)
    return Windows(*(part[kept] for part in found))


def _known(run: Run, values: np.ndarray) -> np.ndarray | None:
    """Which rows of a table the run has seen, wherever they lie; None where it does not tell."""
    known, marks = run.data.get("known"), run.tensors.get("data/marks")
    length = known.get("block") if isinstance(known, dict) else None
    if marks is None or marks.dtype != np.int64 or type(length) is not int or not 1 <= length <= 64:
        return None
    return known_by(values, marks, length)


def _trained(run: Run, facts: dict[str, Any]) -> np.ndarray | None:
    """The rows that the run has seen, from its own source, if that is still there and holds them."""
    seen = facts["split"]["test"][0]
    try:
        values = read_series(run, Path(str(run.data.get("source"))))[1]
    except DataError:
        return None
    start = known_rows(values, seen, run.data.get("known"))
    return None if start is None else values[start : start + seen]


def _integer(run: Run, name: str) -> int:
    value = run.data.get(name)
    if type(value) is not int or not 1 <= value <= MOST:
        raise DataError("%s: its %s is %.40r, expected an integer; use another checkpoint" % (run.folder, name, value))
    return value


def _part(run: Run, name: str) -> tuple[int, int]:
    split = run.data.get("split")
    part = split.get(name) if isinstance(split, dict) else None
    good = isinstance(part, list) and len(part) == 2 and all(type(row) is int for row in part)
    if not good or not 0 <= part[0] <= part[1]:  # type: ignore[index]
        raise DataError("%s: its data do not tell the %s part; name a file with --data" % (run.folder, name))
    return part[0], part[1]  # type: ignore[index]
