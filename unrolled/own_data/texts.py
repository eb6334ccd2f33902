"""Comma-separated values: cells of text with their line numbers, and numbers out of them."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np

from unrolled.datasets.reading import opened, read_at_most
from unrolled.errors import DataError

__all__ = ["Cells", "number", "numbers", "read_cells"]

_DELIMITERS = ",;\t"
_MOST_COLUMNS = 100000
_MOST_BYTES = 1 << 30


class Cells(NamedTuple):
    """A file's cells. names: of the columns, "0", "1", … where the file has no line of names. rows: lists of text, all
    as long as names. lines: the number of each row's line, from 1."""

    names: list[str]
    rows: list[list[str]]
    lines: list[int]


def read_cells(path: Path) -> Cells:
    """The cells of a file in UTF-8, separated by commas, semicolons or tabs; gzip when it ends in .gz.

    The first line names the columns unless all of its cells are numbers. Empty lines are left out. Raises DataError for
    a file that is empty, no text, or whose lines have different numbers of cells: it names the line.
    """
    with opened(path) as stream:
        content = read_at_most(stream, _MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise DataError("%s: is more than 1 GiB of text; save it as Parquet, or give fewer rows" % path)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError("%s, line %d: no text in UTF-8; save it as CSV in UTF-8" % (path, line)) from None
    if "\0" in text:
        raise DataError("%s: no text file, it holds zero bytes; save it as CSV" % path)
    rows, lines = _split(path, text)
    if not rows:
        raise DataError("%s: is empty, expected lines of numbers" % path)
    for row, line in zip(rows, lines):
        if len(row) != len(rows[0]):
            raise DataError(
                "%s, line %d: has %d cells, expected %d, as in line %d" % (path, line, len(row), len(rows[0]), lines[0])
            )
    if all(_is_number(cell) for cell in rows[0]):
        return Cells([str(column) for column in range(len(rows[0]))], rows, lines)
    if any(_is_number(cell) for cell in rows[0]):
        raise DataError(
            "%s, line %d: holds numbers and %r, expected numbers alone, or the names of the columns"
            % (path, lines[0], next(cell for cell in rows[0] if not _is_number(cell))[:40])
        )
    names = [name.strip() for name in rows[0]]
    for column, name in enumerate(names):
        if name in names[:column]:
            raise DataError("%s, line %d: two columns are called %r; rename one" % (path, lines[0], name[:80]))
    if len(rows) == 1:
        raise DataError("%s: has no line but the names of its columns" % path)
    return Cells(names, rows[1:], lines[1:])


def _split(path: Path, text: str) -> tuple[list[list[str]], list[int]]:
    first = text.lstrip("\r\n").split("\n", 1)[0]
    delimiter = max(_DELIMITERS, key=first.count)
    if first.count(delimiter) >= _MOST_COLUMNS:
        raise DataError("%s: has more than %d columns" % (path, _MOST_COLUMNS))
    rows, lines = [], []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for row in reader:
            if row:
                rows.append(row)
                lines.append(reader.line_num)
    except csv.Error as error:
        raise DataError("%s, line %d: no comma-separated values (%s)" % (path, reader.line_num, error)) from None
    return rows, lines


def number(path: Path, line: int, name: str, cell: str) -> float:
    """The finite number in a cell; DataError that names line and column."""
    try:
        value = float(cell)
    except ValueError:
        value = None
    if value is not None and np.isfinite(value) and "_" not in cell:
        return value
    found = "is empty" if not cell.strip() else "holds %r" % cell[:40]
    raise DataError(
        "%s, line %d: column %r %s, expected a finite number; fill it in or leave the line out"
        % (path, line, name[:80], found)
    )


def numbers(path: Path, cells: Cells) -> np.ndarray:
    """All cells of the file at path as float64 [rows, columns]; DataError that names the line and column of one that is
    no finite number."""
    try:
        values = np.array(cells.rows, dtype=np.float64)
    except ValueError:
        values = np.array([[np.nan]])
    if np.isfinite(values).all() and not any("_" in cell for row in cells.rows for cell in row):
        return values
    return np.array(
        [
            [number(path, line, name, cell) for name, cell in zip(cells.names, row)]
            for row, line in zip(cells.rows, cells.lines)
        ]
    )


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell
