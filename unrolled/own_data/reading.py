"""How a series is read: as it is, or without its level, which later rows need not share with those trained on.

    level        the values; predicted are the next values
    relative     the values less the window's first; predicted is how the next ones differ from the row just read
    difference   the values less those of the row before (0 at the window's first row); predicted as for relative

No reading looks ahead of the row it is at, so each step of a window is a forecast like the last one's. Before each of
them the logarithm can be taken. All are undone in what is predicted.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from unrolled.own_data.scaling import ColumnScaling

__all__ = ["READINGS", "SeriesScaling", "chosen_reading"]

READINGS = ("level", "relative", "difference")


class SeriesScaling(NamedTuple):
    """reading: one of READINGS. log: whether the logarithm is taken first. inputs, targets: the scaling of what is read
    [columns] and of what is predicted [horizon * targets], the nearest row first."""

    reading: str
    log: bool
    inputs: ColumnScaling
    targets: ColumnScaling

    def to_json(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        targets = self.targets.to_json()
        found = dict(self.inputs.to_json(), target_shift=targets["shift"], target_scale=targets["scale"])
        return dict(found, reading=self.reading, log=self.log)

    @classmethod
    def fitted(cls, values: np.ndarray, reading: str, log: bool, window: int, horizon: int, targets: int) -> Any:
        """To mean 0 and standard deviation 1 over the rows to train on, values [rows, columns], the logarithm already
        taken. The first `targets` columns are predicted."""
        ahead = _ahead(values, reading, horizon, targets)
        if reading == "level":
            level = ColumnScaling.fitted(values)
            tiled = (np.tile(part[:targets], horizon) for part in level)
            return cls(reading, log, level, ColumnScaling(*tiled))
        steps = np.diff(values, axis=0)
        if reading == "difference":
            return cls(reading, log, ColumnScaling.fitted(steps), ColumnScaling.fitted(ahead))
        starts = np.arange(0, len(values) - window + 1, max(1, window // 2))
        seen = np.concatenate([values[start : start + window] - values[start] for start in starts])
        return cls(reading, log, ColumnScaling.fitted(seen), ColumnScaling.fitted(ahead))

    @classmethod
    def none(cls, reading: str, log: bool, columns: int, outputs: int) -> SeriesScaling:
        """The reading alone, nothing scaled."""
        return cls(reading, log, ColumnScaling.none(columns), ColumnScaling.none(outputs))

    def read(self, windows: np.ndarray) -> np.ndarray:
        """What the network reads of windows [..., window, columns] of values, the logarithm already taken; float32."""
        if self.reading == "relative":
            windows = windows - windows[..., :1, :]
        elif self.reading == "difference":
            windows = np.diff(windows, axis=-2, prepend=windows[..., :1, :])
        return self.inputs.apply(windows)

    def ahead(self, values: np.ndarray, horizon: int, targets: int) -> np.ndarray:
        """What is to be predicted at each row of values [rows, columns] but the last `horizon`: float32
        [rows - horizon, horizon * targets]."""
        return self.targets.apply(_ahead(values, self.reading, horizon, targets))

    def undo(self, predictions: np.ndarray, read: np.ndarray) -> np.ndarray:
        """Predictions [..., horizon * targets] in the data's own units, float64. read: the rows that were read
        where they were made [..., targets], in the data's own units."""
        found = self.targets.undo(predictions)
        if self.reading != "level":
            base = np.log(read) if self.log else np.asarray(read, np.float64)
            found = found + np.tile(base, found.shape[-1] // base.shape[-1])
        return np.exp(found) if self.log else found


def chosen_reading(values: np.ndarray, train: int, horizon: int) -> str:
    """The reading that forecasts better: "difference" where the last value forecasts the validation part better than
    the training part's mean does, in most columns, else "level".

    values: float64 [rows, targets] of both parts, the first `train` rows the training part; where none follow, the
    training part's own second half is forecast by its first.
    """
    start = train if train + horizon <= len(values) else len(values) // 2
    last, mean = values[start - 1 : len(values) - horizon], values[:start].mean(axis=0)
    came = values[start - 1 + horizon :]
    wins = np.square(came - last).mean(axis=0) < np.square(came - mean).mean(axis=0)
    return "difference" if wins.mean() >= 0.5 else "level"


def _ahead(values: np.ndarray, reading: str, horizon: int, targets: int) -> np.ndarray:
    rows, wanted = len(values) - horizon, values[:, :targets]
    ahead = np.concatenate([wanted[step : step + rows] for step in range(1, horizon + 1)], axis=1)
    return ahead if reading == "level" else ahead - np.tile(wanted[:rows], horizon)
