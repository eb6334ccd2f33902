"""A part of a data set, as a program trains or is measured on it. NumPy alone; Python 3.7 syntax."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["Part"]


class Part(NamedTuple):
    """Rows of a data set: inputs [rows, steps, inputs]; targets by row, as the model's kind wants them; lengths,
    integers [rows], or None where all rows are whole."""

    inputs: np.ndarray
    targets: np.ndarray
    lengths: np.ndarray | None = None

    def rows(self, chosen: np.ndarray) -> Part:
        """Some of the rows, by their numbers."""
        lengths = None if self.lengths is None else self.lengths[chosen]
        return Part(self.inputs[chosen], self.targets[chosen], lengths)
