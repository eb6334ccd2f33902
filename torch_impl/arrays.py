"""NumPy arrays to tensors and back, for the adapter: always copies, and always ValueError."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torch_impl.checks import check_tensor

_DTYPES = {np.dtype(np.float32): torch.float32, np.dtype(np.float64): torch.float64}


def dtype_of(weights: Mapping[str, Any], name: str = "kernel") -> torch.dtype:
    """The dtype of a call: that of the weight "kernel", or of another, float32 or float64."""
    kernel = weights.get(name)
    if not isinstance(kernel, np.ndarray) or kernel.dtype not in _DTYPES:
        found = kernel.dtype if isinstance(kernel, np.ndarray) else "none" if kernel is None else type(kernel).__name__
        raise ValueError(f"weight {name!r} must be a float32 or float64 array, got {found}")
    return _DTYPES[kernel.dtype]


def floats(name: str, array: Any, device: torch.device) -> Tensor:
    """A float32 or float64 array as a fresh tensor on a device."""
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{name} must be a NumPy array, got {type(array).__name__}")
    if array.dtype not in _DTYPES:
        raise ValueError(f"{name} must be a float32 or float64 array, got {array.dtype} {list(array.shape)}")
    return torch.from_numpy(np.array(array, order="C")).to(device)


def floats_like(name: str, array: Any, like: Tensor, shape: tuple[int | str, ...]) -> Tensor:
    """The same, of a given shape (a string names a size that is free but at least 1), in dtype and device of `like`."""
    try:
        return check_tensor(name, floats(name, array, like.device), shape, like)
    except TypeError as error:
        raise ValueError(str(error)) from None


def integers(name: str, array: Any) -> Tensor:
    """Integers as a fresh int64 tensor on the CPU."""
    found = np.asarray(array)
    if found.dtype.kind not in "iu":
        raise ValueError(f"{name} must be an array of integers, got {found.dtype} {list(found.shape)}")
    if found.dtype == np.uint64 and found.size and found.max() > np.iinfo(np.int64).max:
        raise ValueError(f"{name} must hold integers below 2**63, got {found.max()}")
    return torch.from_numpy(np.array(found, np.int64, order="C"))


def optional_lengths(lengths: Any) -> Tensor | None:
    """Lengths as integers; None stays None."""
    return None if lengths is None else integers("lengths", lengths)


def to_numpy(tensor: Tensor) -> np.ndarray:
    """A tensor's values, without its graph."""
    return tensor.detach().cpu().numpy()
