"""The variables of a TensorFlow 1 checkpoint, whatever form they are saved in: whole, in slices, in half precision.

A partitioned variable has an entry with its whole shape and its slices, and a hidden entry for each slice, whose key is
TensorFlow's EncodeTensorNameSlice (core/util/saved_tensor_slice_util.cc, core/lib/strings/ordered_code.cc).
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from torch_impl.checkpoints.errors import CheckpointError, naming
from torch_impl.tf1.bundle import Bundle, BundleEntry, _entry, _slice, data_path
from torch_impl.tf1.crc32c import crc32c

__all__ = ["Variables", "slice_key"]

_READ = {"bfloat16": 2, "float16": 2, "bool": 1}  # bytes of each
_MOST_ENTRIES = 1 << 33
HALF = ("float16", "bfloat16")


class Variables:
    """A checkpoint opened for reading. entries: every variable's BundleEntry, by name, sorted."""

    def __init__(self, prefix: str | os.PathLike[str]) -> None:
        self.bundle = Bundle(prefix)
        self.prefix: Path = self.bundle.prefix
        self.entries: Mapping[str, BundleEntry] = self.bundle.entries
        self._read: dict[str, np.ndarray] = {}

    def read(self, name: str) -> np.ndarray:
        """The variable's values, not to be changed, its checksums verified; half precision as float32, which holds it
        exactly. What was read is kept, so that it is read once.

        Raises CheckpointError: see `Bundle.read`; and where slices are missing.
        """
        if name not in self._read:
            self._read[name] = self._values(name)
        return self._read[name]

    def _values(self, name: str) -> np.ndarray:
        entry = self.entries.get(name)
        if entry is not None and entry.partitioned:
            with naming(f"{self.prefix}: variable {name}"):
                return self._joined(name, entry)
        if entry is not None and entry.dtype in _READ:
            with naming(f"{self.prefix}: variable {name}"):
                return _array(self.raw(name, entry), entry.dtype, entry.shape)
        return self.bundle.read(name)

    def raw(self, name: str, entry: BundleEntry) -> bytes:
        """The bytes that an entry points to, whatever its type, its checksum verified."""
        path = data_path(self.prefix, entry.shard, self.bundle.shards)
        with naming(path):
            data = bytes(_slice(path, name, entry))
            if entry.dtype != "string" and crc32c(data) != entry.crc:
                raise CheckpointError(f"altered: the checksum of variable {name} does not match; get the file again")
        return data

    def _joined(self, name: str, entry: BundleEntry) -> np.ndarray:
        """A partitioned variable, its slices put together."""
        half = entry.dtype in HALF
        if entry.dtype not in ("float32", "float64", "int32", "int64", *_READ):
            raise CheckpointError(f"is {entry.dtype}, expected numbers")
        if math.prod(entry.shape) > _MOST_ENTRIES or len(entry.shape) > 32:
            raise CheckpointError(f"has the impossible shape {list(entry.shape)}")
        found: list[tuple[tuple[slice, ...], np.ndarray]] = []
        covered = 0
        for extents in entry.slices:
            extents = tuple(
                (0, size) if length < 0 else (start, length)
                for (start, length), size in zip(extents, entry.shape, strict=False)
            )
            shape = tuple(length for _, length in extents)
            if len(extents) != len(entry.shape) or any(
                start + length > size for (start, length), size in zip(extents, entry.shape, strict=False)
            ):
                raise CheckpointError(f"altered: a slice {list(extents)} of {list(entry.shape)}")
            piece = self._piece(name, extents, entry, shape)
            covered += piece.size
            found.append((tuple(slice(start, start + length) for start, length in extents), piece))
        if covered != math.prod(entry.shape):
            raise CheckpointError(f"its {len(found)} slices are {covered} entries of {math.prod(entry.shape)}")
        whole = np.empty(entry.shape, np.float32 if half else entry.dtype)
        for where, piece in found:
            whole[where] = piece
        return whole

    def _piece(
        self, name: str, extents: tuple[tuple[int, int], ...], whole: BundleEntry, shape: tuple[int, ...]
    ) -> np.ndarray:
        message = self.bundle.slices.get(slice_key(name, extents))
        if message is None:
            raise CheckpointError(f"its slice {list(extents)} is missing; save the checkpoint again")
        entry = _entry(message)
        width = _READ.get(whole.dtype) or np.dtype(whole.dtype).itemsize
        if entry.dtype != whole.dtype or entry.size != math.prod(shape) * width:
            raise CheckpointError(f"altered: its slice {list(extents)} is {entry.dtype} of {entry.size} bytes")
        data = self.raw(name, entry)
        if whole.dtype in _READ:
            return _array(data, whole.dtype, shape)
        return np.frombuffer(data, np.dtype(whole.dtype).newbyteorder("<")).reshape(shape)


def _array(data: bytes, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """Values of a type that `Bundle` does not read. bfloat16 is the upper half of a float32."""
    if len(data) != math.prod(shape) * _READ[dtype]:
        raise CheckpointError(f"altered: {len(data)} bytes for {dtype} {list(shape)}")
    if dtype == "bfloat16":
        return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32).reshape(shape)
    if dtype == "bool":
        return np.frombuffer(data, np.uint8).astype(bool).reshape(shape)
    return np.frombuffer(data, "<f2").astype(np.float32).reshape(shape)


def slice_key(name: str, extents: tuple[tuple[int, int], ...]) -> bytes:
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
