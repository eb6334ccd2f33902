"""A file, or a data set, as what a run's model takes, in the units of the user's own data; the run scales it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from torch_impl.models import Tagger
from torch_impl.runs import Run
from unrolled.datasets import mnist, spelling, vowels
from unrolled.datasets.reading import plainly
from unrolled.errors import DataError
from unrolled.own_data.prepare import digest_of, drawn, renumbered, without
from unrolled.own_data.sequences import Names, Sequences, read_sequences
from unrolled.own_data.series import logarithms
from unrolled.own_data.tables import read_table

__all__ = [
    "Rows",
    "check_usable",
    "class_names",
    "header_of",
    "labelled_rows",
    "read_rows",
    "read_series",
    "words",
]

_HALVES = re.compile("[\ud800-\udfff]")


class Rows(NamedTuple):
    """inputs [rows, steps, inputs], float32 or float64; lengths int64 [rows], None where all are whole; names by row;
    images: whether the inputs are some; labels int64 [rows] or None; source: what to call them."""

    inputs: np.ndarray
    lengths: np.ndarray | None
    names: Sequence[str]
    images: bool
    labels: np.ndarray | None
    source: str


def check_usable(run: Run) -> None:
    """Raise DataError for a run that the command line has no form of inputs or answers for."""
    what = (
        "a tagger"
        if isinstance(run.model, Tagger)
        else "a model of tokens"
        if getattr(run.model, "embedding", None) is not None
        else ""
    )
    if what:
        raise DataError(
            "this run holds %s, which only Python has a form for: torch_impl.load_run(FOLDER).predict(inputs, lengths)"
            % what
        )


def class_names(run: Run) -> list[str]:
    """The classifier's classes by number."""
    count = int(run.model.dense.out_features)
    names = run.data.get("classes")
    if names is None or type(names) is int:
        return [str(label) for label in range(count)]
    if not _names(names, count):
        raise DataError("%s: its data do not name %d classes; use another checkpoint" % (run.folder, count))
    return names


def header_of(run: Run) -> bool | None:
    """Whether numbers in the first line of its CSV files are names, as `read_numbers` takes it."""
    found = run.data.get("header")
    return found if isinstance(found, bool) else None


def _names(found: Any, count: int) -> bool:
    """Whether it is so many texts that can be written out: JSON can hold halves of characters."""
    texts = found if isinstance(found, list) else []
    return len(texts) == count and all(isinstance(text, str) and not _HALVES.search(text) for text in texts)


def read_rows(run: Run, path: Path, labelled: bool = False, invert: bool = False) -> Rows:
    """The sequences in a file or folder, for a classifier or speller: images (PNG and others, IDX), .npz, .npy, .csv.

    invert: of images, black for white. Raises DataError for what cannot be read, or has another width than the model.
    """
    found = _idx(path) if _is_idx(path) else read_sequences(path, labelled, header_of(run))
    width, source = run.model.inputs, str(path)
    if found.inputs.shape[2] != width:
        hint = "; give images %d pixels wide" % width if found.images else ""
        raise DataError("%s: has %d values per step, the run takes %d%s" % (path, found.inputs.shape[2], width, hint))
    if labelled:
        if found.labels is None:
            raise DataError("%s: holds images without labels; name the folder with both files" % path)
        found = renumbered(path, found, class_names(run))
        found, source = _unseen(run, path, found)
    if invert:
        if not found.images:
            raise DataError("%s: holds no images that could be inverted; leave --invert out" % path)
        found = found._replace(inputs=np.where(found.valid()[:, :, None], 1 - found.inputs, 0).astype(np.float32))
    return _rows(found, source)


def read_series(run: Run, path: Path) -> tuple[list[str], np.ndarray]:
    """(names of the columns, the series float64 [rows, columns]) for a regressor."""
    columns = run.data.get("columns")
    width = run.model.inputs
    if columns is not None and not _names(columns, width):
        raise DataError("%s: its data do not name %d columns; use another checkpoint" % (run.folder, width))
    if path.suffix.lower() in (".npz", ".npy"):
        found = read_sequences(path, labelled=False)
        if len(found.lengths) != 1 or found.inputs.shape[2] != width:
            raise DataError("%s: is %s, expected one series [1, steps, %d]" % (path, list(found.inputs.shape), width))
        return columns or [str(column) for column in range(width)], found.inputs[0].astype(np.float64)
    if columns is None and width > 1:
        raise DataError("%s: the run does not name its %d columns; give the series as .npy" % (run.folder, width))
    time = run.data.get("time")
    table = read_table(path, columns, header_of(run), time if isinstance(time, str) else None)
    if run.scaling is not None and run.scaling.log:
        logarithms(path, table, log=True)
    return table.columns, table.values


