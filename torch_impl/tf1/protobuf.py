"""Varints and the protocol buffer wire format, as much of it as a checkpoint's index holds.

The format is the published one (protobuf.dev/programming-guides/encoding). A malformed message raises CheckpointError;
nothing is allocated from a length before that many bytes are known to be there.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch_impl.checkpoints.errors import CheckpointError

__all__ = [
    "BYTES",
    "FIXED32",
    "VARINT",
    "bytes_field",
    "fields",
    "fixed32_field",
    "read_varint",
    "varint",
    "varint_field",
]

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types


def varint(value: int) -> bytes:
    """A non-negative integer in groups of seven bits, least significant first."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    """The varint at `position`, from 0 to 2**64 - 1, and the position after it."""
    if position < len(data) and data[position] < 0x80:  # nearly all of them
        return data[position], position + 1
    value = 0
    for count in range(10):
        if position + count >= len(data):
            raise CheckpointError("a number is cut off")
        byte = data[position + count]
        value |= (byte & 0x7F) << (7 * count)
        if byte < 0x80 and value < 1 << 64:
            return value, position + count + 1
    raise CheckpointError("a number has more than 64 bits")


def fields(message: bytes) -> Iterator[tuple[int, int, int | bytes]]:
    """The fields of a message in order: (field number, wire type, value).

    A varint and a fixed-width value is an unsigned integer, a length-delimited one is bytes.
    """
    position = 0
    while position < len(message):
        key, position = read_varint(message, position)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise CheckpointError("a field has number 0")
        if kind == VARINT:
            value, position = read_varint(message, position)
            yield number, kind, value
            continue
        if kind == BYTES:
            size, position = read_varint(message, position)
        elif kind in (FIXED32, FIXED64):
            size = 4 if kind == FIXED32 else 8
        else:
            raise CheckpointError(f"field {number} has the unknown wire type {kind}")
        part = message[position : position + size]
        if len(part) < size:
            raise CheckpointError(f"field {number} is cut off")
        position += size
        yield number, kind, part if kind == BYTES else int.from_bytes(part, "little")


def varint_field(number: int, value: int) -> bytes:
    """A varint field; nothing at all for 0, which is the default."""
    return varint(number << 3 | VARINT) + varint(value) if value else b""


def bytes_field(number: int, value: bytes) -> bytes:
    """A length-delimited field, also when `value` is empty."""
    return varint(number << 3 | BYTES) + varint(len(value)) + value


def fixed32_field(number: int, value: int) -> bytes:
    """A 32-bit field of fixed width; nothing at all for 0, which is the default."""
    return varint(number << 3 | FIXED32) + value.to_bytes(4, "little") if value else b""
