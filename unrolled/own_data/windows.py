"""A series cut by time into training, validation and test part, and each part into windows that never leave it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from unrolled.errors import DataError

__all__ = ["Split", "Windows", "check_shares", "split_by_time", "windows"]

_MOST_BYTES = 1 << 31


class Split(NamedTuple):
    """(first row, row after the last) of each part, in order of time; an empty part has equal ones."""

    train: tuple[int, int]
    validation: tuple[int, int]
    test: tuple[int, int]


class Windows(NamedTuple):
    """inputs [windows, window, columns]: what is known. targets [windows, window, outputs]: for each step what lies
    ahead of it. starts: the first row of each. The arrays are views of the series, which lie within each other."""

    inputs: np.ndarray
    targets: np.ndarray
    starts: np.ndarray


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


def windows(
    series: np.ndarray,
    ahead: np.ndarray,
    part: tuple[int, int],
    name: str,
    window: int,
    horizon: int,
    stride: int = 1,
    reaching: bool = True,
) -> Windows:
    """All windows of a series [rows, columns] whose next `horizon` rows lie within a part.

    ahead: what lies ahead of each row, [rows - horizon, outputs]. stride: rows between the first steps of two windows.
    reaching: whether the windows themselves may begin before the part, in rows that were known by then; such windows
    are judged at their last step alone. An empty part gives no windows; DataError for a part too short for one, and for
    more windows than fit into 2 GiB.
    """
    first, last = part
    starts = np.arange(max(0, first - window) if reaching else first, last - window - horizon + 1, stride)
    if not len(starts) and last > first:
        before = min(first, window) if reaching else 0
        raise DataError(
            "the %s part has %d rows, but a window of %d steps and a horizon of %d need %d; give more rows, a shorter "
            "window, or another share (0 leaves the part out)"
            % (name, last - first, window, horizon, window + horizon - before)
        )
    size = len(starts) * window * (series.shape[1] * series.itemsize + ahead.shape[1] * ahead.itemsize)
    if size > _MOST_BYTES:
        raise DataError(
            "the %s part gives %d windows, %.1f GiB; give a larger stride" % (name, len(starts), size / 2.0**30)
        )
    if not len(starts) or last <= first:
        inputs, targets = (np.zeros((0, window, each.shape[1]), each.dtype) for each in (series, ahead))
        return Windows(inputs, targets, starts[:0])

    def view(values: np.ndarray) -> np.ndarray:
        values = np.ascontiguousarray(values)
        shape, step = (len(starts), window, values.shape[1]), values.strides[0]
        return np.lib.stride_tricks.as_strided(values[starts[0] :], shape, (step * stride, step, values.itemsize))

    return Windows(view(series), view(ahead), starts)
