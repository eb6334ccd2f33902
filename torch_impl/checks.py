"""Argument checks shared by this library: cheap, and each failure one sentence that names the argument.

A wrong type or dtype raises TypeError, a wrong shape or value ValueError. Nothing is clipped, cast or reshaped.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

INTEGER_DTYPES = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def shown(value: Any) -> str:
    """A value as an error message shows it: dtype and shape of an array, the type and value of anything else."""
    if isinstance(value, Tensor):
        return f"{str(value.dtype)[6:]} {list(value.shape)}"
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"{type(value).__name__} {value.dtype} {list(value.shape)}"
    return f"{type(value).__name__} {value!r:.60}"


def check_size(name: str, value: Any) -> int:
    """A size, such as units: an integer of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an integer of at least 1, got {shown(value)}")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}")
    return value


def check_tensor(name: str, value: Any, shape: tuple[int | str, ...], like: Tensor) -> Tensor:
    """A tensor of `shape`, where a string names a size that is free but at least 1, in dtype and device of `like`.

    Sizes that are symbols (torch.jit.trace, torch.export) are not compared.

    Under autocast any floating dtype passes, since autocast casts where it needs to.
    """
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a tensor {_wanted(shape, like)}, got {shown(value)}")
    if value.ndim != len(shape):
        raise ValueError(f"{name} must have rank {len(shape)}, {_wanted(shape, like)}, got {shown(value)}")
    for found, size in zip(value.shape, shape, strict=True):
        if found is size:
            continue
        if type(found) is not int or not isinstance(size, (int, str)):
            continue  # a symbol, while the call is traced: to compare it would fix it
        if isinstance(size, str):
            if found < 1:
                raise ValueError(f"{name} must be {_wanted(shape, like)}, {size} at least 1, got {shown(value)}")
        elif found != size:
            raise ValueError(f"{name} must be {_wanted(shape, like)}, got {shown(value)}")
    if value.device != like.device:
        raise ValueError(f"{name} is on {value.device} and the weights are on {like.device}; move one of the two")
    if value.dtype != like.dtype and not (value.is_floating_point() and autocast_enabled(like.device.type)):
        raise TypeError(
            f"{name} must be {_wanted(shape, like)}, the dtype of the weights, got {shown(value)}; cast one of the two"
        )
    return value


def check_integers(name: str, value: Any, shape: tuple[int | str, ...], count: int, wanted: str) -> Tensor:
    """Integers of `shape`, where a string names a size that is free but at least 1, each from 0 to count - 1.

    Raises TypeError or ValueError that begins with `wanted`. On a GPU this waits for the values; while the call is
    traced neither they nor the sizes are looked at.
    """
    if not isinstance(value, Tensor) or value.dtype not in INTEGER_DTYPES:
        raise TypeError(f"{wanted}, got {shown(value)}")
    if value.ndim != len(shape):
        raise ValueError(f"{wanted}, got {shown(value)}")
    if tracing():
        return value
    for found, size in zip(value.shape, shape, strict=True):
        if found == 0 if isinstance(size, str) else found != size:
            raise ValueError(f"{wanted}, got {shown(value)}")
    low, high = torch.stack(torch.aminmax(value)).tolist()
    if low < 0 or high >= count:
        found = low if low < 0 else high
        place = ", ".join(map(str, (value == found).nonzero()[0].tolist()))
        raise ValueError(f"{wanted}, got {name}[{place}] = {found}")
    return value


def _wanted(shape: tuple[int | str, ...], like: Tensor) -> str:
    return f"{str(like.dtype)[6:]} [{', '.join(map(str, shape))}]"


def autocast_enabled(device_type: str) -> bool:
    """Whether operations on tensors of such a device are being cast."""
    return torch.amp.is_autocast_available(device_type) and torch.is_autocast_enabled(device_type)


def bare(like: Tensor) -> bool:
    """Whether a call with weights such as these on the CPU only computes: no graph, cast, trace or map of it."""
    seen = torch.is_grad_enabled() or torch.is_autocast_enabled("cpu") or tracing() or transformed()
    return not seen and like.is_cpu


def tracing() -> bool:
    """Whether the call is being written down (by torch.jit.trace, torch.export, torch.compile): no value decides."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()


def transformed() -> bool:
    """Whether the call is within one of torch.func's, such as vmap."""
    return torch._C._functorch.peek_interpreter_stack() is not None


def check_lengths(lengths: Any, batch: int, steps: int) -> Tensor:
    """Lengths as an int64 tensor [batch] on the CPU.

    lengths: integers [batch] (tensor, array or list), each from 0 to steps. Lengths that live on a GPU cost a transfer.
    While the call is traced they stay where they are, and neither their number nor their values are looked at.
    """
    if not isinstance(lengths, Tensor):
        try:
            # A copy of an array: torch takes no negative strides, as of lengths[::-1].
            lengths = torch.as_tensor(lengths.copy() if isinstance(lengths, np.ndarray) else lengths)
        except (TypeError, ValueError, RuntimeError):
            raise TypeError(f"{_wanted_lengths(batch, steps)}, got {shown(lengths)}") from None
    if lengths.ndim != 1 or not (tracing() or len(lengths) == batch):
        raise ValueError(f"{_wanted_lengths(batch, steps)}, got {shown(lengths)}")
    if lengths.dtype not in INTEGER_DTYPES:
        raise TypeError(f"{_wanted_lengths(batch, steps)}, got {shown(lengths)}")
    if tracing():
        return lengths.to(torch.int64)
    lengths = lengths.detach().to("cpu", torch.int64)
    low, high = (int(bound) for bound in torch.aminmax(lengths))
    if low < 0 or high > steps:
        found = low if low < 0 else high
        row = int((lengths == found).nonzero()[0])
        raise ValueError(f"{_wanted_lengths(batch, steps)}, got lengths[{row}] = {found}")
    return lengths


def _wanted_lengths(batch: int, steps: int) -> str:
    return f"lengths must be integers [batch] = [{batch}], each from 0 to {steps}"


def check_finite(values: Tensor, lengths: Any) -> None:
    """ValueError that names the first value, of inputs [batch, steps, inputs], that is not finite within its row's
    length."""
    if not values.is_floating_point() or bool(values.isfinite().all()):
        return
    wrong = ~values.isfinite()
    if lengths is not None:
        limits = torch.as_tensor(lengths).to(wrong.device)
        wrong &= (torch.arange(wrong.shape[1], device=wrong.device) < limits[:, None])[:, :, None]
    for row, step, column in wrong.nonzero()[:1].tolist():
        raise ValueError(
            f"inputs, row {row}: {float(values[row, step, column])} at step {step}, input {column}, expected a finite "
            "number; mend the row or leave it out"
        )
