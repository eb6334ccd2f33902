"""The study's folder: one file per finished piece, each written whole or not at all.

A file is a .npz whose entry "index" is JSON: schema, title, values, seconds. Its name ends in a digest of all that the
piece depends on, so a file that is there answers the question, and what answers another question is not looked at.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
from pathlib import Path
from typing import Any, Iterable, Iterator, NamedTuple

import numpy as np

from unrolled.errors import DataError
from unrolled.own_data.arrays import opened_npz
from unrolled.reading import parse_json
from unrolled.writing import open_own, temporary_of, write_atomically

SCHEMA = "unrolled.cell/1"
INDEX = "index"
_OWN = re.compile(r".+-[0-9a-f]{16}\.npz")  # how `Piece.file_name` calls a piece


class Found(NamedTuple):
    """What a piece gave: plain values, and arrays by name."""

    values: dict[str, Any]
    arrays: dict[str, np.ndarray]


class Store:
    """A folder with cells/ in it. Raises DataError when it cannot be made or written to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._pieces = folder / "cells"  # what a piece was called once, and still is in the files
        try:
            self._pieces.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unusable(folder, error) from None

    def load(self, name: str, title: str) -> Found | None:
        """A finished piece; None when it is not there, or damaged: then it is run again."""
        try:
            with opened_npz(self._pieces / name) as archive:
                index = parse_json(str(archive.read(INDEX)).encode("utf-8"))
                if index["schema"] != SCHEMA or index["title"] != title:
                    return None
                if sorted(archive.names) != sorted([INDEX, *index["arrays"]]):
                    return None
                return Found(index["values"], {key: archive.read(key) for key in index["arrays"]})
        except (DataError, LookupError, TypeError, ValueError):  # the latter three of an index that was altered
            return None

    def save(self, name: str, title: str, found: Found) -> None:
        index = json.dumps({"schema": SCHEMA, "title": title, "values": found.values, "arrays": sorted(found.arrays)})
        stream = io.BytesIO()
        entries: dict[str, Any] = {INDEX: np.array(index), **found.arrays}
        np.savez_compressed(stream, **entries)
        write_atomically(self._pieces / name, stream.getvalue())

    def clear(self, names: Iterable[str]) -> None:
        """Forget the pieces of these names; what else is there stays."""
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                (self._pieces / name).unlink()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """For as long as a study writes here. Raises DataError when another one does, or when nobody can."""
        try:
            stream = open_own(self.folder / ".lock", "ab")
        except OSError as error:
            raise _unusable(self.folder, error) from None
        import fcntl

        with stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DataError(
                    "another study is at work in %s; wait for it, or name another folder with --output" % self.folder
                ) from None
            except OSError as error:
                raise _unusable(self.folder, error) from None
            for left in self._pieces.glob(".*"):  # half written by a study that was killed
                if _OWN.fullmatch(temporary_of(left.name) or ""):
                    with contextlib.suppress(OSError):
                        left.unlink()
            yield


def _unusable(folder: Path, error: OSError) -> DataError:
    return DataError("%s cannot be used (%s); name another folder with --output" % (folder, error.strerror or error))
