"""Results recorded from genuine TensorFlow 1.15.5, and their reader.

`spec_tests/record.py` makes the files. Each holds several cases: a question as plain values (which behaviour, which
network or program, which dtype, ...) and its arrays, those that went in and those that came out, by name.

In a file all values of one dtype lie end to end, for an archive of many small arrays is mostly their headers. The index
tells each array's dtype and shape, in the order in which they lie.
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
    stream = io.BytesIO()
    np.savez_compressed(stream, **entries)  # type: ignore[arg-type]  # no entry is called allow_pickle
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
    except (LookupError, TypeError, ValueError, AttributeError) as error:  # its index does not fit its arrays
        raise DataError(
            "%s: cannot be read as recorded results (%r); restore the file or reinstall unrolled" % (path, error)
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


def questions() -> dict[str, dict[str, Any]]:
    """Every recorded case's question, by the case's name, without its arrays. Raises DataError as `names`."""
    found = {}
    for path in files():
        with _opened(path) as (_, index):
            found.update({"%s/%s" % (path.stem, case): entry["case"] for case, entry in index.items()})
    return found


def load(name: str) -> Recorded:
    """The case that `names` lists as "<file>/<case>".

    Raises KeyError for a name that is not there, DataError for a file that is damaged.
    """
    stem, _, case = name.partition("/")
    path = FOLDER / (stem + ".npz")
    if not path.is_file():
        raise KeyError("no recorded case %r: there is no file %s" % (name, path))
    with _opened(path) as (archive, index):
        arrays = _arrays_of(case, archive, index) if case in index else {part: {} for part in PARTS}
    if case not in index:
        raise KeyError("no recorded case %r in %s; it holds %s" % (case, path, ", ".join(index)))
    return Recorded(index[case]["case"], arrays["given"], arrays["answer"])


def _arrays_of(case: str, archive: Archive, index: dict[str, Any]) -> dict[str, dict[str, np.ndarray]]:
    """A case's arrays by name, given and answered."""
    lying: dict[str, dict[str, tuple[str, slice, list[int]]]] = {}
    start: dict[str, int] = {}
    for name, entry in index.items():
        lying = {part: {} for part in PARTS}
        for part in PARTS:
            for key, (dtype, shape) in entry[part].items():
                begin = start.get(dtype, 0)
                start[dtype] = begin + int(np.prod(shape, dtype=int))
                lying[part][key] = (dtype, slice(begin, start[dtype]), shape)
        if name == case:
            break
    values = {name: archive.read(name) for name in {name for part in PARTS for name, _, _ in lying[part].values()}}
    return {
        part: {key: values[dtype][rows].reshape(shape) for key, (dtype, rows, shape) in lying[part].items()}
        for part in PARTS
    }
