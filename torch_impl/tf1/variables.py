"""The variables of a TensorFlow 1 checkpoint, whatever form they are saved in: whole, in slices, in half precision.

A partitioned variable has an entry with its whole shape and its slices, and a hidden entry for each slice, whose key is
TensorFlow's EncodeTensorNameSlice (core/util/saved_tensor_slice_util.cc, core/lib/strings/ordered_code.cc).
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from torch_impl.checkpoints.errors import CheckpointError, naming
from torch_impl.checkpoints.files import parts_of
from torch_impl.tf1.bundle import Bundle, BundleEntry

__all__ = ["Span", "Variables", "slice_key", "spans_of"]

_READ = {"bfloat16": 2, "float16": 2, "bool": 1}  # bytes of each
_MOST_ENTRIES = 1 << 33
_MOST_SLICES = 4096
HALF = ("float16", "bfloat16")

Span = tuple[tuple[int, int], ...]  # (start, length) by axis


class Variables:
    """A checkpoint opened for reading. entries: every variable's BundleEntry, by name, sorted."""

    def __init__(self, prefix: str | os.PathLike[str]) -> None:
        self.bundle = Bundle(prefix)
        self.prefix: Path = self.bundle.prefix
        self.entries: Mapping[str, BundleEntry] = self.bundle.entries
        self._read: dict[str, np.ndarray] = {}
        self._keeps = True

    def read(self, name: str) -> np.ndarray:
        """The variable's values, not to be changed, its checksums verified; half precision as float32, which holds it
        exactly. What was read is kept until `release`.

        Raises CheckpointError: see `Bundle.read`; and where slices are missing.
        """
        if name in self._read:
            return self._read[name]
        try:
            values = self._values(name)
        except MemoryError:
            raise CheckpointError(
                f"{self.prefix}: variable {name} takes more memory than there is; convert it on a larger machine"
            ) from None
        if self._keeps:
            self._read[name] = values
        return values

    def dtype(self, name: str) -> np.dtype[Any]:
        """What `read` gives it as."""
        kind = self.entries[name].dtype
        return np.dtype(np.float32 if kind in HALF else kind)

    def parts(self, name: str) -> Iterator[memoryview]:
        """The bytes that `read` would give, little-endian, a few megabytes at a time, each to be used before the next
        is asked for. CheckpointError for a wrong checksum may come after the last."""
        entry = self.entries[name]
        if entry.partitioned or entry.dtype in _READ:
            return parts_of(self.read(name))
        return self.bundle.pieces(name, entry)

    def release(self) -> None:
        """From here on each is read when it is asked for, and kept by whoever asked."""
        self._read, self._keeps = {}, False

    def _values(self, name: str) -> np.ndarray:
        entry = self.entries.get(name)
        if entry is not None and entry.partitioned:
            with naming(f"{self.prefix}: variable {name}"):
                return self._joined(name, entry)
        if entry is not None and entry.dtype in _READ:
            with naming(f"{self.prefix}: variable {name}"):
                return _array(self.bundle.contents(name, entry), entry.dtype, entry.shape)
        return self.bundle.read(name)

    def _joined(self, name: str, entry: BundleEntry) -> np.ndarray:
        """A partitioned variable, its slices put together."""
        if entry.dtype not in ("float32", "float64", "int32", "int64", *_READ):
            raise CheckpointError(f"is {entry.dtype}, expected numbers")
        if math.prod(entry.shape) > _MOST_ENTRIES or len(entry.shape) > 32:
            raise CheckpointError(f"has the impossible shape {list(entry.shape)}")
        spans = [spans_of(extents, entry.shape) for extents in entry.slices]
        _check_spans(spans, entry.shape)
        pieces = [self._piece(name, each, entry) for each in spans]
        whole = np.empty(entry.shape, np.float32 if entry.dtype in HALF else entry.dtype)
        for each, piece in zip(spans, pieces, strict=True):
            shape = tuple(length for _, length in each)
            data = self.bundle.contents(name, piece)
            if entry.dtype in _READ:
                values = _array(data, entry.dtype, shape)
            else:
                values = data.view(np.dtype(entry.dtype).newbyteorder("<")).reshape(shape)
            whole[tuple(slice(start, start + length) for start, length in each)] = values
        return whole

    def _piece(self, name: str, span: Span, whole: BundleEntry) -> BundleEntry:
        """What the index says of a slice."""
        entry = self.bundle.slices.get(slice_key(name, span))
        if entry is None:
            raise CheckpointError(f"its slice {list(span)} is missing; save the checkpoint again")
        width = _READ.get(whole.dtype) or np.dtype(whole.dtype).itemsize
        if entry.dtype != whole.dtype or entry.size != math.prod(length for _, length in span) * width:
            raise CheckpointError(f"altered: its slice {list(span)} is {entry.dtype} of {entry.size} bytes")
        return entry


