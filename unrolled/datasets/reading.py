"""Reading files that may be compressed: every failure is a DataError that names the file."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import zlib
from pathlib import Path
from typing import IO, Any, Iterator

from unrolled.errors import DataError
from unrolled.reading import open_regular, room

__all__ = ["BUNDLED", "check_sha256", "find", "opened", "plainly", "read_at_most", "room_of", "size_of"]

_PACKAGE = Path(__file__).resolve().parents[1]
# In the wheel the files lie inside the package; in a checkout beside it.
BUNDLED = next(
    (folder for folder in (_PACKAGE / "data", _PACKAGE.parent / "data") if folder.is_dir()), _PACKAGE / "data"
)

_CHUNK = 1 << 20


def find(folder: Path, name: str) -> Path:
    """The file `name` in folder, or else `name`.gz. Raises DataError when neither is there."""
    for candidate in (folder / name, folder / (name + ".gz")):
        if candidate.is_file():
            return candidate
    raise DataError(
        "%s: no such file, with or without .gz; %s"
        % (
            folder / name,
            "reinstall unrolled or restore its data folder"
            if BUNDLED in folder.resolve().parents
            else "put it there, or name another folder",
        )
    )


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The bytes of the regular file at path, uncompressed when its name ends in .gz. Failures become DataError."""
    with plainly(path), open_regular(path) as stream:
        if path.suffix != ".gz":
            yield stream
            return
        with gzip.GzipFile(fileobj=stream) as unpacked:
            yield unpacked


def size_of(stream: IO[bytes]) -> int:
    """The size of a file from `opened` as it lies there, compressed or not."""
    return os.fstat(stream.fileno()).st_size


def room_of(stream: IO[bytes]) -> int:
    """What its contents may take, see `unrolled.reading.room`."""
    return room(size_of(stream))


@contextlib.contextmanager
def plainly(path: Path) -> Iterator[None]:
    """Around looking at path: a failure of the file system or of decompression becomes a DataError that names it."""
    try:
        yield
    except EOFError:
        raise DataError("%s: the compressed file ends too early (truncated); get the file again" % path) from None
    except (OSError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise DataError(
            "%s: cannot be read (%s); check its permissions or get the file again" % (path, reason)
        ) from None


def read_at_most(stream: IO[bytes], count: int) -> bytes:
    """Up to count bytes, fewer only at the end of the stream.

    Read in pieces, so that a count taken from an altered header never asks for more memory than the file fills.
    """
    parts = []
    while count > 0:
        part = stream.read(min(count, _CHUNK))
        if not part:
            break
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def check_sha256(path: Path, expected: str | None, *parts: bytes) -> None:
    """Raise DataError unless parts, joined, hash to expected (hexadecimal); None expects nothing."""
    if expected is None:
        return
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    if digest.hexdigest() != expected:
        raise DataError(
            "%s: altered: the SHA-256 of its uncompressed bytes is %s, expected %s; restore the file from the "
            "distribution" % (path, digest.hexdigest(), expected)
        )
