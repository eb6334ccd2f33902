"""Which rows of a table are some that are known, by marks of 64 bits: never the rows themselves.

A mark is of a block of rows one after the other, long enough that the known table hardly repeats itself; a row is known
where a block that holds it is.
"""

from __future__ import annotations

import numpy as np

__all__ = ["block_length", "known_by", "marks_of"]

_LENGTHS = (1, 2, 4, 8, 16, 32, 64)
_ALIKE = 0.01  # the share of blocks that may be like another


def block_length(values: np.ndarray) -> int:
    """The rows of a block for a table float64 [rows, columns], at least one row: the fewest, of powers of 2 up to 64,
    of which all blocks but one in a hundred differ."""
    for length in _LENGTHS:
        marks = marks_of(values, length)
        if 2 * length > len(values) or len(np.unique(marks)) >= (1 - _ALIKE) * len(marks):
            return length
    return _LENGTHS[-1]


def marks_of(values: np.ndarray, length: int) -> np.ndarray:
    """Of each block of `length` rows of a table [rows, columns]: int64 [rows - length + 1], or none at all."""
    bits = (np.ascontiguousarray(values, np.float64) + 0.0).view(np.uint64)  # -0 becomes 0
    places = _mixed(np.arange(1, values.shape[1] + 1, dtype=np.uint64))
    rows = _mixed((_mixed(bits) ^ places).sum(axis=1, dtype=np.uint64))
    count = max(0, len(rows) - length + 1)
    found = np.zeros(count, np.uint64)
    for step in range(length):
        found = _mixed(found ^ rows[step : step + count])
    return found.view(np.int64)


def known_by(values: np.ndarray, marks: np.ndarray, length: int) -> np.ndarray:
    """Whether each row of a table [rows, columns] lies in a block that has one of the marks: bool [rows]."""
    starts = np.isin(marks_of(values, length), marks)
    known = np.zeros(len(values), bool)
    for step in range(length):
        known[step : step + len(starts)] |= starts
    return known


def _mixed(values: np.ndarray) -> np.ndarray:
    """SplitMix64's finalizer (Steele, Lea, Flood, OOPSLA 2014), of uint64."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
