"""The one error for a checkpoint that cannot be used, and how a file's name gets into its message."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

__all__ = ["CheckpointError", "naming"]


class CheckpointError(Exception):
    """A checkpoint is missing, truncated, altered or of another kind, or cannot be written.

    The message is one sentence: which file or variable, what was found, what was expected, what to do.
    """


@contextlib.contextmanager
def naming(path: str | os.PathLike[str], action: str = "read") -> Iterator[None]:
    """Put `path` before the message of a CheckpointError, and turn a failure of the file system into one.

    action: what was tried, "read" or "written".
    """
    try:
        yield
    except CheckpointError as error:
        raise CheckpointError(f"{os.fspath(path)}: {error}") from None
    except OSError as error:
        raise CheckpointError(f"{os.fspath(path)}: cannot be {action} ({error.strerror or error})") from None
