"""Sequences of one's own, with or without labels: a folder with a subfolder per class, an .npz file, or single files.

    folder/CLASS/FILE   FILE an .npy array [steps, inputs] or [steps], a .csv file with a line per step, or an image
                        (a step per row of pixels, from 0 to 1)
    FILE.npz            inputs [rows, steps, inputs] or [rows, steps], and lengths [rows] where they differ; or the
                        sequences one by one as numpy.savez(FILE, *sequences) stores them; labels [rows], integers or
                        text

Every value is checked here, before any training: what is wrong is named with its file, row or line.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Iterator, NamedTuple, Sequence

import numpy as np

from unrolled.datasets.reading import opened, plainly
from unrolled.errors import DataError
from unrolled.networks import MOST
from unrolled.own_data.arrays import described, read_npy, read_npz
from unrolled.own_data.images import IMAGE_SUFFIXES, read_image
from unrolled.own_data.texts import read_numbers
from unrolled.reading import room

__all__ = ["Names", "Sequences", "read_sequence", "read_sequences", "stacked"]

_SUFFIXES = (".npy", ".csv") + IMAGE_SUFFIXES
_MOST_CLASSES = 100000
_MOST_VALUES = 1 << 29
_AT_ONCE = 1 << 22  # values


class Names(Sequence[str]):
    """What rows are called by their numbers, "row 3": text only where one is asked for."""

    def __init__(self, rows: np.ndarray | range, what: str = "row") -> None:
        self._rows, self._what = rows, what

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        found = self._rows[index]
        return "%s %d" % (self._what, found) if np.ndim(found) == 0 else Names(found, self._what)

    def taken(self, rows: np.ndarray) -> Names:
        """Those of some of the rows."""
        return Names(np.asarray(self._rows)[rows], self._what)


class Sequences(NamedTuple):
    """inputs [rows, steps, inputs], float32 where the file holds no more and float64 otherwise, all within float32's
    range; zeros past each row's length, steps being the longest. lengths int64
    [rows], each at least 1. labels: int64 [rows], or None. classes: the names that the labels number, sorted. names:
    what to call each row. images: whether the values are pixels. header: whether CSV files' first lines, of
    numbers, were taken for names; None where there are none."""

    inputs: np.ndarray
    lengths: np.ndarray
    labels: np.ndarray | None
    classes: list[str]
    names: Sequence[str]
    images: bool
    header: bool | None = None

    def valid(self) -> np.ndarray:
        """Which steps are within the lengths: bool [rows, steps]."""
        return np.arange(self.inputs.shape[1]) < self.lengths[:, None]

    def rows(self, rows: np.ndarray) -> Sequences:
        """Some of the rows."""
        labels = None if self.labels is None else self.labels[rows]
        names = self.names.taken(rows) if isinstance(self.names, Names) else [self.names[row] for row in rows]
        return self._replace(inputs=self.inputs[rows], lengths=self.lengths[rows], labels=labels, names=names)


def read_sequences(path: Path, labelled: bool = True, header: bool | None = None) -> Sequences:
    """The sequences of a folder or of an .npz file.

    labelled: whether there must be labels; where there need not be, a folder may also hold the files themselves, and
    path may be a single file. header: of CSV files, as in `read_numbers`; what the first of a folder tells holds for
    all. Raises DataError: one sentence that names the file, and the row or line in it.
    """
    with plainly(path):
        if path.is_dir():
            return _folder(path, labelled, header)
        if not path.exists():
            raise DataError("%s: no such file or folder" % path)
        if not path.is_file():
            raise DataError("%s: no regular file" % path)
    if path.suffix.lower() == ".npz":
        return _archive(path, labelled)
    if not labelled and path.suffix.lower() in _SUFFIXES:
        return stacked([read_sequence(path, header)[0]], [path.name], None, _is_image(path))
    kinds = "" if labelled else ", or a single " + ", ".join(_SUFFIXES)
    raise DataError("%s: expected a folder with a subfolder per class, or an .npz file%s" % (path, kinds))


def read_sequence(path: Path, header: bool | None = None) -> tuple[np.ndarray, bool | None]:
    """One sequence [steps, inputs], its dtype as in `Sequences`, from an .npy file, a .csv file or an image; and what
    became of a header of numbers, see `read_numbers`."""
    suffix = path.suffix.lower()
    if suffix in IMAGE_SUFFIXES:
        return read_image(path), None
    if suffix == ".csv":
        with opened(path) as stream:
            if not stream.read(1):
                raise DataError("%s: is empty; a sequence needs at least one step" % path)
        found = read_numbers(path, header=header)
        return _checked(found.values, str(path), found.lines), found.header
    return _checked(read_npy(path), str(path)), None


def stacked(sequences: Sequence[np.ndarray], names: Sequence[str], labels: list[str] | None, images: bool) -> Sequences:
    """Sequences [steps, inputs] as one padded array, in their widest dtype; DataError where they differ in inputs."""
    width = sequences[0].shape[1]
    for sequence, name in zip(sequences, names):
        if sequence.shape[1] != width:
            raise DataError(
                "%s: has %d values per step, but %s has %d; all sequences need the same"
                % (name, sequence.shape[1], names[0], width)
            )
    lengths = np.array([len(sequence) for sequence in sequences], np.int64)
    dtype = np.result_type(*{sequence.dtype for sequence in sequences})
    size = dtype.itemsize * len(sequences) * int(lengths.max()) * width
    most = min(dtype.itemsize * _MOST_VALUES, room(dtype.itemsize * int(lengths.sum()) * width))
    if size > most:
        raise DataError(
            "%s: has %d steps; padded to that, all %d sequences would be %d MiB, expected at most %d; cut it up"
            % (names[int(lengths.argmax())], lengths.max(), len(sequences), size >> 20, most >> 20)
        )
    inputs = np.zeros((len(sequences), int(lengths.max()), width), dtype)
    for row, sequence in enumerate(sequences):
        inputs[row, : len(sequence)] = sequence
    classes = sorted(set(labels)) if labels is not None else []
    numbers = {label: number for number, label in enumerate(classes)}
    numbered = None if labels is None else np.array([numbers[label] for label in labels], np.int64)
    return Sequences(inputs, lengths, numbered, classes, names, images)


def _folder(path: Path, labelled: bool, header: bool | None) -> Sequences:
    entries = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
    folders = [entry for entry in entries if entry.is_dir()]
    if labelled or folders:
        stray = [entry for entry in entries if not entry.is_dir()]
        if stray:
            raise DataError("%s: a file beside the classes; expected nothing but a subfolder per class" % stray[0])
        if labelled and len(folders) < 2:
            raise DataError("%s: has %d subfolders, expected one per class, at least 2" % (path, len(folders)))
    files = [(file, folder.name) for folder in folders for file in _files(folder)] or [(f, "") for f in _files(path)]
    kinds = {_is_image(file) for file, _ in files}
    if len(kinds) > 1:
        image, other = (next(f for f, _ in files if _is_image(f) is kind) for kind in (True, False))
        raise DataError("%s is an image and %s is none; expected one kind" % (image, other))
    names = [str(file.relative_to(path)) for file, _ in files]
    labels = [name for _, name in files] if folders else None
    sequences, left = [], _MOST_VALUES
    for file, _ in files:
        sequence, decided = read_sequence(file, header)
        header = decided if header is None else header
        sequences.append(sequence)
        left -= sequences[-1].size
        if left < 0:
            raise DataError("%s: with all before it more than 2**29 values; give fewer files" % file)
    return stacked(sequences, [str(path / name) for name in names], labels, kinds == {True})._replace(
        names=names, header=header
    )


def _files(folder: Path) -> list[Path]:
    files = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    for file in files:
        if not file.is_file() or file.suffix.lower() not in _SUFFIXES:
            raise DataError("%s: expected only files ending in %s there" % (file, ", ".join(_SUFFIXES)))
    if not files:
        raise DataError("%s: holds no files; remove it or put its sequences there" % folder)
    return files


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES


def _archive(path: Path, labelled: bool) -> Sequences:
    arrays = read_npz(path)
    labels = arrays.pop("labels", None)
    if labels is None and labelled:
        names = ", ".join(sorted(arrays)[:10]) or "nothing"
        raise DataError("%s: holds %s, but no array 'labels'; save it with labels=..." % (path, names))
    count = sum(name.startswith("arr_") for name in arrays)
    if count and set(arrays) == {"arr_%d" % row for row in range(count)}:
        listed = [_checked(arrays["arr_%d" % row], "%s, row %d" % (path, row)) for row in range(count)]
        rows = Names(range(count))
        found = stacked(listed, Names(range(count), "%s, row" % path), None, False)._replace(names=rows)
    elif set(arrays) in ({"inputs"}, {"inputs", "lengths"}):
        found = _padded(path, arrays["inputs"], arrays.get("lengths"))
    else:
        raise DataError(
            "%s: holds %s, expected inputs, labels and perhaps lengths, or labels and arr_0, arr_1, … as numpy.savez("
            "FILE, *sequences, labels=labels) stores them" % (path, ", ".join(sorted(arrays)[:10]) or "nothing")
        )
    return found if labels is None else _labelled(path, found, labels)


def _padded(path: Path, inputs: np.ndarray, lengths: np.ndarray | None) -> Sequences:
    if inputs.dtype.kind not in "biuf" or inputs.ndim not in (2, 3) or 0 in inputs.shape:
        raise DataError(
            "%s: inputs is %s, expected numbers [rows, steps, inputs] or [rows, steps], each at least 1"
            % (path, described(inputs))
        )
    inputs = inputs if inputs.ndim == 3 else inputs[:, :, None]
    rows, steps, _ = inputs.shape
    if lengths is None:
        lengths = np.full(rows, steps, np.int64)
    if lengths.shape != (rows,) or lengths.dtype.kind not in "iu":
        raise DataError("%s: lengths is %s, expected integers [%d], one per row" % (path, described(lengths), rows))
    for row in np.flatnonzero((lengths < 1) | (lengths > steps))[:1]:
        raise DataError(
            "%s, row %d: its length is %d, expected 1 to %d, the steps of inputs" % (path, row, lengths[row], steps)
        )
    values = _floats(inputs)
    values[np.arange(steps) >= lengths[:, None]] = 0
    for row, step, column in _not_finite(values):
        raise DataError(
            "%s, row %d: %s at step %d, input %d, expected a finite number; mend the row or leave it out"
            % (path, row, inputs[row, step, column], step, column)
        )
    steps = int(lengths.max())
    if steps > MOST:
        raise DataError("%s: has rows of %d steps, expected at most 2**20; cut them up" % (path, steps))
    return Sequences(values[:, :steps], lengths.astype(np.int64), None, [], Names(range(rows)), False)


def _checked(array: np.ndarray, where: str, lines: np.ndarray | None = None) -> np.ndarray:
    """One sequence [steps, inputs]. lines: the number of each step's line in the file, where it has some."""
    if array.dtype.kind not in "biuf" or array.ndim not in (1, 2):
        raise DataError("%s: is %s, expected numbers [steps, inputs] or [steps]" % (where, described(array)))
    if 0 in array.shape:
        raise DataError("%s: is empty, %s; a sequence needs at least one step" % (where, described(array)))
    if len(array) > MOST:
        raise DataError("%s: has %d steps, expected at most 2**20; cut it up" % (where, len(array)))
    array = array if array.ndim == 2 else array[:, None]
    values = _floats(array)
    for step, column in _not_finite(values):
        place = "step %d" % step if lines is None else "line %d" % lines[step]
        raise DataError(
            "%s, %s: holds %s in column %d, expected a finite number; mend it or leave the sequence out"
            % (where, place, array[step, column], column)
        )
    return values


