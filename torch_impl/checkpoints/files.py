"""Whole files read with a limit, and written so that a crash leaves the old file or the new one, never a mixture; and
folders kept to one writer."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from torch_impl.checkpoints.errors import CheckpointError, naming
from unrolled.writing import replace_file

__all__ = ["exists", "held", "open_regular", "read_start", "read_whole", "write_atomically"]


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
        replace_file(path, data)


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep other trainings out of the folder; CheckpointError when one is in it. The lock goes with the process.

    Where the file system has no locks, or the system no such call, nothing is kept out.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise CheckpointError(f"{folder}: another process is training there; stop it or wait for its end") from None
    except OSError:
        pass
    try:
        yield
    finally:
        os.close(descriptor)
