"""NumPy's own files, .npy and .npz, read with suspicion: nothing is unpickled, and no header is believed.

The formats: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html. NumPy's readers allocate what a
header asks for before they look whether the file holds it; here only what is really there takes memory.
"""

from __future__ import annotations

import contextlib
import io
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import IO, Iterator

import numpy as np
from numpy.lib import format as npy_format

from unrolled.datasets.reading import opened, read_at_most, room_of, size_of
from unrolled.errors import DataError
from unrolled.reading import room_named
from unrolled.showing import shown

__all__ = ["Archive", "described", "opened_npz", "read_npy", "read_npz"]

_MOST_HEADER_BYTES = 12 + 65536
_MOST_MEMBERS = 1000000
_CHUNK = 1 << 20
_HEADERS = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}
# What a byte of an array becomes where it is used: text is decoded, stripped and sorted. Numbers become floats that
# hold them: of 4 bytes, or of 8 where integers have 4.
_GROWTH, _LEAST_ITEM_BYTES = {"S": 8, "U": 2}, 4


def described(array: np.ndarray) -> str:
    """An array as an error message shows it."""
    return "%s %s" % (array.dtype, list(array.shape))


def read_npy(path: Path) -> np.ndarray:
    """The array of an .npy file. Raises DataError for anything but one whole array of plain values."""
    with opened(path) as stream:
        return _Reader(path, stream).read(stream, str(path))


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz file by name, in its order. Raises DataError as `read_npy`, naming the array."""
    with opened_npz(path) as archive:
        return {name: archive.read(name) for name in archive.names}


@contextlib.contextmanager
def opened_npz(path: Path) -> Iterator[Archive]:
    """An .npz file, of which single arrays can be read. Raises DataError."""
    with opened(path) as stream:
        yield Archive(path, stream)


class Archive:
    """An .npz file as numpy.savez or numpy.savez_compressed writes it. names: of its arrays, in its order."""

    def __init__(self, path: Path, stream: IO[bytes]) -> None:
        self._path, self._reader = path, _Reader(path, stream)
        with self._whole():
            self._archive = zipfile.ZipFile(stream)
            members = self._archive.infolist()
        if len(members) > _MOST_MEMBERS:
            raise DataError("%s: holds %d files, expected at most %d" % (path, len(members), _MOST_MEMBERS))
        self._members: dict[str, zipfile.ZipInfo] = {}
        for member in members:
            name = member.filename[: -len(".npy")] if member.filename.endswith(".npy") else None
            if name is None or name in self._members:
                raise DataError(
                    "%s: holds %r%s, expected arrays as numpy.savez writes them"
                    % (path, member.filename[:80], "" if name is None else " twice")
                )
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or member.flag_bits & 1:
                raise DataError(
                    "%s: the array %r is %s, expected arrays as numpy.savez writes them; save it again with NumPy"
                    % (path, name[:80], "encrypted" if member.flag_bits & 1 else "compressed in another way")
                )
            self._members[name] = member
        self.names = list(self._members)

    def read(self, name: str) -> np.ndarray:
        """The array of that name, which must be there. Raises DataError."""
        with self._whole(), self._archive.open(self._members[name]) as content:
            return self._reader.read(content, "%s: the array %r" % (self._path, name[:80]))

    @contextlib.contextmanager
    def _whole(self) -> Iterator[None]:
        damage = (
            zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OverflowError,
        )  # fmt: skip
        try:
            yield
        except damage as error:
            raise DataError(
                "%s: no whole .npz file (%s); save it again with numpy.savez" % (self._path, _reason(error))
            ) from None


class _Reader:
    """The arrays of one file: what all of them take together is bounded by the file's size."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self._left, self._size = room_of(file), size_of(file)

    def read(self, stream: IO[bytes], where: str) -> np.ndarray:
        """One array; where: what it is called in messages."""
        shape, fortran, dtype, rest = _read_header(stream, where)
        if dtype.hasobject:
            raise DataError(
                "%s holds Python objects, which are not unpickled; save plain numbers (sequences of different lengths "
                "with numpy.savez(FILE, *sequences, labels=labels))" % where
            )
        if dtype.kind not in "biufUS" or dtype.itemsize == 0:
            raise DataError("%s has the type %s, expected numbers or text" % (where, str(dtype)[:60]))
        count = 1
        for size in shape:
            count *= size
        growth = 2 if dtype.kind in "iu" and dtype.itemsize == 4 else _GROWTH.get(dtype.kind, 1)
        self._left -= count * max(dtype.itemsize, _LEAST_ITEM_BYTES) * growth
        if self._left < 0:
            raise DataError(
                "%s is %s %s, which with all before it in the file takes more than %s; give fewer rows, or save it "
                "with numpy.savez, uncompressed" % (where, dtype, list(shape)[:8], room_named(self._size))
            )
        content = _read_exactly(stream, rest, count * dtype.itemsize)
        if isinstance(content, str):
            raise DataError(
                "%s: its header announces %s %s, %d bytes, but %s follow; save it again"
                % (where, dtype, list(shape)[:8], count * dtype.itemsize, content)
            )
        try:
            array = content.view(dtype).reshape(shape, order="F" if fortran else "C")
        except ValueError as error:
            raise DataError(
                "%s: its header announces %s, which is no shape (%s)" % (where, list(shape)[:8], error)
            ) from None
        return np.asarray(array, dtype.newbyteorder("="))


def _read_exactly(stream: IO[bytes], start: bytes, wanted: int) -> np.ndarray | str:
    """uint8 [wanted], `start` first and then the rest of the stream; how many there are, where it is another number."""
    if len(start) > wanted:
        return "more"
    content = np.empty(wanted, np.uint8)
    memory, filled = memoryview(content), len(start)  # type: ignore[arg-type]  # NumPy's stub does not know buffers
    memory[:filled] = start
    while filled < wanted:
        count = stream.readinto(memory[filled : filled + _CHUNK])  # type: ignore[attr-defined]
        if not count:
            return "%d" % filled
        filled += count
    return "more" if stream.read(1) else content


def _read_header(stream: IO[bytes], where: str) -> tuple[tuple[int, ...], bool, np.dtype, bytes]:
    """(shape, whether in Fortran's order, dtype, the bytes already read after the header)."""
    start = io.BytesIO(read_at_most(stream, _MOST_HEADER_BYTES))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a header that Python 2 wrote
            version = npy_format.read_magic(start)
            if version not in _HEADERS:
                raise ValueError("version %d.%d" % version)
            shape, fortran, dtype = _HEADERS[version](start)
            sizes = tuple(int(size) for size in shape)
            if any(size < 0 for size in sizes):
                raise ValueError("a negative size")
    except Exception as error:  # the header is a Python literal, parsed by NumPy, which raises whatever that raises
        raise DataError("%s: no .npy array (%s); save it again with NumPy" % (where, _reason(error))) from None
    return sizes, bool(fortran), dtype, start.read()


def _reason(error: BaseException) -> str:
    return shown((str(error).strip().splitlines() or [type(error).__name__])[0][:120])
