"""Shift and scale by input: measured on the training part alone, and kept beside the weights."""

from __future__ import annotations

from typing import Any, Mapping, NamedTuple

import numpy as np

from unrolled.errors import DataError

__all__ = ["ColumnScaling"]

_AT_ONCE = 1 << 22  # values


class ColumnScaling(NamedTuple):
    """scaled = (values - shift) / scale; both float64 [inputs], scale nowhere 0."""

    shift: np.ndarray
    scale: np.ndarray

    @classmethod
    def none(cls, inputs: int) -> ColumnScaling:
        """The one that changes nothing."""
        return cls(np.zeros(inputs), np.ones(inputs))

    @classmethod
    def fitted(cls, values: np.ndarray) -> ColumnScaling:
        """To mean 0 and standard deviation 1 of values [rows, inputs]; an input that never changes is only shifted."""
        count, parts = len(values), _parts(values)
        mean = sum(np.asarray(values[part], np.float64).sum(axis=0) for part in parts) / count
        squares = sum(np.square(np.asarray(values[part], np.float64) - mean).sum(axis=0) for part in parts)
        largest = np.max([np.abs(values[part]).max(axis=0) for part in parts], axis=0)
        deviation = np.sqrt(squares / count)
        # A constant's deviation may be a rounding instead of 0.
        constant = deviation <= 1e-12 * largest
        return cls(mean, np.where(constant, 1.0, deviation))

    def apply(self, values: np.ndarray, into: np.ndarray | None = None) -> np.ndarray:
        """values [..., inputs] scaled, float32, in a new array or in `into`, which may be the values themselves."""
        values = np.asarray(values)
        if values.ndim < 2:
            return ((np.asarray(values, np.float64) - self.shift) / self.scale).astype(np.float32)
        scaled = np.empty(values.shape, np.float32) if into is None else into
        for part in _parts(values):
            scaled[part] = (np.asarray(values[part], np.float64) - self.shift) / self.scale
        return scaled

    def undo(self, values: np.ndarray) -> np.ndarray:
        """Scaled values [..., inputs] in their own units again, float64."""
        return np.asarray(values, np.float64) * self.scale + self.shift

    def to_json(self) -> dict[str, list[float]]:
        """Plain values for a checkpoint."""
        return {"shift": self.shift.tolist(), "scale": self.scale.tolist()}

    @classmethod
    def from_json(cls, values: Any, inputs: int) -> ColumnScaling:
        """The reverse; DataError for anything but `inputs` finite shifts and scales, no scale 0."""
        arrays = []
        for name in ("shift", "scale"):
            found = values.get(name) if isinstance(values, Mapping) else None
            good = isinstance(found, list) and all(type(value) in (int, float) for value in found)
            array = np.array(found, np.float64) if good and len(found or []) == inputs else np.array([np.nan])
            if not np.isfinite(array).all() or (name == "scale" and not (array > 0).all()):
                raise DataError(
                    "the run's %r is not %d numbers that can scale; use another checkpoint" % (name, inputs)
                )
            arrays.append(array)
        return cls(*arrays)


def _parts(values: np.ndarray) -> list[slice]:
    """All rows in pieces, so that what is computed of them in float64 takes little memory."""
    rows = max(1, _AT_ONCE * len(values) // max(1, values.size))
    return [slice(first, first + rows) for first in range(0, len(values), rows)]
