"""Shift and scale by input: measured on the training part alone, and kept beside the weights."""

from __future__ import annotations

from typing import Any, Mapping, NamedTuple

import numpy as np

from unrolled.errors import DataError

__all__ = ["ColumnScaling"]


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
        values = np.asarray(values, np.float64)
        deviation = values.std(axis=0)
        mean = values.mean(axis=0)
        # A constant's deviation may be a rounding instead of 0.
        constant = deviation <= 1e-12 * np.abs(values).max(axis=0)
        return cls(mean, np.where(constant, 1.0, deviation))

    def apply(self, values: np.ndarray) -> np.ndarray:
        """values [..., inputs] scaled, float32."""
        return ((np.asarray(values, np.float64) - self.shift) / self.scale).astype(np.float32)

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
