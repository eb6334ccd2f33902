"""A series of one's own as what a regressor trains on; see `unrolled.own_data.reading` for how it is read."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, NamedTuple, Sequence

import numpy as np

from unrolled.datasets.parts import Part
from unrolled.errors import DataError
from unrolled.models import Model
from unrolled.networks import MOST, Network
from unrolled.own_data.marks import block_length, marks_of
from unrolled.own_data.naive import found_season
from unrolled.own_data.prepare import BATCH, EPOCHS, NETWORK, Prepared, program_of
from unrolled.own_data.reading import SeriesScaling, chosen_reading
from unrolled.own_data.tables import Table, read_table
from unrolled.own_data.windows import Split, split_by_time, windows

__all__ = ["PreparedSeries", "known_rows", "logarithms", "regressor_data", "rows_digest"]


class PreparedSeries(NamedTuple):
    """made: see Prepared. values: the table, float64 [rows, columns], those predicted first. scaling: how it is
    read. notes: sentences on its times, see `unrolled.own_data.times`. marks: of the rows before the test part, see
    `unrolled.own_data.marks`, for blocks as long as the facts say ("known", "block")."""

    made: Prepared
    values: np.ndarray
    scaling: SeriesScaling
    notes: Sequence[str]
    marks: np.ndarray


def regressor_data(
    path: Path,
    columns: list[str] | None = None,
    window: int = 100,
    horizon: int = 1,
    stride: int = 1,
    validation_share: float = 0.1,
    test_share: float = 0.1,
    scale: bool = True,
    network: Network = NETWORK,
    batch: int = BATCH,
    learning_rate: float = 0.001,
    epochs: int = EPOCHS,
    covariates: list[str] | None = None,
    reading: str = "auto",
    log: bool = False,
    season: int | None = None,
    header: bool | None = None,
    time: str | None = None,
) -> PreparedSeries:
    """A series from a CSV or Parquet file, its rows in order of time, for a regressor that predicts it.

    At each step of a window the model gives the next `horizon` rows of `columns`; it reads these and the `covariates`,
    whose past alone is used. The last rows are the test part, those before them the validation part; scaling, reading
    ("auto": chosen on the validation part, see `chosen_reading`) and season (None: looked for) are found without the
    test part. Windows to validate and test on reach back into earlier rows for what they read, never for what they are
    to predict. stride: rows between the starts of two windows to train on. header, time: as in `read_table`. Raises
    DataError.
    """
    for name, value in (("window", window), ("horizon", horizon), ("stride", stride)):
        if not 1 <= value <= MOST:
            raise DataError("the %s is %d, expected 1 to %d" % (name, value, MOST))
    if covariates and not columns:
        raise DataError("%s: covariates are given, but no column to predict; name it with --target" % path)
    table = read_table(path, None if columns is None else [*columns, *(covariates or [])], header, time)
    targets, count = len(table.columns) - len(covariates or []), len(table.columns)
    if max(targets * horizon, count) > MOST:
        raise DataError("%d columns and a horizon of %d are more than 2**20 values per step" % (targets, horizon))
    split = split_by_time(len(table.values), validation_share, test_share)
    train = split.train[1]
    if train < window + horizon:
        windows(table.values, table.values, split.train, "training", window, horizon, reaching=False)
    values = logarithms(path, table, log)
    chosen = chosen_reading(values[: split.validation[1], :targets], train, horizon) if reading == "auto" else reading
    if scale:
        scaling = SeriesScaling.fitted(values[:train], chosen, log, window, horizon, targets)
    else:
        scaling = SeriesScaling.none(chosen, log, count, targets * horizon)
    parts = _parts(path, table, values, scaling, split, (window, horizon, stride, targets))
    block = block_length(table.values[: split.test[0]])
    facts = {
        "kind": "table",
        "source": str(path.resolve()),
        "columns": table.columns,
        "targets": table.columns[:targets],
        "header": table.header,
        "time": time,
        "window": window,
        "horizon": horizon,
        "stride": stride,
        "season": season or found_season(values[: split.validation[1], :targets]),
        "means": table.values[:train, :targets].mean(axis=0).tolist(),
        "scaling": scaling.to_json(),
        "split": {name: list(part) for name, part in split._asdict().items()},
        "rows": {name: 0 if part is None else len(part.inputs) for name, part in zip(split._fields, parts)},
        "known": {
            "sha256": rows_digest(table.values[: split.test[0]]),
            "first": table.values[0].tolist(),
            "last": table.values[split.test[0] - 1].tolist(),
            "file_sha256": rows_digest(table.values),
            "block": block,
        },
    }
    model = Model("regressor", network, count, targets * horizon)
    assert parts[0] is not None
    program = program_of(model, len(parts[0].inputs), window, batch, learning_rate, epochs)
    made = Prepared(program, parts[0], parts[1], parts[2], facts)
    marks = marks_of(table.values[: split.test[0]], block)
    return PreparedSeries(made, table.values, scaling, table.notes, marks)


def logarithms(path: Path, table: Table, log: bool) -> np.ndarray:
    """The table's values, or their logarithms; DataError for a value that has none."""
    if not log:
        return table.values
    for row, column in np.argwhere(table.values <= 0)[:1]:
        raise DataError(
            "%s, row %d: column %r holds %g, which has no logarithm; leave --log out"
            % (path, row + 1, table.columns[column], table.values[row, column])
        )
    return np.log(table.values)


