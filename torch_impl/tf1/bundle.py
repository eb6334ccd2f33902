"""TensorFlow's V2 checkpoint ("tensor bundle"), read without TensorFlow; `writing` is the other direction.

PREFIX.index is a table (see tf1_table) from a variable's name to a BundleEntryProto, with a BundleHeaderProto under the
empty name; PREFIX.data-00000-of-0000N, one per shard, hold the tensors' bytes, row by row, little-endian. Field numbers
and types are those of tensorflow/core/protobuf/tensor_bundle.proto, framework/tensor_shape.proto and types.proto.
"""

from __future__ import annotations

import contextlib
import math
import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from torch_impl.checkpoints.errors import CheckpointError, naming
from torch_impl.checkpoints.files import exists, read_whole
from torch_impl.tf1 import protobuf
from torch_impl.tf1.crc32c import crc32c, unmask
from torch_impl.tf1.table import read_table
from unrolled.reading import open_regular

__all__ = ["HEADER", "NUMBERS", "Bundle", "BundleEntry", "data_path", "index_path", "read_entry"]

# framework/types.proto. Those without a NumPy dtype here are named in error messages only.
_DTYPES = {1: "float32", 2: "float64", 3: "int32", 9: "int64"}
_OTHER_DTYPES = {
    4: "uint8", 5: "int16", 6: "int8", 7: "string", 8: "complex64", 10: "bool", 14: "bfloat16", 17: "uint16",
    18: "complex128", 19: "float16", 20: "resource", 21: "variant", 22: "uint32", 23: "uint64",
}  # fmt: skip
NUMBERS = {name: number for number, name in {**_DTYPES, **_OTHER_DTYPES}.items()}

_MOST_INDEX_BYTES = 1 << 24  # about 40 bytes per variable: room for hundreds of thousands
_MOST_RANK = 32
_LISTED = 20
_VERSION = 1  # the only version of the format there has been
# One shard, little-endian.
HEADER = protobuf.varint_field(1, 1) + protobuf.bytes_field(3, protobuf.varint_field(1, _VERSION))
# Variables of more bytes are not read as a whole, but in pieces.
_MAPPED, _PIECE = 1 << 24, 1 << 22


class BundleEntry(NamedTuple):
    """What the index says of one variable. dtype: a NumPy name, or TensorFlow's for one that cannot be read here.

    slices: of a partitioned variable, each as (start, length) by axis; see `variables`.
    """

    dtype: str
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    crc: int
    partitioned: bool
    slices: tuple[tuple[tuple[int, int], ...], ...] = ()


def index_path(prefix: Path) -> Path:
    """PREFIX.index"""
    return prefix.with_name(prefix.name + ".index")


def data_path(prefix: Path, shard: int, shards: int) -> Path:
    """PREFIX.data-SHARD-of-SHARDS"""
    return prefix.with_name(f"{prefix.name}.data-{shard:05d}-of-{shards:05d}")


