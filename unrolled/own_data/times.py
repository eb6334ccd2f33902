"""When a table's rows were: in order, each time once, or refused; and columns that look as if they could tell.

A time is a number, such as a year or Unix seconds, or a date or timestamp as ISO 8601 writes it (2024, 2024-05 and
20240531 too; "/" for "-", a blank for "T"), one without a zone taken for UTC.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Callable, NamedTuple, Sequence

import numpy as np

from unrolled.errors import DataError

__all__ = ["Times", "hints", "seconds_of"]

_ISO = re.compile(
    r"(\d{4}[-/]\d\d(?:[-/]\d\d(?:[T ]\d\d(?::?\d\d(?::?\d\d(?:\.\d+)?)?)?)?)?)(?:(Z)|([+-])(\d\d):?(\d\d)?)?\Z"
)
_ID = re.compile(r"(?:^|[^a-z])ids?$", re.IGNORECASE)
_OTHER_DATE = re.compile(  # 05/31/2024, 31.12.23 10:15, 31 May 2024, May 31, 2024
    r"(?:\d{1,2}([-/.])\d{1,2}\1(?:\d{4}|\d\d)|\d{1,2}[- ][A-Za-z]{3,9}\.?,?[- ]\d{2,4}|[A-Za-z]{3,9}\.? \d{1,2},? "
    r"\d{4})(?:,?[T ]+\d.*)?\Z"
)
_UNITS = (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0), ("seconds", 1.0))


class Times(NamedTuple):
    """A column of times. values: float64 [rows], seconds since 1970 where `dates`. where: the place of a row, such as
    "line 7"."""

    path: Path
    name: str
    values: np.ndarray
    dates: bool
    where: Callable[[int], str]

    def of_dates(self) -> Times:
        """Numbers that are all dates, such as 20240531, as these; others as they are."""
        found = as_dates(self.values)
        return self if found is None else self._replace(values=found, dates=True)

    def checked(self) -> str:
        """What is worth saying of the distances; DataError for times that do not ascend, one series at a time."""
        steps = np.diff(self.values)
        if len(steps) and not (steps > 0).all():
            raise DataError("%s: %s" % (self.path, self._disorder(steps)))
        found = "%s: %d rows from %s to %s" % (self.name, len(self.values), self._shown(0), self._shown(-1))
        if not len(steps):
            return found
        usual = float(np.median(steps))
        uneven = np.flatnonzero((steps > 1.5 * usual) | (steps < usual / 2))  # months and quarters differ by less
        if not len(uneven):
            return "%s, %s apart" % (found, self._length(usual))
        longest = int(steps.argmax())
        return (
            "%s, mostly %s apart, but %d rows are not, and %s is %s after the row before; all are read as if at equal "
            "distances: fill the gaps, or give a part without them"
        ) % (found, self._length(usual), len(uneven), self.where(longest + 1), self._length(float(steps[longest])))

    def _disorder(self, steps: np.ndarray) -> str:
        if (steps < 0).all():
            return "column %r begins with the newest row, %s, and ends with the oldest; turn the rows round" % (
                self.name,
                self._shown(0),
            )
        first = int(np.flatnonzero(steps <= 0)[0]) + 1
        kept = "several series cannot be trained on at once: keep the rows of one, or give each a column of its own"
        often = len(self.values) / len(np.unique(self.values))
        if often > 1.5:
            return "column %r has each time %.3g times (%s goes on with %s); %s" % (
                self.name, often, self.where(first), self._shown(first), kept,
            )  # fmt: skip
        if steps[first - 1] == 0:
            return "%s: column %r has %s again; keep one row for each time" % (
                self.where(first),
                self.name,
                self._shown(first),
            )
        return "%s: column %r goes back from %s to %s; sort the rows by it (%s)" % (
            self.where(first), self.name, self._shown(first - 1), self._shown(first), kept,
        )  # fmt: skip

    def _shown(self, row: int) -> str:
        value = float(self.values[row])
        if not self.dates:
            return "%.15g" % value
        text = str(np.datetime64(round(value * 1e6), "us"))
        return re.sub(r"(?:T00:00:00)?\.000000$", "", text)

    def _length(self, step: float) -> str:
        if not self.dates:
            return "%.6g" % step
        unit, size = next((each for each in _UNITS if step >= each[1]), _UNITS[-1])
        return "%.4g %s" % (step / size, unit[:-1] if step == size else unit)


def seconds_of(cell: str) -> float | None:
    """Of a date or timestamp, since 1970; None for anything else."""
    found = _ISO.match(cell.strip())
    if found is None:
        return None
    text, _, sign, hours, minutes = found.groups()
    day, _, clock = text.replace("/", "-").replace(" ", "T").partition("T")
    digits = clock.replace(":", "")
    clock = ":".join(part for part in (digits[:2], digits[2:4], digits[4:]) if part)
    try:
        moment = np.datetime64("%sT%s" % (day, clock) if clock else day, "us").astype(np.int64) / 1e6
    except ValueError:  # the 31st of February
        return None
    zone = 3600 * int(hours or 0) + 60 * int(minutes or 0)
    return float(moment) - (-zone if sign == "-" else zone)


def as_dates(values: np.ndarray) -> np.ndarray | None:
    """Numbers that are all dates, such as 20240531, as seconds since 1970; None where one is not."""
    if not ((values >= 19000101) & (values <= 21001231) & (values == np.rint(values))).all():
        return None
    found = [seconds_of("%s-%s-%s" % (text[:4], text[4:6], text[6:])) for text in map(str, values.astype(int).tolist())]
    return None if None in found else np.array(found, np.float64)


def hints(names: Sequence[str], chosen: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Sentences on columns that look like times or ids, by a file's first rows, where nothing was said of a time.

    chosen: the columns that are read as values, of which nothing is said.
    """
    found = []
    for name, column in zip(names, zip(*(row for row in rows if len(row) == len(names)))):
        cells = [cell.strip() for cell in column if cell.strip()]
        if len(cells) < 3 or name in chosen:
            continue
        if _like_times(cells):
            found.append(
                "column %r looks like times; --time %s has order, duplicates and gaps checked, which are taken for "
                "right now" % (name, name)
            )
        elif all(_OTHER_DATE.match(cell) for cell in cells):
            found.append(
                "column %r looks like dates in a form that is not read; as 2024-05-31 they are, and --time %s has "
                "order, duplicates and gaps checked" % (name, name)
            )
        elif not _numbers(cells):
            if len(set(cells)) < len(cells) and not set(map(str.lower, cells)) <= {"true", "false"}:
                found.append(
                    "column %r holds text that repeats; if it tells several series apart, keep the rows of one" % name
                )
        elif _ID.search(name) and all(number == round(number) for number in _numbers(cells) if np.isfinite(number)):
            found.append(
                "column %r looks like ids; rows of several series under each other would be read as one: keep the rows "
                "of one series" % name
            )
    return found


def _numbers(cells: Sequence[str]) -> list[float]:
    """All of them as numbers, or none."""
    try:
        return [float(cell) for cell in cells]
    except ValueError:
        return []


def _like_times(cells: Sequence[str]) -> bool:
    if all(seconds_of(cell) is not None for cell in cells):
        return True
    values = np.array(_numbers(cells))
    if not len(values) or not np.isfinite(values).all() or (values != np.rint(values)).any():
        return False
    if as_dates(values) is not None:
        return True
    steps = np.diff(values)
    moments = bool(((values > 1e8) & (values < 1e13)).all() and ((steps > 0).all() or (steps < 0).all()))
    return moments or bool((steps == steps[0]).all() and steps[0] != 0)
