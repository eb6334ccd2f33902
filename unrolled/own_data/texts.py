"""Comma-separated values as numbers, read in pieces: beside the numbers themselves, memory does not grow with the file.

Pieces of plain numbers are parsed by numpy.loadtxt, all others (dates beside the numbers, quoted cells) by the csv
module; the latter also finds the words for what is wrong.
"""

from __future__ import annotations

import csv
import io
from array import array
from pathlib import Path
from typing import IO, Any, Callable, Iterator, NamedTuple, Sequence

import numpy as np

from unrolled.datasets.reading import opened, room_of, size_of
from unrolled.errors import DataError
from unrolled.own_data.first_lines import LOOKED_AT, are_names, column_names, first_rows
from unrolled.own_data.times import seconds_of
from unrolled.reading import room_named

__all__ = ["Numbers", "read_numbers"]

_DELIMITERS = ",;\t"
_MOST_COLUMNS = 100000
_MOST_BYTES = 1 << 30
_PIECE, _MOST_ROW = 1 << 20, 1 << 24  # bytes
_MOST_CELLS = 1 << 17  # that the csv module holds at a time
_NUMERIC = b"0123456789eE+-. \r\n"

Choose = Callable[["list[str]"], "list[str]"]


class Numbers(NamedTuple):
    """names: of the columns. values: float64 [rows, columns], finite. lines: the number of each row's line, from 1.
    header: whether a first line of numbers alone was taken for names; None where it was none. every: the names of all
    columns of the file; first: the cells of its first rows, up to 100. dates: whether the column of times held dates
    rather than numbers."""

    names: list[str]
    values: np.ndarray
    lines: np.ndarray
    header: bool | None = None
    every: Sequence[str] = ()
    first: Sequence[Sequence[str]] = ()
    dates: bool = False


def read_numbers(path: Path, choose: Choose = list, header: bool | None = None, time: str | None = None) -> Numbers:
    """The numbers of a file in UTF-8, separated by commas, semicolons or tabs; gzip when it ends in .gz.

    The first line names the columns, "0", "1", … where its cells are numbers that are data. header: whether numbers in
    the first line are names; None to decide by the file: they are where they are 0, 1, 2, … (pandas' names), at least
    two, or different integers above columns that hold none (years). choose: from all names those of the columns to
    read; the others may hold anything. time: the one among these that may hold dates instead, which become seconds
    since 1970, see `unrolled.own_data.times`. Empty lines are left out. Raises DataError for a file that is empty, no
    text, whose lines have different numbers of cells, or for a cell that is no finite number: it names the line.
    """
    with opened(path) as stream:
        pieces = _pieces(path, stream)
        first = next((piece for piece in pieces if piece.text.strip("\r\n")), None)
        if first is None:
            raise DataError("%s: is empty, expected lines of numbers" % path)
        delimiter = _delimiter(path, first.text)
        reader = _Reader(path, delimiter, pieces)
        row, line, rest = reader.first_row(first)
        numeric = [_is_number(cell) for cell in row]
        decided = (are_names(row, rest.text, delimiter) if header is None else header) if all(numeric) else None
        names = column_names(path, line, row, numeric, bool(decided))
        reader.expect(names, choose(names), line, time)
        shown = [] if decided is not False else [row]
        shown += first_rows(rest.text, delimiter, LOOKED_AT - len(shown))
        reader.read_piece(first if decided is False else rest)
        for piece in pieces:
            reader.read_piece(piece)
    if not reader.lines:
        raise DataError("%s: has no line but the names of its columns" % path)
    values = np.frombuffer(reader.values, np.float64).reshape(-1, len(reader.chosen))
    lines = np.frombuffer(reader.lines, np.int32)
    return Numbers(reader.chosen, values, lines, decided, names, shown, bool(reader.dates))


class _Piece(NamedTuple):
    """Some whole lines, and the number of the first of them."""

    text: str
    line: int


