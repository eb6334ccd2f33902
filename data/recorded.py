"""Results recorded from genuine TensorFlow 1.15.5, and their reader.

`spec_tests/record.py` makes the files. Each holds several cases; a case is the question as plain values (which behaviour,
which cell or model, which dtype, ...) and its arrays: those that went in, and those that came out, by name.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List, NamedTuple

import numpy as np

FOLDER = Path(__file__).parent / "files" / "recorded"
INDEX = "index"  # the entry of each file that holds its cases as JSON


class Recorded(NamedTuple):
    """One recorded case: its question as plain values, the arrays given, and the arrays that TensorFlow answered."""

    case: Dict[str, Any]
    given: Dict[str, np.ndarray]
    answer: Dict[str, np.ndarray]


def save(path: Path, cases: Dict[str, Recorded]) -> None:
    """Write cases to one .npz file; arrays are stored once per case as "<case>|given|<name>" or "<case>|answer|<name>"."""
    arrays = {INDEX: np.array(json.dumps({name: recorded.case for name, recorded in cases.items()}))}
    for name, recorded in cases.items():
        for part in ("given", "answer"):
            for key, array in getattr(recorded, part).items():
                arrays["|".join((name, part, key))] = array
    np.savez_compressed(str(path), **arrays)


def _read_index(archive: Any) -> Dict[str, Dict[str, Any]]:
    return json.loads(str(archive[INDEX]))


def files() -> List[Path]:
    """The recorded files, in order of their names."""
    found = sorted(FOLDER.glob("*.npz"))
    if not found:
        raise FileNotFoundError("no recorded results (*.npz) in %s; reinstall unrolled or restore the folder" % FOLDER)
    return found


def names() -> List[str]:
    """Every recorded case, as "<file>/<case>"."""
    listed = []
    for path in files():
        with np.load(str(path), allow_pickle=False) as archive:
            listed += ["%s/%s" % (path.stem, case) for case in _read_index(archive)]
    return listed


def load(name: str) -> Recorded:
    """The case that `names` lists as "<file>/<case>". Raises KeyError for a name that is not there."""
    stem, _, case = name.partition("/")
    path = FOLDER / (stem + ".npz")
    if not path.is_file():
        raise KeyError("no recorded case %r: there is no file %s" % (name, path))
    parts: Dict[str, Dict[str, np.ndarray]] = {"given": {}, "answer": {}}
    with np.load(str(path), allow_pickle=False) as archive:
        index = _read_index(archive)
        if case not in index:
            raise KeyError("no recorded case %r in %s; it holds %s" % (case, path, ", ".join(index)))
        for entry in archive.files:
            owner, _, rest = entry.partition("|")
            if owner == case and rest:
                part, _, key = rest.partition("|")
                parts[part][key] = archive[entry]
    return Recorded(index[case], parts["given"], parts["answer"])
