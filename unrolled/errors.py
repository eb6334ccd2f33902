"""The one error for data that cannot be used."""

from __future__ import annotations

__all__ = ["DataError"]


class DataError(Exception):
    """A data file is missing, truncated, altered or misshapen, or a saved state does not hold together.

    The message is one sentence or two: which file, what was found, what was expected, what to do.
    """
