"""Decompression of a raw Snappy stream: TensorFlow 1.0 and 1.1 compressed the index of a checkpoint with it.

The format is the published one (github.com/google/snappy, format_description.txt): a varint with the uncompressed
length, then elements whose first byte's two low bits say literal (0) or copy with an offset of 1, 2 or 4 bytes.
"""

from __future__ import annotations

from torch_impl.checkpoints.errors import CheckpointError
from torch_impl.tf1.protobuf import read_varint

__all__ = ["decompress"]

_MOST_ELEMENTS = 1 << 21  # a few seconds' work
_MOST = 22  # no element gives more output per byte: a copy of 64 bytes takes 3


def decompress(data: bytes, most: int = 1 << 25) -> bytes:
    """The uncompressed bytes, at most so many; raises CheckpointError for a malformed stream, before anything large is
    allocated."""
    length, position = read_varint(data, 0)
    if length > _MOST * len(data):
        raise CheckpointError(f"{len(data)} compressed bytes claim to hold {length}, which no Snappy stream can")
    if length > most:
        raise CheckpointError(f"{len(data)} compressed bytes hold {length}, expected at most {most}")
    output = bytearray()
    elements = 0
    while position < len(data):
        elements += 1
        if elements > _MOST_ELEMENTS:
            raise CheckpointError(f"more than {_MOST_ELEMENTS} elements of compressed data")
        tag = data[position]
        position += 1
        if tag & 3 == 0:
            size, position = _literal_size(data, position, tag)
            part = data[position : position + size]
            position += size
            if len(part) < size:
                raise CheckpointError("the compressed data ends within a literal")
        else:
            size, offset, position = _copy(data, position, tag)
            if not 0 < offset <= len(output):
                raise CheckpointError("a compressed copy reaches before the start of the data")
            # A copy may overlap what it writes: the last `offset` bytes then repeat.
            part = bytes(output[-offset:] if offset < size else output[-offset : len(output) - offset + size])
            part = (part * (size // len(part) + 1))[:size]
        output += part
        if len(output) > length:
            break
    if len(output) != length:
        raise CheckpointError(f"the compressed data does not give the {length} bytes it claims")
    return bytes(output)


def _literal_size(data: bytes, position: int, tag: int) -> tuple[int, int]:
    size = tag >> 2
    if size < 60:
        return size + 1, position
    extra = size - 59  # the size minus one follows in 1 to 4 bytes
    return _integer(data, position, extra) + 1, position + extra


def _copy(data: bytes, position: int, tag: int) -> tuple[int, int, int]:
    """Size, offset and the position after a copy element."""
    if tag & 3 == 1:
        return (tag >> 2 & 7) + 4, (tag >> 5) << 8 | _integer(data, position, 1), position + 1
    extra = 2 if tag & 3 == 2 else 4
    return (tag >> 2) + 1, _integer(data, position, extra), position + extra


def _integer(data: bytes, position: int, count: int) -> int:
    part = data[position : position + count]
    if len(part) < count:
        raise CheckpointError("the compressed data ends within an element")
    return int.from_bytes(part, "little")
