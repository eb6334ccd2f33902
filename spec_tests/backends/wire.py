"""Frames between a backend in another process and the suite: plain values and arrays, never pickled.

`pack` makes the buffers of one frame, `read` takes one from a stream; PROTOCOL.md describes every byte. What a frame
announces is checked against the limits here before anything is allocated for it. Python 3.7 syntax: the worker that
serves TensorFlow 1.15.5 reads and writes the same frames.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from typing import Any, Callable

import numpy as np

from spec_tests.contract import CHANGED
from unrolled import models, networks
from unrolled.programs import Adam

__all__ = ["DTYPES", "FrameError", "UnsupportedValue", "encode", "pack", "read"]

MAGIC = b"UNR2"  # the last byte is the protocol's version
VERSION_1 = b"UNR1"
PREFIX = struct.Struct("<4sIQ")  # magic, bytes of the header, bytes of the body

HEADER_LIMIT = 16 * 2**20
BODY_LIMIT = 4 * 2**30
ARRAYS_LIMIT = 2**16
DIMENSIONS_LIMIT = 32  # NumPy 1's own
DEPTH_LIMIT = 32
INTEGERS = range(-(2**63), 2**63)
JOINED = 2**16  # bytes; a frame up to this size goes out in one piece

# NumPy's names of what may travel: booleans, integers and IEEE floats of fixed size, little-endian.
DTYPES = frozenset(["|b1", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8"])
# What travels as plain values by a tag of its own: how they are made of the value, and the value of them.
PLAIN: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "network": (networks.to_plain, networks.from_plain),
    "model": (models.to_plain, models.from_plain),
}
NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


class FrameError(Exception):
    """What arrived breaks the protocol; the message says how."""


class UnsupportedValue(ValueError):  # noqa: N818 - it is the value that is unsupported, nothing went wrong yet
    """A value that the protocol does not carry; the message says where it is, and what is carried."""


def pack(number: int, fields: dict[str, Any]) -> list[Any]:
    """One frame as a list of buffers to write one after the other. Arrays are not copied, unless they have to be.

    number: of the message; a reply has its request's. Raises UnsupportedValue.
    """
    arrays: list[np.ndarray] = []
    header: dict[str, Any] = {"id": number}
    for name, value in fields.items():
        header[name] = encode(value, name, arrays)
    header["arrays"] = [[array.dtype.str, array.shape] for array in arrays]
    encoded = json.dumps(header, separators=(",", ":"), allow_nan=False).encode("ascii")
    size = sum(array.nbytes for array in arrays)
    for found, limit, what in (
        (len(encoded), HEADER_LIMIT, "bytes of plain values"),
        (size, BODY_LIMIT, "bytes of arrays"),
        (len(arrays), ARRAYS_LIMIT, "arrays"),
    ):
        if found > limit:
            raise UnsupportedValue("message: found %d %s, expected at most %d" % (found, what, limit))
    buffers: list[Any] = [PREFIX.pack(MAGIC, len(encoded), size), encoded]
    buffers += [_bytes_of(array) for array in arrays if array.size]
    return [b"".join(buffers)] if PREFIX.size + len(encoded) + size <= JOINED else buffers


def read(read_into: Callable[[memoryview], None]) -> dict[str, Any]:
    """The next frame's fields, its "id" among them.

    read_into: fills all of the buffer that it is given, or raises. Raises FrameError for what breaks the protocol.
    """
    prefix = bytearray(PREFIX.size)
    read_into(memoryview(prefix))
    magic, header_size, body_size = PREFIX.unpack(bytes(prefix))
    if magic == VERSION_1:
        raise FrameError(
            "a frame of version 1 of the protocol (%r), expected version 2 (%r): %s; the protocol stands in "
            "spec_tests/backends/PROTOCOL.md" % (magic, MAGIC, CHANGED)
        )
    if magic != MAGIC:
        raise FrameError("a frame begins with %r, expected %r" % (magic, MAGIC))
    if header_size > HEADER_LIMIT or body_size > BODY_LIMIT:
        sizes = (header_size, body_size, HEADER_LIMIT, BODY_LIMIT)
        raise FrameError("a frame announces a header of %d and a body of %d bytes, expected at most %d and %d" % sizes)
    encoded = bytearray(header_size)
    read_into(memoryview(encoded))
    header = _parse(bytes(encoded))
    arrays = _read_arrays(header.pop("arrays", None), body_size, read_into)
    number = header.pop("id", None)
    if type(number) is not int:
        raise FrameError("a frame's id is %.40r, expected an integer" % (number,))
    fields = {name: _decode(tree, arrays, DEPTH_LIMIT) for name, tree in header.items()}
    fields["id"] = number
    return fields


def encode(value: Any, place: str, arrays: list[np.ndarray], depth: int = DEPTH_LIMIT) -> Any:
    """The value as a tree for JSON, its arrays appended to `arrays`. place: how an error calls it.

    Raises UnsupportedValue.
    """
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, (np.ndarray, np.generic)):
        arrays.append(_as_little_endian(value, place))
        return {"array" if isinstance(value, np.ndarray) else "scalar": len(arrays) - 1}
    if isinstance(value, int):
        if value not in INTEGERS:
            raise UnsupportedValue("%s: found an integer of %d bits, expected 64" % (place, value.bit_length()))
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": repr(float(value))}
    if depth == 0:
        raise UnsupportedValue("%s: found containers more than %d deep" % (place, DEPTH_LIMIT))
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise UnsupportedValue("%s: found the key %.60r, expected strings as keys" % (place, key))
        return {"dict": {k: encode(v, "%s[%r]" % (place, k), arrays, depth - 1) for k, v in value.items()}}
    if isinstance(value, (list, tuple)):
        items = [encode(each, "%s[%d]" % (place, i), arrays, depth - 1) for i, each in enumerate(value)]
        tag = _tuple_tag(value, place)
        return {tag: items} if tag else items
    tag = "model" if isinstance(value, models.Model) else "network" if networks.is_network(value) else ""
    if tag:
        return {tag: PLAIN[tag][0](value)}
    raise UnsupportedValue(
        "%s: found a value of type %s, expected an array, None, a boolean, a number, a string, a network, a model, "
        "Adam, or a list, tuple or dict of these" % (place, type(value).__name__)
    )


def _tuple_tag(value: Any, place: str) -> str:
    """The tag of a tuple; empty for a list."""
    if isinstance(value, list):
        return ""
    if isinstance(value, Adam):
        return "Adam"
    if hasattr(value, "_fields"):
        raise UnsupportedValue("%s: found a named tuple %s, expected Adam alone" % (place, type(value).__name__))
    return "tuple"


def _as_little_endian(value: Any, place: str) -> np.ndarray:
    """In C order and little-endian; the very array where it is already so. 0-d stays 0-d."""
    dtype = np.asarray(value).dtype
    little = dtype.newbyteorder("<")
    if dtype.hasobject or little.str not in DTYPES:
        raise UnsupportedValue(
            "%s: found dtype %s, expected a boolean, integer or float of 8 bytes at most" % (place, dtype)
        )
    return np.asarray(value, dtype=little, order="C")


def _bytes_of(array: np.ndarray) -> memoryview:
    """The array's own memory; it is contiguous and not empty."""
    return array.reshape(-1).view(np.uint8).data


