"""Results recorded from genuine TensorFlow 1.15.5, and their reader.

`spec_tests/record.py` makes the files. Each holds several cases: a question as plain values (which behaviour, which
network or program, which dtype, ...) and its arrays, those that went in and those that came out, by name.
"""

from __future__ import annotations

import contextlib
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any, Iterator, NamedTuple

import numpy as np

from unrolled.datasets.reading import BUNDLED
from unrolled.errors import DataError

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
    np.savez_compressed(str(path), **arrays)  # type: ignore[arg-type]  # no entry is called allow_pickle


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The archive, its index read. Whatever a damaged file does on reading becomes a DataError."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            yield archive, json.loads(str(archive[INDEX]))
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error, AttributeError) as error:
        raise DataError(
            "%s: cannot be read as recorded results (%s); restore the file or reinstall unrolled"
            % (path, " ".join(str(error).split()) or type(error).__name__)
        ) from None


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
        for entry in archive.files if case in index else ():
            owner, _, rest = entry.partition("|")
            if owner == case and rest:
                part, _, key = rest.partition("|")
                parts[part][key] = archive[entry]
    if case not in index:
        raise KeyError("no recorded case %r in %s; it holds %s" % (case, path, ", ".join(index)))
    return Recorded(index[case], parts["given"], parts["answer"])
