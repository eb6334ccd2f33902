"""Writing a file whole or not at all."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import click


def write_atomically(path: Path, content: bytes) -> None:
    """Write content to a temporary file beside path and rename it, so that path is never half written.

    A failure (a full disk) ends the command with one sentence; what path held before stays.
    """
    temporary = path.with_name(".%s.%d" % (path.name, os.getpid()))
    try:
        try:
            with temporary.open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()
    except OSError as error:
        raise click.ClickException("%s cannot be written (%s)" % (path, error.strerror or error)) from error