def _pieces(path: Path, stream: IO[bytes]) -> Iterator[_Piece]:
    """The file's text, some 1 MiB at a time."""
    left, line, rest = min(_MOST_BYTES, room_of(stream)), 1, b""
    while True:
        part = stream.read(_PIECE)
        left -= len(part)
        if left < 0:
            raise DataError(
                "%s: is more text than 1 GiB or %s; save it as Parquet, or give fewer rows"
                % (path, room_named(size_of(stream)))
            )
        content = rest + part
        # A carriage return at the very end may be half of a line's end.
        end = max(content.rfind(b"\n"), content.rfind(b"\r", 0, len(content) - 1)) + 1 if part else len(content)
        if end:
            text = _decoded(path, content[:end], line)
            yield _Piece(text, line)
            line += _count_lines(text)
        rest = content[end:]
        if len(rest) > _MOST_ROW:
            raise DataError("%s, line %d: is longer than 16 MiB; give fewer columns" % (path, line))
        if not part:
            return


def _decoded(path: Path, content: bytes, line: int) -> str:
    try:
        text = content.decode("utf-8-sig" if line == 1 else "utf-8")
    except UnicodeDecodeError as error:
        line += content[: error.start].count(b"\n")
        raise DataError("%s, line %d: no text in UTF-8; save it as CSV in UTF-8" % (path, line)) from None
    if "\0" in text:
        raise DataError("%s: no text file, it holds zero bytes; save it as CSV" % path)
    return text


def _count_lines(text: str) -> int:
    return text.count("\n") + text.count("\r") - text.count("\r\n")


def _delimiter(path: Path, text: str) -> str:
    """Of the first line that is not empty, the most frequent."""
    line = next(line for line in io.StringIO(text) if line.strip("\r\n"))
    delimiter = max(_DELIMITERS, key=line.count)
    if line.count(delimiter) >= _MOST_COLUMNS:
        raise DataError("%s: has more than %d columns" % (path, _MOST_COLUMNS))
    return delimiter


