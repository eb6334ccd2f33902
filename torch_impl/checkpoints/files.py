"""Whole files read with a limit, and written so that a crash leaves the old file or the new one, never a mixture."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from pathlib import Path

from torch_impl.checkpoints.errors import CheckpointError, naming

__all__ = ["TEMPORARY", "exists", "open_regular", "read_start", "read_whole", "write_atomically"]

# The suffix of a file that is being written; one left by a crash is nothing but waste.
TEMPORARY = ".partial"


def exists(path: Path, folder: bool = False) -> bool:
    """Whether there is anything at `path`, or a folder; raises CheckpointError when that cannot be told."""
    with naming(path):
        return path.is_dir() if folder else path.exists()


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
            raise CheckpointError(f"{size} bytes long, expected at most {most}")
        return stream.read(size)


def read_start(path: Path, count: int) -> bytes:
    """Up to `count` bytes from the start of the file at `path`; raises CheckpointError."""
    with naming(path), os.fdopen(open_regular(path), "rb") as stream:
        return stream.read(count)


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to `path`: into a temporary file beside it, to the disk, and only then renamed.

    Raises CheckpointError (a full disk, a read-only folder); a file that was at `path` is then still the old one.
    """
    with naming(path, "written"):
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
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems cannot
            raise
    finally:
        os.close(descriptor)
