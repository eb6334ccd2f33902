"""MNIST, and any data set in its file format, split and scaled as TensorFlow 1's reader does.

The format is IDX (http://yann.lecun.com/exdb/mnist/): two zero bytes, a type code (8 is uint8), the number of
dimensions, each dimension as a big-endian uint32, then the values in row-major order.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from unrolled.datasets.reading import BUNDLED, check_sha256, find, opened, read_at_most, room_of, size_of
from unrolled.errors import DataError
from unrolled.reading import room_named

__all__ = ["FILES", "LabelledImages", "Mnist", "load", "read_idx"]

FILES = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
"""The usual four file names, and the SHA-256 of the uncompressed bytes of MNIST's own."""

VALIDATION_SIZE = 5000

# TF1's reader multiplies float32 pixels by the Python number 1/255, which NumPy rounds to float32.
# [tensorflow/contrib/learn/python/learn/datasets/mnist.py, DataSet.__init__]
_SCALE = np.float32(1.0 / 255.0)
_UINT8 = 8
_MOST_VALUES = 1 << 31
_BYTES = 4  # of a value, once it is a float32


class LabelledImages(NamedTuple):
    """images float32 [n, rows, columns] from 0 to 1; labels int64 [n]. A sequence has a step per row of its image."""

    images: np.ndarray
    labels: np.ndarray


class Mnist(NamedTuple):
    """The three parts: train (55,000 images for MNIST), validation (5,000) and test (10,000)."""

    train: LabelledImages
    validation: LabelledImages
    test: LabelledImages


def read_idx(path: Path, rank: int, sha256: str | None = None) -> np.ndarray:
    """The uint8 array, read-only, of an IDX file with `rank` dimensions, none of them 0; gzip when it ends in .gz.

    Raises DataError for a wrong magic number, type, rank or byte count (also for bytes past the end), or when the
    uncompressed bytes do not hash to sha256.
    """
    with opened(path) as stream:
        header = read_at_most(stream, 4 + 4 * rank)
        expected = bytes([0, 0, _UINT8, rank])
        if header[:4] != expected:
            raise DataError(
                "%s: not an IDX file of uint8 with %d dimension%s: it starts with bytes %s, expected %s; check that it "
                "is the right file" % (path, rank, "" if rank == 1 else "s", header[:4].hex() or "none", expected.hex())
            )
        if len(header) < 4 + 4 * rank:
            raise DataError("%s: ends within its header (truncated); get the file again" % path)
        shape = [int(size) for size in np.frombuffer(header, dtype=">u4", offset=4)]
        count = 1
        for size in shape:
            count *= size
        if count == 0:
            raise DataError("%s: is empty: its dimensions are %s; give a file with at least one value" % (path, shape))
        if count > _MOST_VALUES:
            raise DataError("%s: its dimensions are %s, more than 2**31 values; give fewer" % (path, shape))
        if path.suffix == ".gz" and count * _BYTES > room_of(stream):
            raise DataError(
                "%s: its values, %s, take more than %s; give fewer, or unpack it with gunzip"
                % (path, shape, room_named(size_of(stream)))
            )
        values = read_at_most(stream, count + 1)
    if len(values) != count:
        found = "more" if len(values) > count else "only %d (truncated)" % len(values)
        raise DataError(
            "%s: its dimensions %s ask for %d bytes of values, found %s; get the file again"
            % (path, shape, count, found)
        )
    check_sha256(path, sha256, header, values)
    return np.frombuffer(values, dtype=np.uint8).reshape(shape)


def load(folder: Path | str | None = None, validation_size: int = VALIDATION_SIZE) -> Mnist:
    """Read the data set: pixels times 1/255 in float32, the first validation_size training images as validation set.

    folder: None is the bundled MNIST, its SHA-256 verified. Any other folder holds the four files of `FILES`, each
    with or without .gz, directly or in torchvision's layout (FOLDER/NAME/raw or FOLDER/raw); image sizes are free,
    but training and test images must have one size, and each image a label.

    Raises DataError for a file that is missing or wrong, ValueError for a validation_size below 0 or one that leaves
    no training image.
    """
    bundled = folder is None
    place = BUNDLED / "mnist" if folder is None else _folder_of_files(Path(folder))
    paths = {name: find(place, name) for name in FILES}
    arrays = {
        name: read_idx(path, rank=3 if "images" in name else 1, sha256=FILES[name] if bundled else None)
        for name, path in paths.items()
    }
    train_images, train_labels, test_images, test_labels = (arrays[name] for name in FILES)
    train_path, train_labels_path, test_path, test_labels_path = (paths[name] for name in FILES)
    _check_counts(train_path, train_images, train_labels_path, train_labels)
    _check_counts(test_path, test_images, test_labels_path, test_labels)
    if train_images.shape[1:] != test_images.shape[1:]:
        raise DataError(
            "%s: its images are %s, those of %s are %s; training and test images must have one size"
            % (test_path, _size(test_images), train_path.name, _size(train_images))
        )
    if not 0 <= validation_size < len(train_images):
        raise ValueError(
            "validation_size is %r, expected 0 to %d: there are %d training images"
            % (validation_size, len(train_images) - 1, len(train_images))
        )
    train, test = _scaled(train_images, train_labels), _scaled(test_images, test_labels)
    return Mnist(
        train=LabelledImages(train.images[validation_size:], train.labels[validation_size:]),
        validation=LabelledImages(train.images[:validation_size], train.labels[:validation_size]),
        test=test,
    )


def _folder_of_files(folder: Path) -> Path:
    """The one folder, among folder itself, folder/raw and folder/*/raw, that holds any of the four files."""
    if not folder.is_dir():
        raise DataError("%s: no such folder; expected one with the files %s" % (folder, ", ".join(FILES)))

    def holds_any(candidate: Path) -> bool:
        return any((candidate / (name + ending)).is_file() for name in FILES for ending in ("", ".gz"))

    candidates: list[Path] = [folder, folder / "raw"] + sorted(folder.glob("*/raw"))
    found = [candidate for candidate in candidates if holds_any(candidate)]
    if not found:
        raise DataError(
            "%s: holds no MNIST-like data set; expected the files %s, each with or without .gz, there or in %s"
            % (folder, ", ".join(FILES), folder / "NAME" / "raw")
        )
    if len(found) > 1:
        raise DataError(
            "%s: holds several data sets (%s); name one of these folders instead"
            % (folder, ", ".join(str(candidate) for candidate in found))
        )
    return found[0]


def _check_counts(images_path: Path, images: np.ndarray, labels_path: Path, labels: np.ndarray) -> None:
    if len(images) != len(labels):
        raise DataError(
            "%s: has %d labels, but %s has %d images; the two must belong together"
            % (labels_path, len(labels), images_path.name, len(images))
        )


def _size(images: np.ndarray) -> str:
    return "%dx%d" % images.shape[1:]


def _scaled(images: np.ndarray, labels: np.ndarray) -> LabelledImages:
    return LabelledImages(np.multiply(images, _SCALE, dtype=np.float32), labels.astype(np.int64))
