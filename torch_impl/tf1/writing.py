"""Variables of every form written as a checkpoint: in slices, and in half precision, as they were read."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from torch_impl.checkpoints.errors import CheckpointError, naming
from torch_impl.checkpoints.files import parts_of, replacing, write_atomically
from torch_impl.tf1 import protobuf
from torch_impl.tf1.bundle import HEADER, NUMBERS, data_path, index_path
from torch_impl.tf1.crc32c import crc32c, mask
from torch_impl.tf1.table import build_table
from torch_impl.tf1.variables import Span, slice_key, spans_of

__all__ = ["write_variables"]

_WRITTEN = ("bool", "float16", "float32", "float64", "int32", "int64")


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
    table = {b"": HEADER}
    with naming(prefix.parent, "written"):
        prefix.parent.mkdir(parents=True, exist_ok=True)
    path = data_path(prefix, 0, 1)
    with naming(path, "written"), replacing(path) as stream:
        offset = 0
        for name in sorted(variables, key=str.encode):
            number, array = _as_saved(name, np.asarray(variables[name]), (dtypes or {}).get(name))
            pieces = list(_pieces(name, array, (slices or {}).get(name)))
            for key, _extents, piece in pieces:
                crc, size = 0, piece.nbytes
                for part in parts_of(piece):
                    stream.write(part)
                    crc = crc32c(part, crc)
                table[key] = _entry(number, piece.shape, offset, size, crc)
                offset += size
            if pieces and pieces[0][1] is not None:
                table[name.encode()] = _whole(number, array.shape, [extents for _, extents, _ in pieces])
    write_atomically(index_path(prefix), build_table(table))


def _as_saved(name: str, array: np.ndarray, dtype: str | None) -> tuple[int, np.ndarray]:
    """TensorFlow's number of a type, and the array in it; bfloat16 as its bits."""
    if dtype == "bfloat16":
        bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
        rounded = bits + 0x7FFF + ((bits >> 16) & 1)  # to the nearest, to even in the middle
        return NUMBERS["bfloat16"], (rounded >> 16).astype(np.uint16)
    array = array if dtype is None or dtype not in _WRITTEN else array.astype(dtype)
    if array.dtype.name not in _WRITTEN or not name:
        raise CheckpointError(
            f"cannot hold variable {name or '(empty name)'} of dtype {array.dtype}, "
            f"expected one of {', '.join(_WRITTEN)}"
        )
    return NUMBERS[array.dtype.name], array


def _pieces(name: str, array: np.ndarray, slices: Any) -> Iterator[tuple[bytes, Span | None, np.ndarray]]:
    """(key, where it is in the whole, values) of each part of a variable that is saved on its own."""
    if not slices:
        yield name.encode(), None, array
        return
    for extents in slices:
        try:
            pairs = tuple((int(start), int(length)) for start, length in extents)
            span = spans_of(pairs, array.shape)
        except (TypeError, ValueError, CheckpointError):
            raise CheckpointError(f"the slices of {name} cannot be read") from None
        yield slice_key(name, span), pairs, array[tuple(slice(start, start + length) for start, length in span)]


def _entry(number: int, shape: Sequence[int], offset: int, size: int, crc: int) -> bytes:
    return (
        protobuf.varint_field(1, number)
        + protobuf.bytes_field(2, _shape(shape))
        + protobuf.varint_field(4, offset)
        + protobuf.varint_field(5, size)
        + protobuf.fixed32_field(6, mask(crc))
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