class Bundle:
    """A checkpoint opened for reading. `entries` maps every variable's name to its BundleEntry, sorted by name.

    Raises CheckpointError when the index is missing, truncated, altered or of another format.
    """

    def __init__(self, prefix: str | os.PathLike[str]) -> None:
        self.prefix = Path(prefix)
        path = index_path(self.prefix)
        if not exists(path) and self.prefix.is_file():
            raise CheckpointError(
                f"{self.prefix}: has no {path.name} beside it, so it may be a checkpoint of the old V1 format; "
                "restore it in TensorFlow 1 and save it again with tf.train.Saver()"
            )
        data = read_whole(path, _MOST_INDEX_BYTES)
        self.entries: dict[str, BundleEntry] = {}
        self._right: set[tuple[int, ...]] = set()  # large contents whose checksum was verified
        self.slices: dict[bytes, BundleEntry] = {}  # key -> each slice of a partitioned variable
        with naming(path):
            table = read_table(data)
            if b"" not in table:
                raise CheckpointError("not the index of a TensorFlow checkpoint: it has no header")
            self.shards = _shards(table.pop(b""))
            for key, value in table.items():
                if key.startswith(b"\0"):
                    self.slices[key] = read_entry(value)
                    continue
                name = _name(key)
                with naming(f"variable {name}"):
                    self.entries[name] = read_entry(value)
                    self._check(self.entries[name])
            self._check_places()

    def _check_places(self) -> None:
        """No byte is two variables': a small file would else hold any number of large ones."""
        own = [entry for entry in (*self.entries.values(), *self.slices.values()) if not entry.partitioned]
        end = (0, 0)
        for entry in sorted((each for each in own if each.size), key=lambda each: (each.shard, each.offset)):
            if (entry.shard, entry.offset) < end:
                raise CheckpointError(
                    f"altered: two variables share the bytes at {entry.offset} of shard {entry.shard}"
                )
            end = (entry.shard, entry.offset + entry.size)

    def _check(self, entry: BundleEntry) -> None:
        """What can be checked without opening the data; raises CheckpointError."""
        if entry.partitioned or entry.dtype not in _DTYPES.values():
            return
        if len(entry.shape) > _MOST_RANK:
            raise CheckpointError(f"rank {len(entry.shape)}, expected at most {_MOST_RANK}")
        expected = math.prod(entry.shape) * np.dtype(entry.dtype).itemsize
        if entry.size != expected:
            raise CheckpointError(
                f"altered: {entry.size} bytes recorded for {entry.dtype} {list(entry.shape)}, expected {expected}"
            )
        if entry.shard >= self.shards:
            raise CheckpointError(f"altered: lies in shard {entry.shard} of {self.shards}")

    def read(self, name: str) -> np.ndarray:
        """The values of the variable `name`, not to be changed, their checksum verified.

        Raises CheckpointError when there is no such variable, its dtype is not float32, float64, int32 or int64, its
        shard is missing or too short, or its bytes are not those that were saved.
        """
        if name not in self.entries:
            there = ", ".join(list(self.entries)[:_LISTED]) + (", …" if len(self.entries) > _LISTED else "")
            raise CheckpointError(f"{self.prefix}: has no variable {name}; it has {there or 'none'}")
        entry = self.entries[name]
        if entry.dtype not in _DTYPES.values():
            known = ", ".join(sorted(_DTYPES.values()))
            raise CheckpointError(f"{self.prefix}: variable {name} is {entry.dtype}, expected one of {known}")
        if entry.partitioned:
            raise CheckpointError(
                f"{self.prefix}: variable {name} is partitioned; save the checkpoint again without a partitioner"
            )
        array = self.contents(name, entry).view(np.dtype(entry.dtype).newbyteorder("<"))
        try:
            return array.astype(entry.dtype, copy=False).reshape(entry.shape)
        except ValueError as error:  # a forged shape with a size of zero and one beyond NumPy's range
            raise CheckpointError(
                f"{self.prefix}: variable {name} has an impossible shape {list(entry.shape)}: {error}"
            ) from None

    def contents(self, name: str, entry: BundleEntry) -> np.ndarray:
        """The bytes that an entry points to, uint8, not to be changed, their checksum verified (but for text, whose
        checksum is of another kind).

        Many of them are checked in pieces and then mapped: they take memory where they are used. Raises
        CheckpointError.
        """
        place = (entry.shard, entry.offset, entry.size, entry.crc)
        with self._at(name, entry) as stream:
            if entry.size <= _MAPPED:
                return np.frombuffer(b"".join(map(bytes, _verified(stream, name, entry))), np.uint8)
            if place not in self._right:
                for _ in _verified(stream, name, entry):
                    pass
                self._right.add(place)
            start = entry.offset % mmap.ALLOCATIONGRANULARITY
            mapped = mmap.mmap(
                stream.fileno(), start + entry.size, access=mmap.ACCESS_READ, offset=entry.offset - start
            )
            return np.frombuffer(mapped, np.uint8, entry.size, start)

    @contextlib.contextmanager
    def _at(self, name: str, entry: BundleEntry) -> Iterator[IO[bytes]]:
        """The file with an entry's bytes, opened where they begin, all of them there."""
        path = data_path(self.prefix, entry.shard, self.shards)
        with naming(path):
            if not exists(path):
                raise CheckpointError(f"missing; variable {name} is in it, so copy it beside the index")
            with open_regular(path) as stream:
                size = os.fstat(stream.fileno()).st_size
                if entry.offset + entry.size > size:
                    raise CheckpointError(
                        f"truncated: variable {name} ends at byte {entry.offset + entry.size}, and the file has {size}"
                    )
                stream.seek(entry.offset)
                yield stream

    def pieces(self, name: str, entry: BundleEntry) -> Iterator[memoryview]:
        """The same bytes a few megabytes at a time, each to be used before the next is asked for. Where the checksum is
        not theirs, CheckpointError comes after the last."""
        with self._at(name, entry) as stream:
            yield from _verified(stream, name, entry)


