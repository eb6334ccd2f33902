"""A table with a column per variable and a row per time: a CSV file, or Parquet by pyarrow, which is imported late."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, NamedTuple, Sequence

import numpy as np

from unrolled.datasets.reading import opened, plainly, room_of, size_of
from unrolled.errors import DataError
from unrolled.own_data.texts import read_numbers
from unrolled.own_data.times import Times, hints, seconds_of
from unrolled.reading import room_named

__all__ = ["Table", "read_table"]

_MOST_CELLS = 1 << 28
_AT_ONCE = 1 << 16  # rows
_MOST_LOOKED_AT = 100  # columns, for such as look like times


class Table(NamedTuple):
    """columns: the names of those chosen. values: float64 [rows, columns], in the file's order. header: as of
    `Numbers`. notes: sentences on the rows' times, or on columns that look as if they told them."""

    columns: list[str]
    values: np.ndarray
    header: bool | None = None
    notes: Sequence[str] = ()


def read_table(
    path: Path, columns: list[str] | None = None, header: bool | None = None, time: str | None = None
) -> Table:
    """Columns of numbers from a CSV or Parquet file (by its suffix: .parquet or .pq), in the order given.

    columns: their names; None for the only one that the file has beside the time. header: of CSV, as in `read_numbers`.
    time: the column that says when a row was, which must ascend, see `unrolled.own_data.times`. Raises DataError that
    names the column, and the line (of CSV, from 1) or row (of Parquet, from 0) where a value is missing, no number, NaN
    or infinite, or a time does not ascend.
    """
    with plainly(path):
        if not path.is_file():
            raise DataError("%s: no such file" % path)
    if columns is not None and time in columns:
        raise DataError(
            "%s: column %r is the time, and to be read as well; leave it out of one" % (path, str(time)[:80])
        )
    if columns is not None and len(set(columns)) < len(columns):
        raise DataError("a column is named twice: %s" % ", ".join(columns))
    if path.suffix.lower() in (".parquet", ".pq"):
        return _parquet(path, columns, time)
    return _text(path, columns, header, time)


def _text(path: Path, columns: list[str] | None, header: bool | None, time: str | None) -> Table:
    found = read_numbers(path, lambda names: _chosen(path, names, columns, time), header, time)
    if time is None:
        return Table(found.names, found.values, found.header, hints(found.every, found.names, found.first))
    times = Times(path, time, found.values[:, -1], found.dates, lambda row: "line %d" % found.lines[row])
    times = times if found.dates else times.of_dates()
    return Table(found.names[:-1], found.values[:, :-1], found.header, [times.checked()])


def _chosen(path: Path, names: list[str], columns: list[str] | None, time: str | None) -> list[str]:
    """The columns to be read, the time last."""
    if time is not None:
        if columns is None:
            columns = _chosen(path, [name for name in names if name != time], None, None)
        columns = [*columns, time]
    listed = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
    if columns is None:
        if len(names) != 1:
            raise DataError("%s: has the columns %s; say which to predict with --target" % (path, listed))
        return names
    known = set(names)
    for name in columns:
        if name not in known:
            raise DataError("%s: has no column %r, only %s" % (path, name[:80], listed))
    return list(columns)