def _refuse_constant(name: str) -> Any:
    raise FrameError("a header has a bare %s, expected it tagged" % name)


_JSON = json.JSONDecoder(parse_constant=_refuse_constant)


def _parse(encoded: bytes) -> dict[str, Any]:
    try:
        header = _JSON.decode(encoded.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise FrameError("a header is not JSON: %s" % error) from None
    if not isinstance(header, dict):
        raise FrameError("a header is %.40r, expected an object" % (header,))
    return header


def _read_arrays(announced: Any, body_size: int, read_into: Callable[[memoryview], None]) -> list[np.ndarray]:
    """The body's arrays, each read into memory of its own, once the sizes are known to agree."""
    if not isinstance(announced, list) or len(announced) > ARRAYS_LIMIT:
        raise FrameError("a header's arrays are %.40r, expected a list of at most %d" % (announced, ARRAYS_LIMIT))
    size = sum(_announced_size(entry) for entry in announced)
    if size != body_size:
        raise FrameError("a header announces arrays of %d bytes, and the frame a body of %d" % (size, body_size))
    arrays = []
    for dtype, shape in announced:
        try:
            array = np.empty(shape, dtype)
        except (ValueError, MemoryError) as error:
            raise FrameError("no memory for an array %s %s: %s" % (dtype, shape, error)) from None
        if array.size:
            buffer = _bytes_of(array)
            read_into(buffer)
            if dtype == "|b1" and np.frombuffer(buffer, np.uint8).max() > 1:
                raise FrameError("a boolean array holds a byte other than 0 and 1")
        arrays.append(array)
    return arrays


def _announced_size(entry: Any) -> int:
    """Bytes of an announced array [dtype, shape]."""
    if not (isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], str) and entry[0] in DTYPES):
        raise FrameError(
            "an array is announced as %.60r, expected [dtype, shape], dtype one of %s" % (entry, sorted(DTYPES))
        )
    shape = entry[1]
    sizes = isinstance(shape, list) and len(shape) <= DIMENSIONS_LIMIT
    if not sizes or not all(type(n) is int and 0 <= n <= BODY_LIMIT for n in shape):
        raise FrameError("an array's shape is %.60r, expected at most %d sizes" % (shape, DIMENSIONS_LIMIT))
    size = whole = int(entry[0][2:])
    for n in shape:
        size, whole = size * n, whole * max(n, 1)
    if whole > BODY_LIMIT:  # also where another dimension is 0, which NumPy could not allocate either
        raise FrameError("an array's shape is %.60r, which is above the limit of %d bytes" % (shape, BODY_LIMIT))
    return size


