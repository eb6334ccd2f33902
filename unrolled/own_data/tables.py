"""A table with a column per variable and a row per time: a CSV file, or Parquet by pyarrow, which is imported late."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from unrolled.datasets.reading import plainly
from unrolled.errors import DataError
from unrolled.own_data.texts import number, read_cells

__all__ = ["Table", "read_table"]

_MOST_CELLS = 1 << 28


class Table(NamedTuple):
    """columns: the names of those chosen. values: float64 [rows, columns], in the file's order."""

    columns: list[str]
    values: np.ndarray


def read_table(path: Path, columns: list[str] | None = None) -> Table:
    """Columns of numbers from a CSV or Parquet file (by its suffix: .parquet or .pq), in the order given.

    columns: their names; None for the only one that the file has. Raises DataError that names the column, and the line
    (of CSV, from 1) or row (of Parquet, from 0) where a value is missing, no number, NaN or infinite.
    """
    with plainly(path):
        if not path.is_file():
            raise DataError("%s: no such file" % path)
    if columns is not None and len(set(columns)) < len(columns):
        raise DataError("a column is named twice: %s" % ", ".join(columns))
    return _parquet(path, columns) if path.suffix.lower() in (".parquet", ".pq") else _text(path, columns)


def _text(path: Path, columns: list[str] | None) -> Table:
    cells = read_cells(path)
    chosen = _chosen(path, cells.names, columns)
    places = [cells.names.index(name) for name in chosen]
    values = np.empty((len(cells.rows), len(chosen)))
    for row, (line, found) in enumerate(zip(cells.lines, cells.rows)):
        for column, (place, name) in enumerate(zip(places, chosen)):
            values[row, column] = number(path, line, name, found[place])
    return Table(chosen, values)


def _chosen(path: Path, names: list[str], columns: list[str] | None) -> list[str]:
    listed = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
    if columns is None:
        if len(names) != 1:
            raise DataError("%s: has the columns %s; say which to use with --column" % (path, listed))
        return names
    for name in columns:
        if name not in names:
            raise DataError("%s: has no column %r, only %s" % (path, name[:80], listed))
    return list(columns)


def _parquet(path: Path, columns: list[str] | None) -> Table:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise DataError(
            "%s: reading Parquet needs pyarrow (%s); pip install 'unrolled[tables]', or save it as CSV" % (path, error)
        ) from None
    try:
        with pyarrow.parquet.ParquetFile(str(path)) as file:
            names, rows = list(file.schema_arrow.names), file.metadata.num_rows
            chosen = _chosen(path, names, columns)
            for name in chosen:
                _check_type(path, name, file.schema_arrow.field(name).type, pyarrow)
            if not 0 < rows * len(chosen) <= _MOST_CELLS:
                raise DataError("%s: has %d rows, expected 1 to %d" % (path, rows, _MOST_CELLS // len(chosen)))
            table = file.read(columns=chosen, use_threads=False)
            values = [_column(path, name, table.column(name), pyarrow) for name in chosen]
    except (pyarrow.ArrowException, OSError, ValueError, KeyError, MemoryError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError("%s: no whole Parquet file (%s); get it again" % (path, reason[:120])) from None
    return Table(chosen, np.stack(values, axis=1))


def _check_type(path: Path, name: str, kind: Any, pyarrow: Any) -> None:
    """Before any of the column is read: text can be of any size."""
    types = pyarrow.types
    if not (types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or types.is_decimal(kind)):
        raise DataError("%s: column %r holds %s, expected numbers" % (path, name[:80], kind))


def _column(path: Path, name: str, column: Any, pyarrow: Any) -> np.ndarray:
    try:
        column = column.cast(pyarrow.float64(), safe=False)
    except pyarrow.ArrowException as error:
        raise DataError("%s: column %r cannot become numbers (%s)" % (path, name[:80], str(error)[:80])) from None
    values = np.asarray(column.to_numpy(), np.float64)
    for row in np.flatnonzero(~np.isfinite(values))[:1]:
        found = "is missing" if column[int(row)].as_py() is None else "is %s" % values[row]
        raise DataError(
            "%s, row %d: column %r %s, expected a finite number; fill it in or leave the row out"
            % (path, row, name[:80], found)
        )
    return values
