"""Whole files read with a limit, and written so that a crash leaves the old file or the new one, never a mixture."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path

from torch_impl.checkpoints.errors import CheckpointError, naming

__all__ = ["TEMPORARY", "open_regular", "read_whole", "write_atomically"]

# The suffix of a file that is being written; one left by a crash is nothing but waste.
TEMPORARY = ".partial"


def open_regular(path: Path) -> int:
    """A descriptor for reading the regular file at `path`; raises CheckpointError (unnamed) or OSError.

    A pipe or a device in its place is refused: reading one could wait for ever.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise CheckpointError("not a regular file")
    return descriptor


def read_whole(path: Path, most: int) -> bytes:
    """The bytes of the file at `path`; raises CheckpointError when there are more than `most`, or it cannot be read."""
    with naming(path), os.fdopen(open_regular(path), "rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        if size > most:
            raise CheckpointError(f"{size} bytes, which is more than the {most} that such a file can have")
        return stream.read(most + 1)[: most + 1]


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to `path`: into a temporary file beside it, to the disk, and only then renamed.

    Raises CheckpointError (a full disk, a read-only folder); a file that was at `path` is then still the old one.
    """
    with naming(path):
        temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}{TEMPORARY}")
        try:
            with temporary.open("xb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make a rename in `folder` last: it is an entry of the folder, which is written to the disk like a file."""
    if os.name == "nt":  # a folder cannot be opened there; the rename itself is all that can be done
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