def labelled_rows(run: Run, path: Path | None) -> Rows:
    """What to evaluate a classifier or speller on: a file or folder, else the test set of what it was trained on."""
    if path is not None and not _mnist_folder(path):
        return read_rows(run, path, labelled=True)
    if path is None and run.program == "vowels":
        test = vowels.load().test
        rows = Rows(test.inputs, test.lengths, _numbered(test.speaker), False, test.speaker, "Japanese Vowels, test")
    elif path is None and run.data.get("kind") == "sequences":
        return _own_test_part(run)
    else:
        folder = path if path is not None else _trained_on(run)
        test_images = mnist.load(folder, 0).test
        source = "MNIST, test" if folder is None else "%s, test" % folder
        labels = test_images.labels.astype(np.int64)
        rows = Rows(test_images.images, None, _numbered(labels), True, labels, source)
    if rows.inputs.shape[2] != run.model.inputs:
        widths = (rows.source, rows.inputs.shape[2], run.model.inputs)
        raise DataError("%s: has %d values per step, the run takes %d; name its data with --data" % widths)
    return rows


def _own_test_part(run: Run) -> Rows:
    facts = run.data
    split = facts.get("split")
    names = ("validation", "test", "seed")
    if not isinstance(split, dict) or not all(type(split.get(name)) in (int, float) for name in names):
        raise DataError("%s: its data do not tell the test part; name a file with --data" % run.folder)
    paths = [None if facts.get(name) is None else Path(str(facts[name])) for name in ("source", "test_source")]
    if paths[0] is None:
        raise DataError("%s: its data do not tell their source; name a file with --data" % run.folder)
    if paths[1] is not None:
        return read_rows(run, paths[1], labelled=True)
    found = read_sequences(paths[0], header=header_of(run))
    if found.classes != class_names(run):
        raise DataError("%s: its classes are no longer those trained on; name a file with --data" % paths[0])
    parts = drawn(found, split["validation"], split["test"], int(split["seed"]) % 2**32)
    rows = dict(zip(("train", "validation", "test"), map(len, parts), strict=True))
    if rows != facts.get("rows") or facts.get("sha256") not in (None, digest_of(found)):
        raise DataError(
            "%s: is no longer what the run was trained on, so which of its rows are the test part is not known; put it "
            "back, or name a file with --data" % paths[0]
        )
    if not len(parts[2]):
        raise DataError("%s: the run has no test part; name a file with --data" % paths[0])
    return _rows(found.rows(parts[2]), "%s, test part" % paths[0])


def _unseen(run: Run, path: Path, found: Sequences) -> tuple[Sequences, str]:
    """(those of the labelled sequences that the run was not trained on, what to call them)."""
    facts, split, train = run.data, run.data.get("split"), None
    if facts.get("kind") != "sequences" or not isinstance(facts.get("sha256"), str) or not isinstance(split, dict):
        return found, str(path)
    with contextlib.suppress(DataError, KeyError, TypeError, ValueError):
        known = read_sequences(Path(str(facts["source"])), header=header_of(run))
        if digest_of(known) == facts["sha256"]:
            share = 0.0 if facts.get("test_source") is not None else split["test"]
            train = known.rows(drawn(known, split["validation"], share, int(split["seed"]) % 2**32)[0])
    if train is None:
        return found, "%s (not compared with the training rows: %s is gone or changed)" % (path, facts.get("source"))
    kept = without(found, train)
    left_out = len(found.lengths) - len(kept.lengths)
    if not len(kept.lengths):
        raise DataError("%s: all its %d rows are rows that the run was trained on; name others" % (path, left_out))
    return kept, str(path) if not left_out else "%s, without %d rows that the run was trained on" % (path, left_out)


def _trained_on(run: Run) -> Path | None:
    """The folder of images that the run was trained on; None for the bundled MNIST."""
    source = run.data.get("source")
    if run.program in ("mnist", "speller"):
        return None if source in (None, "MNIST") else Path(str(source))
    raise DataError("%s: does not tell what it was trained on; name labelled data with --data" % run.folder)


def _rows(found: Sequences, source: str) -> Rows:
    whole = bool((found.lengths == found.inputs.shape[1]).all())
    return Rows(found.inputs, None if whole else found.lengths, found.names, found.images, found.labels, source)


def _is_idx(path: Path) -> bool:
    name = path.name[:-3] if path.name.endswith(".gz") else path.name
    with plainly(path):
        return path.is_file() and (name.endswith(("-ubyte", ".idx")) or "idx3" in name)


def _idx(path: Path) -> Sequences:
    images = mnist.read_idx(path, 3)
    if 0 in images.shape:
        raise DataError("%s: holds images %s, expected at least one" % (path, list(images.shape)))
    lengths = np.full(len(images), images.shape[1], np.int64)
    values = np.multiply(images, np.float32(1.0 / 255.0), dtype=np.float32)
    return Sequences(values, lengths, None, [], Names(range(len(images)), "image"), True)


def _mnist_folder(path: Path) -> bool:
    with plainly(path):
        places = (path, path / "raw") if path.is_dir() else ()
        return any(list(place.glob("t10k-images-idx3-ubyte*")) for place in places)


def _numbered(rows: np.ndarray) -> Names:
    return Names(range(len(rows)))


def words(tokens: np.ndarray) -> list[str]:
    """What a speller of the digits' names wrote; the tokens as numbers where they are no letters."""
    try:
        return spelling.words(tokens)
    except (ValueError, IndexError):
        return [" ".join(map(str, row.tolist())) for row in tokens]