def spans_of(extents: Span, shape: tuple[int, ...]) -> Span:
    """A slice as (start, length) by axis, where it says -1 for the length of a whole axis; CheckpointError where it is
    none of an array of this shape."""
    spans = tuple(
        (0, size) if length < 0 else (start, length) for (start, length), size in zip(extents, shape, strict=False)
    )
    fits = all(0 <= start <= start + length <= size for (start, length), size in zip(spans, shape, strict=False))
    if not len(extents) == len(shape) or not fits:
        raise CheckpointError(f"altered: a slice {list(extents)} of {list(shape)}")
    return spans


def _check_spans(spans: list[Span], shape: tuple[int, ...]) -> None:
    """Raise CheckpointError where slices leave a part of the whole out, or hold one twice."""
    covered = sum(math.prod(length for _, length in each) for each in spans)
    if covered != math.prod(shape):
        raise CheckpointError(f"its {len(spans)} slices are {covered} entries of {math.prod(shape)}")
    if len(spans) > _MOST_SLICES:
        raise CheckpointError(f"is in {len(spans)} slices, expected at most {_MOST_SLICES}")
    starts = np.array(spans, np.int64).reshape(len(spans), len(shape), 2)
    filled = starts[(starts[..., 1] > 0).all(1)]
    first, last = filled[..., 0], filled.sum(2)
    for number in range(len(filled) - 1):
        if ((first[number] < last[number + 1 :]) & (first[number + 1 :] < last[number])).all(1).any():
            raise CheckpointError("altered: two of its slices overlap")


def _array(data: np.ndarray, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """Values of a type that `Bundle` does not read. bfloat16 is the upper half of a float32."""
    if len(data) != math.prod(shape) * _READ[dtype]:
        raise CheckpointError(f"altered: {len(data)} bytes for {dtype} {list(shape)}")
    if dtype == "bfloat16":
        return (data.view("<u2").astype(np.uint32) << 16).view(np.float32).reshape(shape)
    if dtype == "bool":
        return data.astype(bool).reshape(shape)
    return data.view("<f2").astype(np.float32).reshape(shape)


def slice_key(name: str, extents: Span) -> bytes:
    """The key of a slice's entry."""
    text = name.encode().replace(b"\0", b"\0\xff").replace(b"\xff", b"\xff\0")
    numbers = b"".join(_signed(start) + _signed(length) for start, length in extents)
    return b"\0" + text + b"\0\1" + _unsigned(len(extents)) + numbers


def _unsigned(value: int) -> bytes:
    """OrderedCode's WriteNumIncreasing: how many bytes, and the bytes."""
    size = (value.bit_length() + 7) // 8
    return bytes([size]) + value.to_bytes(size, "big")


def _signed(value: int) -> bytes:
    """OrderedCode's WriteSignedNumIncreasing of a number from 0: as many leading ones as bytes, then the number."""
    size = 1
    while value >= 1 << (7 * size - 1):
        size += 1
    header = ((1 << size) - 1) << (16 - size)  # the ones, in two bytes
    found = bytearray(value.to_bytes(size, "big"))
    found[0] ^= header >> 8
    if size > 1:
        found[1] ^= header & 0xFF
    return bytes(found)
