"""Whole files read with a limit, and written so that a crash leaves the old file or the new one, never a mixture; and
folders kept to one writer."""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from torch_impl.checkpoints.errors import CheckpointError, naming
from unrolled import reading
from unrolled.reading import open_regular
from unrolled.writing import replace_file, replacing

__all__ = ["exists", "held", "parts_of", "read_start", "read_whole", "replacing", "write_atomically"]


_PART = 1 << 22


def exists(path: Path, folder: bool = False) -> bool:
    """Whether there is anything at `path`, or a folder; raises CheckpointError when that cannot be told."""
    with naming(path):
        return path.is_dir() if folder else path.exists()


def read_whole(path: Path, most: int) -> bytes:
    """The bytes of the file at `path`; raises CheckpointError when there are more than `most`, or it cannot be read."""
    with naming(path):
        return reading.read_whole(path, most)


def read_start(path: Path, count: int) -> bytes:
    """Up to `count` bytes from the start of the file at `path`; raises CheckpointError."""
    with naming(path), open_regular(path) as stream:
        return stream.read(count)


def parts_of(array: np.ndarray) -> Iterator[memoryview]:
    """The bytes of an array in its order, little-endian, a few megabytes at a time, to be used before the next are
    asked for: where they are a mapped file's, no more of it than that stays in memory."""
    content = array.astype(array.dtype.newbyteorder("<"), "C", copy=False).reshape(-1).view(np.uint8)
    source: Any = content
    while isinstance(source, np.ndarray):
        source = source.base
    source = source.obj if isinstance(source, memoryview) else source
    for start in range(0, content.size, _PART):
        yield memoryview(content[start : start + _PART])  # type: ignore[arg-type]  # NumPy's stub does not know buffers
        if isinstance(source, mmap.mmap) and hasattr(source, "madvise"):
            source.madvise(mmap.MADV_DONTNEED)


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
