"""Writing a file whole or not at all: the one way for every file of this house. Standard library alone, but for the
sentence of a command line.

Where others can write to the folder too, a name that they can foretell may be a link of theirs to another file: so what
is opened for writing is made anew, or is no link.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from pathlib import Path
from typing import IO, Any, Callable, Iterator

__all__ = ["TEMPORARY", "open_own", "replace_file", "replacing", "temporary_of", "write_atomically"]

# The suffix of a file that is being written; one left by a crash is nothing but waste.
TEMPORARY = ".partial"
_TEMPORARY_NAME = re.compile(r"\.(.+)\.[0-9a-f]{8}" + re.escape(TEMPORARY))
_NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


def replace_file(path: Path, content: bytes) -> None:
    """Write content to path: see `replacing`."""
    with replacing(path) as stream:
        stream.write(content)


@contextlib.contextmanager
def replacing(path: Path, named: Callable[[], Path] | None = None) -> Iterator[IO[bytes]]:
    """A temporary file beside path to write to; when all is written it goes to the disk, and only then is renamed to
    path, or to what `named` then gives.

    The file keeps the permissions of the one at path. Raises OSError (a full disk, a read-only folder); what path held
    before then stays.
    """
    kept = _mode_of(path)
    temporary = path.with_name(".%s.%s%s" % (path.name, os.urandom(4).hex(), TEMPORARY))
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK
    descriptor = os.open(str(temporary), flags, 0o666 if kept is None else kept)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            if kept is not None and hasattr(os, "fchmod"):  # what the umask has taken away
                os.fchmod(descriptor, kept)
            yield stream
            stream.flush()
            os.fsync(descriptor)
        temporary.replace(path if named is None else named())
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    _sync_folder(path.parent)


def write_atomically(path: Path, content: bytes) -> None:
    """The same for a command line: a failure ends the command with one sentence."""
    try:
        replace_file(path, content)
    except OSError as error:
        import click

        raise click.ClickException("%s cannot be written (%s)" % (path, error.strerror or error)) from error


def open_own(path: Path, mode: str, **options: Any) -> IO[Any]:
    """A regular file opened to append to (mode "a", "ab") or to lock; made where there is none, never emptied.

    Raises OSError, also for a link and for what is no regular file.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NONBLOCK", 0) | _NO_LINK
    descriptor = os.open(str(path), flags, 0o666)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file")
    return os.fdopen(descriptor, mode, **options)


def temporary_of(name: str) -> str | None:
    """The name of the file for which `name` is a temporary one of `replace_file`; None for any other name."""
    found = _TEMPORARY_NAME.fullmatch(name)
    return None if found is None else found.group(1)


def _mode_of(path: Path) -> int | None:
    """The permissions of the regular file at path, None where there is none."""
    try:
        mode = os.lstat(str(path)).st_mode
    except OSError:
        return None
    return mode & 0o777 if stat.S_ISREG(mode) else None


def _sync_folder(folder: Path) -> None:
    """Make a rename in `folder` last: it is an entry of the folder, which is written to the disk like a file."""
    if os.name == "nt":  # a folder cannot be opened there; the rename itself is all that can be done
        return
    descriptor = os.open(str(folder), os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems cannot
            raise
    finally:
        os.close(descriptor)