def _decode(tree: Any, arrays: list[np.ndarray], depth: int) -> Any:
    if tree is None or isinstance(tree, (bool, str)):
        return tree
    if isinstance(tree, int) and tree in INTEGERS:
        return tree
    if isinstance(tree, float) and math.isfinite(tree):
        return tree
    if depth < 0 or not isinstance(tree, (list, dict)):
        raise FrameError("a header has %.40r, expected a value of 64 bits, at most %d deep" % (tree, DEPTH_LIMIT))
    if isinstance(tree, list):
        return [_decode(each, arrays, depth - 1) for each in tree]
    if len(tree) != 1:
        raise FrameError("a header has an object with %d keys, expected a single tag" % len(tree))
    ((tag, content),) = tree.items()
    return _decode_tagged(tag, content, arrays, depth)


def _decode_tagged(tag: str, content: Any, arrays: list[np.ndarray], depth: int) -> Any:
    if tag in ("array", "scalar"):
        if type(content) is not int or not 0 <= content < len(arrays):
            raise FrameError("a header refers to array %.40r of %d" % (content, len(arrays)))
        array = arrays[content]
        if tag == "array":
            return array
        if array.ndim == 0:
            return array[()]
    elif tag == "float" and isinstance(content, str) and content in NON_FINITE:
        return NON_FINITE[content]
    elif tag == "dict" and isinstance(content, dict):
        return {key: _decode(each, arrays, depth - 1) for key, each in content.items()}
    elif isinstance(content, list) and tag in ("tuple", "Adam"):
        items = [_decode(each, arrays, depth - 1) for each in content]
        if tag == "tuple":
            return tuple(items)
        if len(items) == len(Adam._fields):
            return Adam(*items)
    elif tag in PLAIN:
        try:
            return PLAIN[tag][1](content)
        except (ValueError, RecursionError) as error:
            raise FrameError("a header's %s cannot be had: %s" % (tag, error)) from None
    raise FrameError("a header has the tag %.40r on %.60r, which the protocol does not know" % (tag, content))
