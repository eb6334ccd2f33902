"""Data of one's own as what a program trains on: arrays by part, the program, and what is kept beside the weights.

`Prepared.facts` are plain values for a run's checkpoint (its state "data").
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Iterator, NamedTuple

import numpy as np

from unrolled.datasets.parts import Part
from unrolled.errors import DataError
from unrolled.models import Model
from unrolled.networks import MOST, BasicRNN, Network
from unrolled.own_data.scaling import ColumnScaling
from unrolled.own_data.sequences import Sequences, read_sequences
from unrolled.own_data.windows import check_shares
from unrolled.programs import Adam, Program

__all__ = ["EPOCHS", "NETWORK", "Prepared", "classifier_data", "digest_of", "drawn", "program_of", "without"]

EPOCHS = 50
BATCH = 32
NETWORK = BasicRNN(100)


class Prepared(NamedTuple):
    """program: what to train, with defaults for what was not given. train, validation, test: a part without rows is
    None (never train). facts: plain values to keep; their "kind" is "sequences" or "table"."""

    program: Program
    train: Part
    validation: Part | None
    test: Part | None
    facts: dict[str, Any]


def classifier_data(
    path: Path,
    test_path: Path | None = None,
    validation_share: float = 0.1,
    test_share: float = 0.1,
    scale: bool = True,
    seed: int = 1,
    network: Network = NETWORK,
    batch: int = BATCH,
    learning_rate: float = 0.001,
    epochs: int = EPOCHS,
    rounded: bool = False,
    header: bool | None = None,
    outputs: int | None = None,
) -> Prepared:
    """Sequences with labels (see unrolled.own_data.sequences) for a classifier.

    test_path: a second such folder or file, all of it to test on; otherwise the share `test_share` of each class is put
    aside, as `validation_share` is, drawn by `seed`. scale: to mean 0 and standard deviation 1 by input over the
    training rows; images stay from 0 to 1. rounded: inputs become float32 before they are scaled, not after, as in
    runs whose facts have no "sha256". header: of CSV files, as in `read_sequences`. outputs: of a model that is there
    already; labels from 0 to less than these are its classes, be there rows of each or not, and others in their order.
    Raises DataError.
    """
    found = read_sequences(path, header=header)
    sha256 = digest_of(found)
    numbers = [str(label) for label in range(outputs or 0)]
    if set(found.classes) <= set(numbers):
        found = renumbered(path, found, numbers)
    if rounded:
        found = found._replace(inputs=found.inputs.astype(np.float32, copy=False))
    for name in found.classes:
        if name.encode("utf-8", "replace").decode("utf-8") != name:
            raise DataError("%s: the class %r has no name in UTF-8; give it another" % (path, name[:80]))
    test_share = 0.0 if test_path is not None else test_share
    parts = drawn(found, validation_share, test_share, seed)
    train, validation, test = (found.rows(rows) for rows in parts)
    assert train.labels is not None
    present = np.bincount(train.labels, minlength=len(found.classes))
    missing = [name for name, rows in zip(found.classes, present) if not rows]
    if missing and outputs is None:
        raise DataError("%s: no row of class %r is left to train on; give more, or smaller shares" % (path, missing[0]))
    if test_path is not None:
        test = _same_classes(test_path, read_sequences(test_path, header=found.header), found)
    plain = found.images or not scale
    scaling = ColumnScaling.none(found.inputs.shape[2]) if plain else ColumnScaling.fitted(_frames(train))
    shares = {"validation": validation_share, "test": test_share}
    facts = {
        "kind": "sequences",
        "source": str(path.resolve()),
        **({} if rounded else {"sha256": sha256}),
        "test_source": None if test_path is None else str(test_path.resolve()),
        "classes": found.classes,
        "images": found.images,
        "header": found.header,
        "lengths": bool((found.lengths < found.inputs.shape[1]).any()),
        "scaling": scaling.to_json(),
        "split": dict(shares, seed=seed),
        "rows": {"train": len(parts[0]), "validation": len(parts[1]), "test": len(test.lengths)},
    }
    if found.inputs.shape[2] > MOST:
        raise DataError("%s: has %d values per step, expected at most %d" % (path, found.inputs.shape[2], MOST))
    model = Model("classifier", network, found.inputs.shape[2], len(found.classes))
    program = program_of(model, len(parts[0]), found.inputs.shape[1], batch, learning_rate, epochs)
    made = [_part(some, scaling) for some in (train, validation, test)]
    assert made[0] is not None
    return Prepared(program, made[0], made[1], made[2], facts)


def program_of(model: Model, rows: int, steps: int, batch: int, learning_rate: float, epochs: int) -> Program:
    """What to train on so many rows; the batch is no larger than they are, an epoch is as many whole ones as fit."""
    batch = min(batch, rows)
    iterations = epochs * max(1, rows // batch)
    return Program(model.kind, model, Adam(learning_rate), batch, steps, iterations)


def digest_of(sequences: Sequences) -> str:
    """SHA-256 of all values, lengths and labels: whether another reading gives the same data."""
    digest = hashlib.sha256()
    for array in (sequences.inputs, sequences.lengths, sequences.labels):
        assert array is not None
        digest.update(("%s%s" % (array.dtype.str, array.shape)).encode("ascii"))
        for first in range(0, len(array), 1024):
            digest.update(np.ascontiguousarray(array[first : first + 1024]).data)
    digest.update("\0".join(sequences.classes).encode("utf-8", "replace"))
    return digest.hexdigest()


def without(rows: Sequences, known: Sequences) -> Sequences:
    """The rows that are not, value by value, among the known ones, whatever their labels."""
    seen = set(_contents(known))
    kept = [row for row, content in enumerate(_contents(rows)) if content not in seen]
    return rows if len(kept) == len(rows.lengths) else rows.rows(np.array(kept, np.int64))


def _contents(rows: Sequences) -> Iterator[bytes]:
    """What each row holds within its length."""
    for values, length in zip(rows.inputs, rows.lengths):
        yield values[:length].astype(np.float64).tobytes()


def drawn(sequences: Sequences, validation: float, test: float, seed: int) -> list[np.ndarray]:
    """Row numbers of the training, validation and test part, sorted: of each class the same shares, drawn by seed."""
    check_shares(validation, test)
    labels = sequences.labels
    assert labels is not None
    random = np.random.RandomState(seed)
    parts: list[list[np.ndarray]] = [[], [], []]
    for label in range(int(labels.max()) + 1):
        rows = random.permutation(np.flatnonzero(labels == label))
        counts = [round(share * len(rows)) for share in (validation, test)]
        for part, some in zip((1, 2, 0), np.split(rows, np.cumsum(counts))):
            parts[part].append(some)
    return [np.sort(np.concatenate(part)) for part in parts]


def _same_classes(path: Path, test: Sequences, train: Sequences) -> Sequences:
    if test.inputs.shape[2] != train.inputs.shape[2] or test.images != train.images:
        raise DataError(
            "%s: has %d values per step, the training data %d; expected the same kind of sequences"
            % (path, test.inputs.shape[2], train.inputs.shape[2])
        )
    return renumbered(path, test, train.classes)


def renumbered(path: Path, sequences: Sequences, classes: list[str]) -> Sequences:
    """The labels numbered by `classes`; DataError for one that is not among them."""
    places = {name: place for place, name in enumerate(classes)}
    unknown = [name for name in sequences.classes if name not in places]
    if unknown:
        label = sequences.classes.index(unknown[0])
        row = int(np.flatnonzero(sequences.labels == label)[0])
        raise DataError(
            "%s, %s: its label is %r, which the training data do not have (%s)"
            % (path, sequences.names[row], unknown[0][:80], ", ".join(classes[:20]))
        )
    numbers = np.array([places[name] for name in sequences.classes], np.int64)
    return sequences._replace(labels=numbers[sequences.labels], classes=classes)


def _frames(sequences: Sequences) -> np.ndarray:
    """All valid steps, [frames, inputs]."""
    valid = sequences.valid()
    return sequences.inputs.reshape(-1, sequences.inputs.shape[2]) if valid.all() else sequences.inputs[valid]


def _part(sequences: Sequences, scaling: ColumnScaling) -> Part | None:
    """The sequences scaled, where they lie; the padding stays zero. None where there are none."""
    if not len(sequences.lengths):
        return None
    assert sequences.labels is not None
    whole = bool((sequences.lengths == sequences.inputs.shape[1]).all())
    into = sequences.inputs if sequences.inputs.dtype == np.float32 else None
    inputs = scaling.apply(sequences.inputs, into)
    inputs[~sequences.valid()] = 0
    return Part(inputs, sequences.labels, None if whole else sequences.lengths)
