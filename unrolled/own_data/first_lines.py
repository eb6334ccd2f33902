"""A comma-separated file's first lines: whether the first one names the columns, and their names."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
from pathlib import Path

from unrolled.errors import DataError

__all__ = ["LOOKED_AT", "are_names", "column_names", "first_rows"]

LOOKED_AT = 100  # lines, to tell names from numbers


def are_names(row: list[str], rest: str, delimiter: str) -> bool:
    """Whether a first row of numbers looks like names, by the lines after it."""
    lines = [line.strip("\r\n") for line in itertools.islice(io.StringIO(rest), LOOKED_AT)]
    following = [line.split(delimiter) for line in lines if line]
    cells = [cell.strip() for cell in row]
    if not following or not all(map(_is_integer, cells)) or len(set(cells)) < len(cells):
        return False
    counted = len(cells) > 1 and cells == [str(column) for column in range(len(cells))]
    return counted or not any(_is_integer(cell.strip()) for line in following for cell in line)


def first_rows(text: str, delimiter: str, count: int) -> list[list[str]]:
    """The cells of the first rows; of fewer where one is no comma-separated text, of which others speak."""
    rows: list[list[str]] = []
    with contextlib.suppress(csv.Error):
        for row in itertools.islice(csv.reader(io.StringIO(text), delimiter=delimiter, strict=True), count):
            rows += [row] if row else []
    return rows


def _is_integer(cell: str) -> bool:
    return (cell[1:] if cell.startswith("-") else cell).isdecimal()


def column_names(path: Path, line: int, row: list[str], numeric: list[bool], named: bool) -> list[str]:
    """Those of the columns, by the first row; named: whether they are numbers."""
    if all(numeric) and not named:
        return [str(column) for column in range(len(row))]
    if any(numeric) and not named:
        raise DataError(
            "%s, line %d: holds numbers and %r, expected numbers alone, or the names of the columns"
            % (path, line, row[numeric.index(False)][:40])
        )
    names = [name.strip() for name in row]
    seen = set()
    for name in names:
        if name in seen:
            raise DataError("%s, line %d: two columns are called %r; rename one" % (path, line, name[:80]))
        seen.add(name)
    return names