def _floats(values: np.ndarray) -> np.ndarray:
    """A copy: float32 where that holds every value of the dtype, else float64, to be scaled before it is rounded."""
    with np.errstate(over="ignore"):
        return values.astype(np.float32 if np.can_cast(values.dtype, np.float32) else np.float64)


def _not_finite(values: np.ndarray) -> Iterator[np.ndarray]:
    """The place of the first value that is not finite in float32, if there is one; looked for in pieces, to take little
    memory."""
    rows = max(1, _AT_ONCE * len(values) // values.size)
    for first in range(0, len(values), rows):
        with np.errstate(over="ignore"):
            piece = values[first : first + rows].astype(np.float32, copy=False)
        for place in np.argwhere(~np.isfinite(piece))[:1]:
            place[0] += first
            yield place
            return


def _labelled(path: Path, sequences: Sequences, labels: np.ndarray) -> Sequences:
    rows = len(sequences.lengths)
    if labels.shape != (rows,):
        raise DataError("%s: labels is %s, expected one per row, [%d]" % (path, described(labels), rows))
    if labels.dtype.kind == "f":
        with np.errstate(over="ignore"):  # of an extended float; then it is infinite, and named
            labels = labels.astype(np.float64)
        for row in np.flatnonzero(~(labels == np.floor(labels)) | ~np.isfinite(labels))[:1]:
            raise DataError("%s, row %d: its label is %s, expected an integer or text" % (path, row, labels[row]))
        for row in np.flatnonzero(np.abs(labels) >= 2.0**53)[:1]:
            raise DataError("%s, row %d: its label is %s, expected one within 2**53" % (path, row, labels[row]))
        labels = labels.astype(np.int64)
    if labels.dtype.kind not in "iuUS":
        raise DataError("%s: labels is %s, expected integers or text" % (path, described(labels)))
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8", "replace")
    classes, numbered = np.unique(labels, return_inverse=True)
    if labels.dtype.kind == "U":
        for row in np.flatnonzero(np.char.strip(labels) == "")[:1]:
            raise DataError("%s, row %d: its label is empty" % (path, row))
    if not 2 <= len(classes) <= _MOST_CLASSES:
        raise DataError("%s: labels has %d classes, expected at least 2" % (path, len(classes)))
    return sequences._replace(labels=numbered.reshape(rows).astype(np.int64), classes=[str(name) for name in classes])
