"""Tensors written as a safetensors file, one after the other, so that few of them are in memory at a time, and read.

The format: eight bytes with the length of the header, the header as JSON, the tensors' bytes without gaps, those of
wide types first (github.com/huggingface/safetensors).
"""

from __future__ import annotations

import hashlib
import json
import math
import mmap
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError, safe_open

from torch_impl.checkpoints.errors import CheckpointError
from torch_impl.checkpoints.files import parts_of
from unrolled.reading import open_regular

__all__ = ["Later", "TensorFile", "map_tensors", "read_tensors"]

# NumPy's names of what safetensors can hold of its types, in its order.
_TYPES = {
    "uint64": "U64", "int64": "I64", "float64": "F64", "float32": "F32", "uint32": "U32", "int32": "I32",
    "float16": "F16", "uint16": "U16", "int16": "I16", "int8": "I8", "uint8": "U8", "bool": "BOOL",
}  # fmt: skip

# Of a larger file the tensors are mapped.
_MAPPED = 1 << 24


class Later(NamedTuple):
    """A tensor that is made when it is written, and not kept. parts: its bytes in order, as `parts_of` gives them."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    parts: Callable[[], Iterable[memoryview]]


class TensorFile:
    """A safetensors file to be written, whose bytes are those of `safetensors.numpy.save`.

    metadata: texts by name that go into its header. digest, size: the SHA-256 and the number of the bytes written.
    Raises TypeError for what such a file cannot hold.
    """

    def __init__(
        self, tensors: Mapping[str, np.ndarray | Later], metadata: Mapping[str, str] | None = None
    ) -> None:  # fmt: skip
        self.digest, self.size = hashlib.sha256(), 0
        self.metadata = metadata
        self.tensors = dict(tensors)
        for name, tensor in tensors.items():
            if not isinstance(tensor, (np.ndarray, Later)) or tensor.dtype.name not in _TYPES:
                found = tensor.dtype if isinstance(tensor, (np.ndarray, Later)) else type(tensor).__name__
                raise TypeError(f"tensor {name!r} must be a NumPy array of numbers or booleans, got {found}")
        order = list(_TYPES)
        self.names = sorted(self.tensors, key=lambda name: (order.index(self.tensors[name].dtype.name), name))

    def write(self, stream: IO[bytes]) -> None:
        """Write all of it."""
        header: dict[str, Any] = {} if self.metadata is None else {"__metadata__": dict(self.metadata)}
        end = 0
        for name in self.names:
            tensor = self.tensors[name]
            start, end = end, end + math.prod(tensor.shape) * tensor.dtype.itemsize
            header[name] = {
                "dtype": _TYPES[tensor.dtype.name],
                "shape": list(tensor.shape),
                "data_offsets": [start, end],
            }
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        text += b" " * (-len(text) % 8)
        self._put(stream, len(text).to_bytes(8, "little") + text)
        for name in self.names:
            tensor = self.tensors[name]
            before = self.size
            for part in tensor.parts() if isinstance(tensor, Later) else parts_of(tensor):
                self._put(stream, part)
            start, end = header[name]["data_offsets"]
            if self.size - before != end - start:
                raise TypeError(f"tensor {name!r} became {self.size - before} bytes, expected {end - start}")

    def _put(self, stream: IO[bytes], part: bytes | memoryview) -> None:
        stream.write(part)
        self.digest.update(part)
        self.size += len(part)


def read_tensors(path: Path, size: int, digest: str) -> dict[str, np.ndarray]:
    """The arrays, not to be changed, of the file at path, which must have so many bytes and this SHA-256.

    A large file is gone through once, and its arrays take memory where they are used. Raises CheckpointError, and
    OSError for what is no regular file.
    """
    with open_regular(path) as stream:
        there = os.fstat(stream.fileno()).st_size
        if there != size:
            raise CheckpointError(f"{'truncated' if there < size else 'altered'}: {there} bytes, expected {size}")
        large = size > _MAPPED
        content: Any = mmap.mmap(stream.fileno(), size, access=mmap.ACCESS_READ) if large else stream.read(size)
    found = hashlib.sha256()
    for part in parts_of(np.frombuffer(content, np.uint8)):
        found.update(part)
    if found.hexdigest() != digest:
        raise CheckpointError("altered: its SHA-256 is not the one recorded; use another checkpoint")
    try:
        return _mapped(path, content) if large else safetensors.numpy.load(content)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"not a safetensors file that NumPy can hold ({error})") from None


def map_tensors(path: Path) -> dict[str, np.ndarray]:
    """The arrays, not to be changed, of any safetensors file: they take memory where they are used.

    Raises SafetensorError, KeyError or ValueError for what is none that NumPy can hold, and OSError.
    """
    with open_regular(path) as stream:
        return _mapped(path, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))


def _mapped(path: Path, content: mmap.mmap) -> dict[str, np.ndarray]:
    with safe_open(path, "np"):  # raises SafetensorError where the header does not hold together
        start = 8 + int.from_bytes(content[:8], "little")
        header = json.loads(content[8:start])
    header.pop("__metadata__", None)
    dtypes = {short: np.dtype(name).newbyteorder("<") for name, short in _TYPES.items()}
    return {
        name: np.frombuffer(content, dtypes[tensor["dtype"]], math.prod(shape), start + tensor["data_offsets"][0])
        .reshape(shape)
        for name, tensor in header.items() for shape in [tensor["shape"]]
    }  # fmt: skip
