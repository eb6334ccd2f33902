"""Writing a file whole or not at all. Standard library alone, but for the sentence of a command line."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

__all__ = ["TEMPORARY", "replace_file", "write_atomically"]

# The suffix of a file that is being written; one left by a crash is nothing but waste.
TEMPORARY = ".partial"


def replace_file(path: Path, content: bytes) -> None:
    """Write content to a temporary file beside path, to the disk, and only then rename it to path.

    Raises OSError (a full disk, a read-only folder); what path held before then stays.
    """
    temporary = path.with_name(".%s.%s%s" % (path.name, os.urandom(4).hex(), TEMPORARY))
    try:
        with temporary.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
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