def _verified(stream: IO[bytes], name: str, entry: BundleEntry) -> Iterator[memoryview]:
    """The bytes from where the stream stands, in pieces; CheckpointError where one is missing or altered."""
    data = memoryview(bytearray(min(entry.size, _PIECE)))
    crc, left = 0, entry.size
    while left:
        piece = data[:left]
        if stream.readinto(piece) < len(piece):  # type: ignore[attr-defined]  # of a buffered file, all there is
            raise CheckpointError(f"truncated while it was read, within variable {name}")
        crc = crc32c(piece, crc)
        left -= len(piece)
        yield piece
    if crc != entry.crc and entry.dtype != "string":
        raise CheckpointError(
            f"altered: the checksum of variable {name} is {crc:08x}, expected {entry.crc:08x}; get the file again"
        )


def _name(key: bytes) -> str:
    name = key.decode("utf-8", "replace")
    if not name.isprintable() or name.encode() != key:
        raise CheckpointError(f"altered: {key!r:.80} cannot be the name of a variable")
    return name


def _shards(message: bytes) -> int:
    """The number of data files, from a BundleHeaderProto that this reader understands."""
    shards = endianness = 0
    version = b""
    for number, kind, value in protobuf.fields(message):
        if number == 1:
            shards = _number(value, kind)
        elif number == 2:
            endianness = _number(value, kind)
        elif number == 3:
            version = _bytes(value, kind)
    if endianness != 0:
        raise CheckpointError("written on a big-endian machine, which is not supported; save it again on another one")
    if not 1 <= shards <= 99_999:
        raise CheckpointError(f"altered: {shards} data files claimed, expected 1 to 99999")
    minimum = sum(_number(value, kind) for number, kind, value in protobuf.fields(version) if number == 2)
    if minimum > _VERSION:
        raise CheckpointError(f"needs a reader of version {minimum} of the format; this one reads version {_VERSION}")
    return shards


def read_entry(message: bytes) -> BundleEntry:
    """A BundleEntryProto."""
    found = {1: 0, 3: 0, 4: 0, 5: 0, 6: 0}  # dtype, shard_id, offset, size, crc32c
    shape: tuple[int, ...] = ()
    slices = []
    for number, kind, value in protobuf.fields(message):
        if number == 2:
            shape = _shape(_bytes(value, kind))
        elif number == 7:
            slices.append(_extents(_bytes(value, kind)))
        elif number in found:
            found[number] = _number(value, kind, protobuf.FIXED32 if number == 6 else protobuf.VARINT)
    dtype = _DTYPES.get(found[1]) or _OTHER_DTYPES.get(found[1]) or f"of the unknown type {found[1]}"
    return BundleEntry(dtype, shape, found[3], found[4], found[5], unmask(found[6]), bool(slices), tuple(slices))


def _extents(message: bytes) -> tuple[tuple[int, int], ...]:
    """A TensorSliceProto: (start, length) by axis; without a length it is the whole axis, (0, -1)."""
    found = []
    for number, kind, value in protobuf.fields(message):
        if number == 1:
            sizes = {n: _number(v, k) for n, k, v in protobuf.fields(_bytes(value, kind))}
            found.append((sizes.get(1, 0), sizes.get(2, -1)))
    return tuple(found)


def _shape(message: bytes) -> tuple[int, ...]:
    """A TensorShapeProto whose every size is known."""
    sizes = []
    for number, kind, value in protobuf.fields(message):
        if number == 2:
            sizes.append(sum(_number(v, k) for n, k, v in protobuf.fields(_bytes(value, kind)) if n == 1))
        elif number == 3 and value:
            raise CheckpointError("altered: its rank is unknown")
    return tuple(sizes)


def _number(value: int | bytes, kind: int, expected: int = protobuf.VARINT) -> int:
    if isinstance(value, bytes) or kind != expected:
        raise CheckpointError("altered: a number is stored in another form than a number's")
    if value >= 1 << 63:  # how a negative int64 is stored
        raise CheckpointError(f"altered: the negative number {value - (1 << 64)} where none can be")
    return value


def _bytes(value: int | bytes, kind: int) -> bytes:
    if not isinstance(value, bytes) or kind != protobuf.BYTES:
        raise CheckpointError("altered: a message is stored as a number")
    return value
