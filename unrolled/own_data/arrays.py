"""NumPy's own files, .npy and .npz, read with suspicion: nothing is unpickled, and no header is believed.

The formats: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html. NumPy's readers allocate what a
header asks for before they look whether the file holds it; here only what is really there takes memory.
"""

from __future__ import annotations

import io
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy_format

from unrolled.datasets.reading import opened, read_at_most
from unrolled.errors import DataError

__all__ = ["read_npy", "read_npz", "shown"]

_MOST_HEADER_BYTES = 12 + 65536
_MOST_MEMBERS = 1000000
MOST_BYTES = 1 << 31  # of all arrays of a file; a compressed one may claim anything
_HEADERS = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}


def shown(array: np.ndarray) -> str:
    """An array as an error message shows it."""
    return "%s %s" % (array.dtype, list(array.shape))


def read_npy(path: Path) -> np.ndarray:
    """The array of an .npy file. Raises DataError for anything but one whole array of plain values."""
    with opened(path) as stream:
        return _read_array(stream, str(path), MOST_BYTES)


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz file by name, in its order. Raises DataError as `read_npy`, naming the array."""
    arrays: dict[str, np.ndarray] = {}
    left = MOST_BYTES
    try:
        with opened(path) as stream, zipfile.ZipFile(stream) as archive:
            members = archive.infolist()
            if len(members) > _MOST_MEMBERS:
                raise DataError("%s: holds %d files, expected at most %d" % (path, len(members), _MOST_MEMBERS))
            for member in members:
                name = member.filename[: -len(".npy")] if member.filename.endswith(".npy") else None
                if name is None or name in arrays:
                    raise DataError(
                        "%s: holds %r%s, expected arrays as numpy.savez writes them"
                        % (path, member.filename[:80], "" if name is None else " twice")
                    )
                with archive.open(member) as content:
                    arrays[name] = _read_array(content, "%s: the array %r" % (path, name[:80]), left)
                left -= arrays[name].nbytes
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
        ValueError,
        OverflowError,
    ) as e:
        raise DataError("%s: no whole .npz file (%s); save it again with numpy.savez" % (path, _reason(e))) from None
    return arrays


def _read_array(stream: IO[bytes], where: str, most: int) -> np.ndarray:
    """most: the bytes that the array may have."""
    shape, fortran, dtype, rest = _read_header(stream, where)
    if dtype.hasobject:
        raise DataError(
            "%s holds Python objects, which are not unpickled; save plain numbers (sequences of different lengths with "
            "numpy.savez(FILE, *sequences, labels=labels))" % where
        )
    if dtype.kind not in "biufUS" or dtype.itemsize == 0:
        raise DataError("%s has the type %s, expected numbers or text" % (where, str(dtype)[:60]))
    wanted = dtype.itemsize
    for size in shape:
        wanted *= size
    if wanted > most:
        raise DataError(
            "%s is %s %s, which with all before it in the file is more than %d GiB; give fewer rows"
            % (where, dtype, list(shape)[:8], MOST_BYTES >> 30)
        )
    content = rest + read_at_most(stream, wanted - len(rest) + 1)
    if len(content) != wanted:
        found = "more" if len(content) > wanted else "%d" % len(content)
        raise DataError(
            "%s: its header announces %s %s, %d bytes, but %s follow; save it again"
            % (where, dtype, list(shape)[:8], wanted, found)
        )
    try:
        array = np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C")
    except ValueError as error:
        raise DataError(
            "%s: its header announces %s, which is no shape (%s)" % (where, list(shape)[:8], error)
        ) from None
    return np.asarray(array, dtype.newbyteorder("="))


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
    text = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
    return "".join(letter if letter.isprintable() else "?" for letter in text)
