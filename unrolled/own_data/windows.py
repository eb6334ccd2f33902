"""A series cut by time into training, validation and test part, and each part into windows that never leave it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from unrolled.errors import DataError
from unrolled.own_data.scaling import ColumnScaling

__all__ = ["Split", "Windows", "check_shares", "fitted", "split_by_time", "windows"]

_MOST_BYTES = 1 << 31


class Split(NamedTuple):
    """(first row, row after the last) of each part, in order of time; an empty part has equal ones."""

    train: tuple[int, int]
    validation: tuple[int, int]
    test: tuple[int, int]


class Windows(NamedTuple):
    """inputs [windows, window, columns]: what is known. targets [windows, window, horizon * columns]: for each step the
    `horizon` rows after it, the nearest first. Both are views of the series, which lie within each other."""

    inputs: np.ndarray
    targets: np.ndarray


def check_shares(validation: float, test: float) -> None:
    """Raise DataError unless both are shares that leave some of the rows to train on."""
    if not (0 <= validation < 1 and 0 <= test < 1 and validation + test < 1):
        raise DataError(
            "the validation share is %s and the test share %s, expected two from 0 that leave some to train on"
            % (validation, test)
        )


def split_by_time(rows: int, validation: float, test: float) -> Split:
    """The last share `test` of the rows is the test part, the share `validation` before it the validation part."""
    check_shares(validation, test)
    last = rows - round(rows * test)
    middle = last - round(rows * validation)
    return Split((0, middle), (middle, last), (last, rows))


def windows(series: np.ndarray, part: tuple[int, int], name: str, window: int, horizon: int, stride: int) -> Windows:
    """All windows of a series [rows, columns] that lie within a part with the `horizon` rows after them.

    stride: rows between the first steps of two windows. An empty part gives no windows; DataError for a part too short
    for one, and for more windows than fit into 2 GiB.
    """
    first, last = part
    columns = series.shape[1]
    starts = np.arange(first, last - window - horizon + 1, stride)
    if not len(starts) and last > first:
        raise DataError(
            "the %s part has %d rows, but a window of %d steps and a horizon of %d need %d; give more rows, a shorter "
            "window, or another share (0 leaves the part out)" % (name, last - first, window, horizon, window + horizon)
        )
    size = len(starts) * window * columns * (1 + horizon) * series.itemsize
    if size > _MOST_BYTES:
        raise DataError(
            "the %s part gives %d windows, %.1f GiB; give a larger stride" % (name, len(starts), size / 2.0**30)
        )
    if not len(starts):
        return Windows(*(np.zeros((0, window, size * columns), series.dtype) for size in (1, horizon)))
    series = np.ascontiguousarray(series)

    def view(start: int, size: int) -> np.ndarray:
        """At each step of each window `size` rows beside each other, from row `start` on."""
        shape, step = (len(starts), window, size * columns), series.strides[0]
        return np.lib.stride_tricks.as_strided(series[start:], shape, (step * stride, step, series.itemsize))

    return Windows(view(first, 1), view(first + 1, horizon))


def fitted(values: np.ndarray, split: Split) -> ColumnScaling:
    """The scaling of the training part alone: nothing of what comes later may be known."""
    return ColumnScaling.fitted(values[slice(*split.train)])
