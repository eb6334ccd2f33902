"""Tensors written as a safetensors file, one after the other, so that few of them are in memory at a time.

The format: eight bytes with the length of the header, the header as JSON, the tensors' bytes without gaps, those of
wide types first (github.com/huggingface/safetensors).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from typing import IO, Any, NamedTuple

import numpy as np

from torch_impl.checkpoints.files import parts_of

__all__ = ["Later", "TensorFile"]

# NumPy's names of what safetensors can hold of its types, in its order.
_TYPES = {
    "uint64": "U64", "int64": "I64", "float64": "F64", "float32": "F32", "uint32": "U32", "int32": "I32",
    "float16": "F16", "uint16": "U16", "int16": "I16", "int8": "I8", "uint8": "U8", "bool": "BOOL",
}  # fmt: skip


class Later(NamedTuple):
    """A tensor that is made when it is written, and not kept. array: makes it, of that dtype and shape."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    array: Callable[[], np.ndarray]


class TensorFile:
    """A safetensors file to be written, whose bytes are those of `safetensors.numpy.save`.

    digest, size: the SHA-256 and the number of the bytes written. Raises TypeError for what such a file cannot hold.
    """

    def __init__(self, tensors: Mapping[str, np.ndarray | Later]) -> None:
        self.digest, self.size = hashlib.sha256(), 0
        self.tensors = dict(tensors)
        for name, tensor in tensors.items():
            if not isinstance(tensor, (np.ndarray, Later)) or tensor.dtype.name not in _TYPES:
                found = tensor.dtype if isinstance(tensor, (np.ndarray, Later)) else type(tensor).__name__
                raise TypeError(f"tensor {name!r} must be a NumPy array of numbers or booleans, got {found}")
        order = list(_TYPES)
        self.names = sorted(self.tensors, key=lambda name: (order.index(self.tensors[name].dtype.name), name))

    def write(self, stream: IO[bytes]) -> None:
        """Write all of it."""
        header, end = {}, 0
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
            array = tensor.array() if isinstance(tensor, Later) else tensor
            if array.dtype != tensor.dtype or array.shape != tensor.shape:
                raise TypeError(f"tensor {name!r} became {array.dtype} {list(array.shape)}")
            for part in parts_of(array.astype(array.dtype.newbyteorder("<"), "C", copy=False)):
                self._put(stream, part)

    def _put(self, stream: IO[bytes], part: bytes | memoryview) -> None:
        stream.write(part)
        self.digest.update(part)
        self.size += len(part)
