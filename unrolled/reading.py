"""Opening files that somebody else may have made. Standard library alone; `unrolled.writing` is the other direction.

A pipe or a device is refused, since reading it could wait for ever or never end. No more is read than a limit, and what
a compressed file unpacks to is held against `room` before memory is asked for.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path
from typing import IO, Any

__all__ = ["RATIO", "ROOM", "open_regular", "parse_json", "read_whole", "room", "room_named"]

# What the contents of any file may take in memory, and how many times its own size those of a larger one may.
ROOM, RATIO = 1 << 28, 5
# Lists and objects in a JSON text: each takes 60 bytes and more, and no more than two of the text.
_MOST_CONTAINERS = 1 << 20


def open_regular(path: Path) -> IO[bytes]:
    """The regular file at path, opened for reading bytes; OSError, whose `strerror` says why, for anything else."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(str(path), flags)
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "a folder" if stat.S_ISDIR(mode) else "not a regular file")
    return os.fdopen(descriptor, "rb")


def read_whole(path: Path, most: int) -> bytes:
    """The bytes of the regular file at path; OSError where there are more than `most`, or it cannot be read."""
    with open_regular(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        if size > most:
            raise OSError(errno.EFBIG, "%d bytes long, expected at most %d" % (size, most))
        return stream.read(size)


def room(size: int) -> int:
    """The bytes that the contents of a file of `size` bytes may take: data that are no bomb seldom take more, and what
    is not compressed never does."""
    return max(ROOM, RATIO * size)


def room_named(size: int) -> str:
    """The same for a message."""
    return "%d MiB, the room for what a file of %d bytes unpacks to" % (room(size) >> 20, size)


def parse_json(content: bytes, **hooks: Any) -> Any:
    """json.loads, bounded: ValueError for what is not valid, nested too deep, or a million lists and objects."""
    if content.count(b"[") + content.count(b"{") > _MOST_CONTAINERS:
        raise ValueError("more than %d lists and objects" % _MOST_CONTAINERS)
    try:
        return json.loads(content.decode("utf-8"), **hooks)
    except RecursionError:
        raise ValueError("nested too deep") from None