class _Reader:
    """The rows read so far: `values` of the columns chosen, row by row, and `lines`."""

    def __init__(self, path: Path, delimiter: str, following: Iterator[_Piece]) -> None:
        """following: the pieces after the one at hand, where a quoted cell may go on."""
        self.path, self.delimiter, self.following = path, delimiter, following
        self.values, self.lines = array("d"), array("i")

    def first_row(self, piece: _Piece) -> tuple[list[str], int, _Piece]:
        """The file's first row, the number of its line, and the piece without it."""
        stream = io.StringIO(piece.text, newline="")
        reader = self._csv(stream)
        for row in self._rows(reader, piece.line):
            if row:
                line = piece.line + reader.line_num
                return row, line - 1, _Piece(stream.read(), line)
        raise AssertionError("unreachable")

    def expect(self, names: list[str], chosen: list[str], line: int, time: str | None = None) -> None:
        """Of every row that it is like the one in `line`, with these columns, of which some are chosen."""
        self.time = time
        self.dates: bool | None = None  # whether the times are, as soon as one was seen
        places = {name: place for place, name in enumerate(names)}
        self.chosen, self.places = chosen, [places[name] for name in chosen]
        self.width, self.first_line = len(names), line

    def read_piece(self, piece: _Piece) -> None:
        """Take in all rows of a piece, and of those after it where one of its cells is quoted."""
        if not self._read_numbers(piece):
            self._read_cells(piece)

    def _read_numbers(self, piece: _Piece) -> bool:
        """By NumPy, if it is nothing but finite numbers in rows of the right width; whether it was."""
        content = piece.text.encode("utf-8")
        if self.dates:
            return False
        if content.translate(None, _NUMERIC + self.delimiter.encode("ascii")):
            return False
        if b"\r" in content:
            content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        ends = np.flatnonzero(np.frombuffer(content, np.uint8) == 10)
        if not content.endswith(b"\n"):
            ends = np.append(ends, len(content))
        (filled,) = np.nonzero(np.diff(ends, prepend=-1) > 1)
        if not len(filled):
            return True
        try:
            text = io.StringIO(content.decode("ascii"))
            found = np.loadtxt(text, np.float64, comments=None, delimiter=self.delimiter, ndmin=2)
        except ValueError:
            return False
        if found.shape != (len(filled), self.width) or not np.isfinite(found).all():
            return False
        self.dates = None if self.time is None else False
        self._add(found[:, self.places], piece.line + filled)
        return True

    def _read_cells(self, piece: _Piece) -> None:
        """By the csv module, cell by cell."""
        rows: list[list[str]] = []
        lines: list[int] = []
        fed = [0]  # bytes since the last row ended

        def text() -> Iterator[str]:
            some: _Piece | None = piece
            while some is not None:
                fed[0] += len(some.text)
                if fed[0] > _MOST_ROW:
                    raise DataError("%s, line %d: no row ends in 16 MiB from here" % (self.path, some.line))
                yield from io.StringIO(some.text, newline="")
                some = next(self.following, None) if '"' in piece.text else None

        reader = self._csv(text())
        for row in self._rows(reader, piece.line):
            fed[0] = 0
            if row:
                rows.append(row)
                lines.append(piece.line + reader.line_num - 1)
                if len(rows) * self.width >= _MOST_CELLS:
                    self._take(rows, lines)
                    rows, lines = [], []
        self._take(rows, lines)

    def _csv(self, lines: Any) -> Any:
        return csv.reader(lines, delimiter=self.delimiter, strict=True)

    def _rows(self, reader: Any, line: int) -> Iterator[list[str]]:
        try:
            yield from reader
        except csv.Error as error:
            where = (self.path, line + reader.line_num - 1, error)
            raise DataError("%s, line %d: no comma-separated values (%s)" % where) from None

    def _take(self, rows: list[list[str]], lines: list[int]) -> None:
        for row, line in zip(rows, lines):
            if len(row) != self.width:
                raise DataError(
                    "%s, line %d: has %d cells, expected %d, as in line %d"
                    % (self.path, line, len(row), self.width, self.first_line)
                )
        cells = [row[place] for row in rows for place in self.places]
        try:
            values = np.array([np.nan] if self.dates else list(map(float, cells)))
            self.dates = self.dates if self.time is None else bool(self.dates)
        except ValueError:
            values = np.array([np.nan])
        if not np.isfinite(values).all() or "_" in "".join(cells):
            values = np.array(
                [
                    self._time(line, row[place]) if name == self.time else _number(self.path, line, name, row[place])
                    for row, line in zip(rows, lines)
                    for name, place in zip(self.chosen, self.places)
                ]
            )
        self._add(values, np.array(lines, np.int64))

    def _time(self, line: int, cell: str) -> float:
        """A date in seconds, or a number, as the first row's is."""
        found = None if self.dates is False else seconds_of(cell)
        if self.dates is None:
            self.dates = found is not None
        if not self.dates:
            found = float(cell) if _is_number(cell) and np.isfinite(float(cell)) else None
        if found is None:
            wanted = "a date or timestamp such as 2024-05-31 or 2024-05-31T12:00" if self.dates else (
                "numbers, dates such as 2024-05-31 or timestamps such as 2024-05-31T12:00, all of one kind"
            )  # fmt: skip
            raise DataError(
                "%s, line %d: the time %r is %r, expected %s"
                % (self.path, line, (self.time or "")[:80], cell[:40], wanted)
            )
        return found

    def _add(self, values: np.ndarray, lines: np.ndarray) -> None:
        self.values.frombytes(np.ascontiguousarray(values, np.float64).tobytes())
        self.lines.frombytes(lines.astype(np.int32).tobytes())


def _number(path: Path, line: int, name: str, cell: str) -> float:
    """The finite number in a cell; DataError that names line and column."""
    if _is_number(cell) and np.isfinite(float(cell)):
        return float(cell)
    found = "is empty" if not cell.strip() else "holds %r" % cell[:40]
    raise DataError(
        "%s, line %d: column %r %s, expected a finite number; fill it in or leave the line out"
        % (path, line, name[:80], found)
    )


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell
