"""Variables of every form written as a checkpoint: in slices, and in half precision, as they were read."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from torch_impl.checkpoints.errors import CheckpointError, naming
from torch_impl.checkpoints.files import write_atomically
from torch_impl.tf1 import protobuf
from torch_impl.tf1.bundle import _HEADER, data_path, index_path
from torch_impl.tf1.crc32c import crc32c, mask
from torch_impl.tf1.table import build_table
from torch_impl.tf1.variables import slice_key

__all__ = ["write_variables"]

# framework/types.proto
_NUMBERS = {"float32": 1, "float64": 2, "int32": 3, "int64": 9, "bool": 10, "float16": 19}
_BFLOAT16 = 14


def write_variables(
    prefix: str | os.PathLike[str],
    variables: Mapping[str, np.ndarray],
    dtypes: Mapping[str, str] | None = None,
    slices: Mapping[str, Any] | None = None,
) -> None:
    """Write variables, by name, as a checkpoint of one shard, whose bytes are those of TensorFlow 1.15.5's Saver.

    dtypes: what a variable is saved as, where not as it is. slices: a variable's partitions, each as [start, length] by
    axis. Each file is written atomically, the index last. Raises CheckpointError where one cannot be written.
    """
    prefix = Path(prefix)
    table, data = {b"": _HEADER}, bytearray()
    for name in sorted(variables, key=str.encode):
        array = np.asarray(variables[name])
        number, array = _as_saved(prefix, name, array, (dtypes or {}).get(name))
        pieces = list(_pieces(prefix, name, array, (slices or {}).get(name)))
        for key, _extents, piece in pieces:
            content = piece.astype(piece.dtype.newbyteorder("<")).tobytes()
            table[key] = _entry(number, piece.shape, len(data), content)
            data += content
        if pieces and pieces[0][1] is not None:
            table[name.encode()] = _whole(number, array.shape, [extents for _, extents, _ in pieces])
    with naming(prefix.parent, "written"):
        prefix.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(data_path(prefix, 0, 1), bytes(data))
    write_atomically(index_path(prefix), build_table(table))


def _as_saved(prefix: Path, name: str, array: np.ndarray, dtype: str | None) -> tuple[int, np.ndarray]:
    """TensorFlow's number of a type, and the array in it; bfloat16 as its bits."""
    if dtype == "bfloat16":
        bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
        rounded = bits + 0x7FFF + ((bits >> 16) & 1)  # to the nearest, to even in the middle
        return _BFLOAT16, (rounded >> 16).astype(np.uint16)
    array = array if dtype is None or dtype not in _NUMBERS else array.astype(dtype)
    if array.dtype.name not in _NUMBERS or not name:
        raise CheckpointError(
            f"{prefix}: cannot hold variable {name or '(empty name)'} of dtype {array.dtype}, "
            f"expected one of {', '.join(sorted(_NUMBERS))}"
        )
    return _NUMBERS[array.dtype.name], array


def _pieces(
    prefix: Path, name: str, array: np.ndarray, slices: Any
) -> Iterator[tuple[bytes, list[tuple[int, int]] | None, np.ndarray]]:
    """(key, where it is in the whole, values) of each part of a variable that is saved on its own."""
    if not slices:
        yield name.encode(), None, array
        return
    for extents in slices:
        try:
            pairs = [(int(start), int(length)) for start, length in extents]
        except (TypeError, ValueError):
            raise CheckpointError(f"{prefix}: the slices of {name} cannot be read") from None
        piece = array[tuple(slice(start, None if length < 0 else start + length) for start, length in pairs)]
        key = [
            (0, size) if length < 0 else (start, length)
            for (start, length), size in zip(pairs, array.shape, strict=False)
        ]
        yield slice_key(name, tuple(key)), pairs, piece


def _entry(number: int, shape: Sequence[int], offset: int, content: bytes) -> bytes:
    return (
        protobuf.varint_field(1, number)
        + protobuf.bytes_field(2, _shape(shape))
        + protobuf.varint_field(4, offset)
        + protobuf.varint_field(5, len(content))
        + protobuf.fixed32_field(6, mask(crc32c(content)))
    )


def _whole(number: int, shape: Sequence[int], slices: Sequence[Any]) -> bytes:
    """The entry of a partitioned variable, without data of its own."""
    parts = b""
    for extents in slices:
        message = b""
        for start, length in extents:
            size = b"" if length < 0 else protobuf.varint_field(2, length) or protobuf.varint(2 << 3) + b"\0"
            message += protobuf.bytes_field(1, protobuf.varint_field(1, start) + size)
        parts += protobuf.bytes_field(7, message)
    return protobuf.varint_field(1, number) + protobuf.bytes_field(2, _shape(shape)) + parts


def _shape(shape: Sequence[int]) -> bytes:
    return b"".join(protobuf.bytes_field(2, protobuf.varint_field(1, size)) for size in shape)