def _parquet(path: Path, columns: list[str] | None, time: str | None) -> Table:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise DataError(
            "%s: reading Parquet needs pyarrow (%s); pip install 'unrolled[tables]', or save it as CSV" % (path, error)
        ) from None
    with opened(path) as stream:
        try:
            with pyarrow.parquet.ParquetFile(stream) as file:
                if time not in file.schema_arrow.names or not _is_text(file.schema_arrow.field(time).type, pyarrow):
                    return _columns(path, stream, file, columns, time, pyarrow)
            with pyarrow.parquet.ParquetFile(stream, read_dictionary=[time]) as file:  # text can be of any size
                return _columns(path, stream, file, columns, time, pyarrow)
        except (pyarrow.ArrowException, OSError, ValueError, KeyError, MemoryError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise DataError("%s: no whole Parquet file (%s); get it again" % (path, reason[:120])) from None


def _columns(path: Path, stream: Any, file: Any, columns: list[str] | None, time: str | None, pyarrow: Any) -> Table:
    """Those chosen, a piece of the rows at a time."""
    every = list(file.schema_arrow.names)
    chosen = _chosen(path, every, columns, time)
    kinds = {name: file.schema_arrow.field(name).type for name in chosen}
    dates = time is not None and (pyarrow.types.is_timestamp(kinds[time]) or pyarrow.types.is_date(kinds[time]))
    cells_of = _TextTimes(path, time) if time is not None and _is_text(kinds[time], pyarrow) else None
    for name in chosen:
        if not (name == time and (dates or cells_of)):
            _check_type(path, name, kinds[name], pyarrow)
    values = np.empty((_checked_rows(path, file.metadata.num_rows, len(chosen), stream), len(chosen)))
    row = 0
    for batch in file.iter_batches(_AT_ONCE, columns=chosen, use_threads=False):
        for column, name in enumerate(chosen):
            cells = batch.column(name)
            if cells_of and name == time:
                values[row : row + len(batch), column] = cells_of(row, cells)
                continue
            if dates and name == time:
                cells = cells.cast(pyarrow.timestamp("us"), safe=False).cast(pyarrow.int64())
            found = _column(path, row, name, cells, pyarrow)
            values[row : row + len(batch), column] = found / 1e6 if dates and name == time else found
        row += len(batch)
    if row != len(values):
        raise ValueError("%d of %d rows" % (row, len(values)))
    if time is None:
        return Table(chosen, values, None, hints(every, chosen, _first_rows(file, every)))
    dates = dates or bool(cells_of and cells_of.dates)
    times = Times(path, time, values[:, -1], dates, lambda row: "row %d" % row)
    return Table(chosen[:-1], values[:, :-1], None, [(times if dates else times.of_dates()).checked()])


def _first_rows(file: Any, names: list[str]) -> list[list[str]]:
    """As the cells of a text, up to 100, of a table of few columns; text can be of any size."""
    if len(names) > _MOST_LOOKED_AT:
        return []
    with contextlib.suppress(Exception):  # of columns that nobody asked for, such as times beyond what Python can tell
        first = next(file.iter_batches(100, use_threads=False), None)
        rows = [] if first is None else first.to_pylist()
        return [["" if row[name] is None else str(row[name])[:80] for name in names] for row in rows]
    return []


class _TextTimes:
    """Times that are text: seconds since 1970 of dates, or numbers, whichever the first cell is."""

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name, self.dates = path, name, False

    def __call__(self, first: int, cells: Any) -> np.ndarray:
        """float64 [rows]. cells: with a dictionary, of which each text is read once. first: the row they begin at."""
        indices = cells.indices.to_pylist()
        texts = [text.as_py() for text in cells.dictionary]
        if first == 0 and indices and indices[0] is not None:
            self.dates = seconds_of(texts[indices[0]] or "") is not None
        read = [_time(text or "", self.dates) for text in texts]
        for row, index in enumerate(indices):
            if index is None or read[index] is None:
                found = "is missing" if index is None or texts[index] is None else "is %r" % texts[index][:40]
                raise DataError(
                    "%s, row %d: the time %r %s, expected numbers, dates such as 2024-05-31 or timestamps such as "
                    "2024-05-31T12:00, all of one kind" % (self.path, first + row, self.name[:80], found)
                )
        return np.array([read[index] for index in indices], np.float64)


def _time(text: str, dates: bool) -> float | None:
    if dates:
        return seconds_of(text)
    with contextlib.suppress(ValueError):
        return float(text) if np.isfinite(float(text)) else None
    return None


def _is_text(kind: Any, pyarrow: Any) -> bool:
    kind = kind.value_type if pyarrow.types.is_dictionary(kind) else kind
    return bool(pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind))


def _checked_rows(path: Path, rows: int, columns: int, stream: Any) -> int:
    """How many rows the file says it has, if their float64 values are not too many for its size."""
    if not 0 < rows * columns <= _MOST_CELLS:
        raise DataError("%s: has %d rows, expected 1 to %d" % (path, rows, _MOST_CELLS // columns))
    if 8 * rows * columns > room_of(stream):
        raise DataError(
            "%s: its %d rows of %d columns take more than %s; give fewer, or save it as CSV"
            % (path, rows, columns, room_named(size_of(stream)))
        )
    return rows


def _check_type(path: Path, name: str, kind: Any, pyarrow: Any) -> None:
    """Before any of the column is read: text can be of any size."""
    types = pyarrow.types
    if not (types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or types.is_decimal(kind)):
        raise DataError("%s: column %r holds %s, expected numbers" % (path, name[:80], kind))


def _column(path: Path, first: int, name: str, column: Any, pyarrow: Any) -> np.ndarray:
    """Some rows of a column, from row `first` on."""
    try:
        column = column.cast(pyarrow.float64(), safe=False)
    except pyarrow.ArrowException as error:
        raise DataError("%s: column %r cannot become numbers (%s)" % (path, name[:80], str(error)[:80])) from None
    values = np.asarray(column.to_numpy(zero_copy_only=False), np.float64)
    for row in np.flatnonzero(~np.isfinite(values))[:1]:
        found = "is missing" if column[int(row)].as_py() is None else "is %s" % values[row]
        raise DataError(
            "%s, row %d: column %r %s, expected a finite number; fill it in or leave the row out"
            % (path, first + row, name[:80], found)
        )
    return values
