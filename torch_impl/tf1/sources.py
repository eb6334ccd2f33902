"""Where in a checkpoint a canonical weight is, and how it gets there and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Source"]


class Source(NamedTuple):
    """The variables that a canonical weight is made of, one below the other.

    transposed: it is stored so. interleaved: the rows at which slices begin whose rows take turns (TensorFlow's "mod"
    look-up); empty where they do not. zeros: it is not stored, and is zeros of this shape.
    """

    names: tuple[str, ...]
    transposed: bool = False
    interleaved: tuple[int, ...] = ()
    zeros: tuple[int, ...] = ()

    def shape(self, shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
        """The canonical weight's, from those of the variables; ValueError where these are not one below the other."""
        if not self.names:
            return self.zeros
        first, *others = (shapes[name] for name in self.names)
        if others and (not first or any(each[1:] != first[1:] for each in others)):
            raise ValueError(f"{', '.join(self.names)} do not lie one below the other")
        shape = (first[0] + sum(each[0] for each in others), *first[1:]) if others else first
        return shape[::-1] if self.transposed else shape

    def array(self, read: Callable[[str], np.ndarray]) -> np.ndarray:
        """The canonical weight, from the variables as `read` gives them."""
        if not self.names:
            return np.zeros(self.zeros, np.float32)
        parts = [read(name) for name in self.names]
        array = parts[0] if len(parts) == 1 else np.concatenate(parts)
        array = array[self._order(len(array))] if self.interleaved else array
        return np.ascontiguousarray(array.T) if self.transposed else array

    def variables(self, array: np.ndarray, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
        """The way back: the variables that the canonical weight makes, by name. shapes: theirs."""
        array = array.T if self.transposed else array
        if self.interleaved:
            stored = np.empty_like(array)
            stored[self._order(len(array))] = array
            array = stored
        if len(self.names) == 1:
            return {self.names[0]: np.ascontiguousarray(array)}
        found, start = {}, 0
        for name in self.names:
            rows = shapes[name][0] if shapes[name] else 1
            found[name] = np.ascontiguousarray(array[start : start + rows])
            start += rows
        return found

    def _order(self, rows: int) -> np.ndarray:
        """Where row k of the table is stored: row k // n of slice k % n."""
        starts, k = np.asarray(self.interleaved), np.arange(rows)
        return starts[k % len(starts)] + k // len(starts)

    def plain(self) -> dict[str, Any]:
        """As JSON can hold it; `Source(**...)` of lists made tuples is the way back."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in self._asdict().items()}