def _parts(
    path: Path, table: Table, values: np.ndarray, scaling: SeriesScaling, split: Split, cut: tuple[int, int, int, int]
) -> list[Part | None]:
    window, horizon, stride, targets = cut
    with np.errstate(over="ignore"):
        ahead, level = scaling.ahead(values, horizon, targets), scaling.inputs.apply(values)
        found: list[Part | None] = []
        for name, part in zip(("training", "validation", "test"), split):
            own = name == "training"
            cuts = windows(values, ahead, part, name, window, horizon, stride if own else 1, not own)
            if scaling.reading == "level":
                inputs = windows(level, ahead, part, name, window, horizon, stride if own else 1, not own).inputs
            else:
                inputs = scaling.read(cuts.inputs)
            found.append(Part(inputs, cuts.targets, None) if len(inputs) else None)
    for row, column in np.argwhere(~np.isfinite(ahead))[:1]:
        raise _too_far(path, table, int(row) + 1 + int(column) // targets, int(column) % targets)
    for row, column in np.argwhere(~np.isfinite(level))[:1]:
        raise _too_far(path, table, int(row), int(column))
    return found


def _too_far(path: Path, table: Table, row: int, column: int) -> DataError:
    return DataError(
        "%s, row %d: column %r holds %g, too far from the training part for float32; mend it or leave the row out"
        % (path, row + 1, table.columns[column], table.values[row, column])
    )


def rows_digest(values: np.ndarray) -> str:
    """SHA-256 of rows of numbers, float64 [rows, columns]."""
    return hashlib.sha256(np.ascontiguousarray(values, np.float64).tobytes()).hexdigest()


def known_rows(values: np.ndarray, count: int, known: Any) -> int | None:
    """Where in a table the `count` rows lie that a run has seen (its facts "known"): the number of the first row; None
    where they are not all there, one after the other."""
    if not isinstance(known, dict) or count < 1:
        return None
    first, last, digest = (known.get(name) for name in ("first", "last", "sha256"))
    if not all(isinstance(part, list) and len(part) == values.shape[1] for part in (first, last)):
        return None
    starts = np.arange(max(0, len(values) - count + 1))
    good = (values[starts] == first).all(axis=1) & (values[starts + count - 1] == last).all(axis=1)
    for start in starts[good][:100]:  # a series that repeats itself has many
        if rows_digest(values[start : start + count]) == digest:
            return int(start)
    return None
