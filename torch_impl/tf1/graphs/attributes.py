"""The attributes of a graph's nodes as plain values (framework/attr_value.proto, tensor.proto, tensor_shape.proto)."""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np

from torch_impl.checkpoints.errors import CheckpointError
from torch_impl.tf1 import protobuf

__all__ = ["DTYPES", "message", "value_of"]

_MOST_CONSTANT = 1 << 26  # entries
# framework/types.proto; references to variables are 100 above.
DTYPES: dict[int, Any] = {
    1: np.float32, 2: np.float64, 3: np.int32, 4: np.uint8, 5: np.int16, 6: np.int8, 7: np.object_, 8: np.complex64,
    9: np.int64, 10: np.bool_, 17: np.uint16, 19: np.float16, 22: np.uint32, 23: np.uint64,
}  # fmt: skip
_VALUES = {1: (5, "f"), 2: (6, "d"), 3: (7, ""), 4: (7, ""), 5: (7, ""), 6: (7, ""), 9: (10, ""), 10: (11, "")}

Message = dict[int, list[Any]]


def message(data: bytes) -> Message:
    """The fields of a protocol buffer by number, each in order."""
    found: Message = {}
    for number, _, value in protobuf.fields(data):
        found.setdefault(number, []).append(value)
    return found


def value_of(raw: bytes) -> Any:
    """An AttrValue: text, integer, float, truth, type, shape (list, None or -1 for unknown), tensor, or a list."""
    for number, _, value in protobuf.fields(raw):
        if number == 1:
            items = message(value)  # type: ignore[arg-type]
            found = [v for number, vs in items.items() for v in (_packed(vs, "") if number == 3 else vs) if number != 9]
            return [_signed(v) if isinstance(v, int) else v for v in found]
        if number == 2:
            return value.decode("utf-8", "replace")  # type: ignore[union-attr]
        if number == 3:
            return _signed(value)  # type: ignore[arg-type]
        if number == 4:
            return struct.unpack("<f", value.to_bytes(4, "little"))[0]  # type: ignore[union-attr]
        if number == 5:
            return bool(value)
        if number == 6:
            return int(value) % 100
        if number == 7:
            return _shape(value)  # type: ignore[arg-type]
        if number == 8:
            return _tensor(value)  # type: ignore[arg-type]
    return None


def _signed(value: int) -> int:
    """A varint as the int64 that it stands for."""
    return value - (1 << 64) if value >= 1 << 63 else value


def _shape(data: bytes) -> list[int] | None:
    """A TensorShapeProto: sizes, -1 for one that is unknown; None where even the rank is."""
    found = message(data)
    if 3 in found and found[3][0]:
        return None
    return [_signed(message(each).get(1, [0])[0]) for each in found.get(2, [])]


def _tensor(data: bytes) -> np.ndarray:
    """A TensorProto. One value may stand for all of them, and the last for those that follow."""
    found = message(data)
    number = found.get(1, [0])[0]
    shape = _shape(found[2][0]) if 2 in found else []
    if number not in DTYPES or shape is None or min(shape, default=0) < 0:
        raise CheckpointError(f"a constant of type {number} and shape {shape}")
    size = math.prod(shape)
    if size > _MOST_CONSTANT:
        raise CheckpointError(f"a constant of {size} entries")
    dtype = np.dtype(DTYPES[number])
    if 4 in found and found[4][0]:
        return np.frombuffer(found[4][0], dtype).reshape(shape)
    if number == 7:
        values: list[Any] = [text.decode("utf-8", "replace") for text in found.get(8, [])]
    elif number == 19:
        values = list(np.array(_packed(found.get(13, []), ""), np.uint16).view(np.float16))
    else:
        where, form = _VALUES.get(number, (7, ""))
        values = _packed(found.get(where, []), form)
    if not values:
        return np.zeros(shape, dtype)
    array = np.full(size, values[-1], dtype)
    array[: len(values)] = values[:size]
    return array.reshape(shape)


def _packed(values: list[int | bytes], form: str) -> list[Any]:
    """Numbers, each on its own or many in one piece of bytes. form: "f", "d", or "" for varints."""
    found: list[Any] = []
    for value in values:
        if isinstance(value, bytes) and form:
            found += struct.unpack(f"<{len(value) // struct.calcsize(form)}{form}", value)
        elif isinstance(value, bytes):
            position = 0
            while position < len(value):
                one, position = protobuf.read_varint(value, position)
                found.append(_signed(one))
        elif form:
            found += struct.unpack(f"<{form}", value.to_bytes(struct.calcsize(form), "little"))
        else:
            found.append(_signed(value))
    return found
