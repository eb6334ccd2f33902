"""Results recorded from genuine TensorFlow 1.15.5, and their reader.

`spec_tests/record.py` makes the files. Each holds several cases: a question as plain values (which behaviour, which
network or program, which dtype, ...) and its arrays, those that went in and those that came out, by name.

In a file all values of one dtype lie end to end, for an archive of many small arrays is mostly their headers. The index
tells each array's dtype and shape, in the order in which they lie.
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
PARTS = ("given", "answer")


class Recorded(NamedTuple):
    """One recorded case: its question as plain values, the arrays given, and the arrays that TensorFlow answered."""

    case: dict[str, Any]
    given: dict[str, np.ndarray]
    answer: dict[str, np.ndarray]


def save(path: Path, cases: dict[str, Recorded]) -> None:
    """Write cases to one .npz file: the index, and for each dtype, under its name, the values of all its arrays."""
    index: dict[str, Any] = {}
    values: dict[str, list[np.ndarray]] = {}
    for name, recorded in cases.items():
        index[name] = {"case": recorded.case}
        for part in PARTS:
            index[name][part] = {}
            for key, array in getattr(recorded, part).items():
                index[name][part][key] = [array.dtype.name, list(array.shape)]
                values.setdefault(array.dtype.name, []).append(np.ravel(array))
    entries = {INDEX: np.array(json.dumps(index))}
    entries.update((dtype, np.concatenate(arrays)) for dtype, arrays in values.items())
    np.savez_compressed(str(path), **entries)  # type: ignore[arg-type]  # no entry is called allow_pickle


_BROKEN = (zipfile.BadZipFile, zlib.error)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The archive, its index read. Whatever a damaged file does on reading becomes a DataError."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            yield archive, json.loads(str(archive[INDEX]))
    except (OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, *_BROKEN) as error:
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
    with _opened(path) as (archive, index):
        arrays = _arrays_of(case, archive, index) if case in index else {}
    if case not in index:
        raise KeyError("no recorded case %r in %s; it holds %s" % (case, path, ", ".join(index)))
    return Recorded(index[case]["case"], arrays["given"], arrays["answer"])


def _arrays_of(case: str, archive: Any, index: dict[str, Any]) -> dict[str, dict[str, np.ndarray]]:
    """A case's arrays by name, given and answered."""
    found: dict[str, dict[str, np.ndarray]] = {}
    start: dict[str, int] = {}
    for name, entry in index.items():
        for part in PARTS:
            arrays = {}
            for key, (dtype, shape) in entry[part].items():
                begin = start.get(dtype, 0)
                start[dtype] = begin + int(np.prod(shape, dtype=int))
                arrays[key] = (dtype, slice(begin, start[dtype]), shape)
            if name == case:
                values = {dtype: archive[dtype] for dtype, _, _ in arrays.values()}
                found[part] = {key: values[dtype][rows].reshape(shape) for key, (dtype, rows, shape) in arrays.items()}
        if name == case:
            return found
    return found
