"""Arrays as text: what `show` prints."""

from __future__ import annotations

import numpy as np

__all__ = ["heading", "shape_of", "table", "tables"]


def heading(text: str) -> str:
    return "%s\n%s\n" % (text, "=" * len(text))


def shape_of(array: np.ndarray) -> str:
    return "[%s]" % ", ".join(str(size) for size in array.shape)


def tables(name: str, arrays: list[np.ndarray]) -> list[str]:
    pattern = name if "%d" in name else name + "[%d]"
    return [table(pattern % step, array) for step, array in enumerate(arrays)]


def table(name: str, array: np.ndarray, notes: list[str] | None = None) -> str:
    """One matrix, a line per row, columns aligned; notes stand behind their rows."""
    array = array + 0.0  # or a zero may be shown as -0
    whole = bool((array == np.round(array)).all()) and array.size and abs(array).max() < 100
    lines = ["%s %s" % (name, shape_of(array))]
    for row, values in enumerate(array):
        cells = "".join(("%4d" % value) if whole else ("%14.10f" % value) for value in values)
        note = "   <- " + notes[row] if notes and notes[row] else ""
        lines.append("  %d |%s%s" % (row, cells, note))
    return "\n".join(lines) + "\n"
