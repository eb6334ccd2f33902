"""Results recorded from genuine TensorFlow 1.15.5, and their reader.

`spec_tests/record.py` makes the files. Each holds several cases: a question as plain values (which behaviour, which
network or program, which dtype, ...) and its arrays, those that went in and those that came out, by name.
"""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any, Iterator, NamedTuple

import numpy as np

from unrolled.datasets.reading import BUNDLED
from unrolled.errors import DataError
from unrolled.own_data.arrays import Archive, opened_npz
from unrolled.reading import parse_json
from unrolled.writing import replace_file

FOLDER = BUNDLED / "recorded"
INDEX = "index"  # the entry of each file that holds its cases as JSON


class Recorded(NamedTuple):
    """One recorded case: its question as plain values, the arrays given, and the arrays that TensorFlow answered."""

    case: dict[str, Any]
    given: dict[str, np.ndarray]
    answer: dict[str, np.ndarray]


def save(path: Path, cases: dict[str, Recorded]) -> None:
    """Write cases to one .npz file. An array is the entry "<case>|given|<name>" or "<case>|answer|<name>"."""
    arrays = {INDEX: np.array(json.dumps({name: recorded.case for name, recorded in cases.items()}))}
    for name, recorded in cases.items():
        for part in ("given", "answer"):
            for key, array in getattr(recorded, part).items():
                arrays["|".join((name, part, key))] = array
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]  # no entry is called allow_pickle
    replace_file(path, stream.getvalue())


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[Archive, dict[str, Any]]]:
    """The archive, its index read. Whatever a damaged file does on reading becomes a DataError."""
    try:
        with opened_npz(path) as archive:
            if INDEX not in archive.names:
                raise DataError("%s: has no %r" % (path, INDEX))
            try:
                index = parse_json(str(archive.read(INDEX)).encode("utf-8"))
            except ValueError as error:
                raise DataError("%s: its %r is not valid JSON (%s)" % (path, INDEX, error)) from None
            if not isinstance(index, dict) or not all(isinstance(case, dict) for case in index.values()):
                raise DataError("%s: its %r is no object with an object for each case" % (path, INDEX))
            yield archive, index
    except DataError as error:
        found = str(error).partition(";")[0]
        raise DataError("%s; restore the file or reinstall unrolled" % found) from None


def files() -> list[Path]:
    """The recorded files, in order of their names. Raises DataError where there are none."""
    found = sorted(FOLDER.glob("*.npz"))
    if not found:
        raise DataError("%s: holds no recorded results (*.npz); reinstall unrolled or restore the folder" % FOLDER)
    return found


def names() -> list[str]:
    """Every recorded case, as "<file>/<case>". Raises DataError for a file that is damaged."""
    listed = []
    for path in files():
        with _opened(path) as (_, index):
            listed += ["%s/%s" % (path.stem, case) for case in index]
    return listed


def load(name: str) -> Recorded:
    """The case that `names` lists as "<file>/<case>".

    Raises KeyError for a name that is not there, DataError for a file that is damaged.
    """
    stem, _, case = name.partition("/")
    path = FOLDER / (stem + ".npz")
    if not path.is_file():
        raise KeyError("no recorded case %r: there is no file %s" % (name, path))
    parts: dict[str, dict[str, np.ndarray]] = {"given": {}, "answer": {}}
    with _opened(path) as (archive, index):
        for entry in archive.names if case in index else ():
            owner, _, rest = entry.partition("|")
            part, _, key = rest.partition("|")
            if owner == case and part in parts:
                parts[part][key] = archive.read(entry)
    if case not in index:
        raise KeyError("no recorded case %r in %s; it holds %s" % (case, path, ", ".join(index)))
    return Recorded(index[case], parts["given"], parts["answer"])
