"""Forecasts that a model has to beat: the last value, the last season, the mean, and a ridge regression.

All get a series float64 [rows, columns], of which the first `targets` columns are forecast, and give float64 [origins,
horizon, targets]; an origin is the number of the first row that is forecast.
"""

from __future__ import annotations

import numpy as np

__all__ = ["forecasts_to_beat", "found_season", "ridge"]

_MOST_FEATURES, _MOST_ROWS = 4000, 20_000
_MULTIPLES = 8  # of a season, by which it is measured
_PENALTIES = 10.0 ** np.arange(-6, 3)  # of the features' mean variance


def forecasts_to_beat(
    series: np.ndarray, targets: int, origins: np.ndarray, horizon: int, mean: np.ndarray, season: int | None
) -> dict[str, np.ndarray]:
    """The simple ones by name. mean: of the training part [targets]. season: rows, None where there is none."""
    wanted, steps = series[:, :targets], np.arange(horizon)
    found = {"last value": np.repeat(wanted[origins - 1][:, None], horizon, axis=1)}
    if season is not None and (origins >= season).all():
        found["seasonal naive"] = wanted[origins[:, None] - season + steps % season]
    found["mean"] = np.broadcast_to(mean, found["last value"].shape)
    return found


def found_season(series: np.ndarray) -> int | None:
    """The season of a series [rows, columns] in rows: the first peak of the differences' autocorrelation, after it has
    been below 0, that is above 0.3 and above 0.8 of the highest (a season's multiples are peaks, too); within a tenth
    of that, where the first eight multiples together have the most: a year of weeks has 52.2. None where there is no
    such peak, or not three times."""
    steps = np.diff(np.asarray(series, np.float64), axis=0)
    steps = steps - steps.mean(axis=0)
    rows = len(steps)
    most = min(rows // 2, 1000 * _MULTIPLES)
    power = np.square(steps).sum(axis=0)
    rounding = 1e-12 * np.abs(series).max(axis=0)
    if most < 4 or not (power > rows * np.square(rounding)).all():
        return None
    spectrum = np.abs(np.fft.rfft(steps, 2 * rows, axis=0)) ** 2
    lags = (np.fft.irfft(spectrum, axis=0)[: most + 1] / power).mean(axis=1) * rows / (rows - np.arange(most + 1))
    below = np.flatnonzero(lags < 0)
    inner = lags[2:-1]
    peaks = np.flatnonzero((inner > lags[1:-2]) & (inner >= lags[3:]) & (inner > 0.3)) + 2
    peaks = peaks[peaks > below[0]] if len(below) else below
    peaks = peaks[peaks <= min(rows // 3, 1000)]
    high = peaks[lags[peaks] >= 0.8 * lags[peaks].max()] if len(peaks) else peaks
    if not len(high):
        return None
    near = np.arange(0.9 * high[0], 1.1 * high[0] + 0.01, 0.02)
    multiples = np.rint(near[:, None] * np.arange(1, 1 + _MULTIPLES)).astype(int)
    comb = np.array([lags[each[each <= most]].mean() for each in multiples])
    return round(float(near[comb >= comb.max() - 1e-9].mean()))


def ridge(
    series: np.ndarray, targets: int, train: int, validation: int, window: int, origins: np.ndarray, horizon: int
) -> np.ndarray | None:
    """A linear regression on the rows of a window, less its last row, with a penalty on squares chosen on the rows from
    `train` to `validation`, and fitted to the windows of the rows before `train` alone. None where there are more than
    4,000 values in a window."""
    if window * series.shape[1] > _MOST_FEATURES:
        return None
    known = np.arange(window, train - horizon + 1)
    known = known[:: 1 + len(known) // _MOST_ROWS]
    inputs, wanted = _pairs(series, targets, known, window, horizon)
    shift, bias = inputs.mean(axis=0), wanted.mean(axis=0)
    values, vectors = np.linalg.eigh((inputs - shift).T @ (inputs - shift))
    moved = vectors.T @ ((inputs - shift).T @ (wanted - bias))
    size = max(float(np.abs(values).mean()), np.finfo(float).tiny)
    weights = [vectors @ (moved / (np.maximum(values, 0) + size * penalty)[:, None]) for penalty in _PENALTIES]
    judged = np.arange(max(train, window), validation - horizon + 1)
    if not len(judged):
        judged = known
    here, came = _pairs(series, targets, judged, window, horizon)
    errors = [np.square((here - shift) @ each + bias - came).mean() for each in weights]
    rows = _rows(series, origins, window)
    found = (rows - shift) @ weights[int(np.argmin(errors))] + bias
    return found.reshape(len(origins), horizon, targets) + series[origins - 1][:, None, :targets]


def _rows(series: np.ndarray, origins: np.ndarray, window: int) -> np.ndarray:
    rows = series[origins[:, None] - window + np.arange(window)]
    return (rows - rows[:, -1:]).reshape(len(origins), -1)


def _pairs(
    series: np.ndarray, targets: int, origins: np.ndarray, window: int, horizon: int
) -> tuple[np.ndarray, np.ndarray]:
    came = series[origins[:, None] + np.arange(horizon)][..., :targets] - series[origins - 1][:, None, :targets]
    return _rows(series, origins, window), came.reshape(len(origins), -1)
