"""A kernel on several threads: on those of PyTorch's own operations.

PyTorch's threads are OpenMP's. After an operation they look for the next one for some milliseconds before they sleep,
on the cores that another pool of threads would need: work that is handed to another pool waits for them, and work that
is handed to them starts at once. It imports Numba, so nothing imports it before it is used.
"""

from __future__ import annotations

import ctypes
import os
from array import array
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch

from torch_impl.unrolling.jit import Kernel, kernel
from torch_impl.unrolling.tables import take
from torch_impl.unrolling.threads import parts_of, shared, shares

__all__ = ["run"]

# How many times less it takes to hand work over to a team than what `threads.WORTH_A_THREAD` allows for.
EASE = 2


def run(
    piece: Kernel, pointers: tuple[int, int], count: int, work: float, weights: Sequence[int] | None = None
) -> None:
    """Call the kernel `piece`(*pointers, begin, end) over all of 0 to count: in parts, if `work` is worth it.

    work, weights: see `threads.shared`.
    """
    parts = parts_of(count, work * EASE)
    if parts == 1:
        piece.call(*pointers, 0, count)
        return
    parallel = openmp()
    if parallel is None:
        shared(count, work, lambda begin, end: piece.call(*pointers, begin, end), weights)
        return
    pieces = array("q", [0, parts, piece.address, *pointers, *shares(count, parts, weights)])
    given = array("q", [pieces.buffer_info()[0]])
    # As many threads as PyTorch's operations have, since OpenMP ends those that a smaller team leaves over.
    parallel(kernel(take, "float32", "I").address, given.buffer_info()[0], torch.get_num_threads(), 0)


@cache
def openmp() -> Callable[..., None] | None:
    """GOMP_parallel(function, argument, threads, flags) of the OpenMP library that PyTorch is linked with: that of GCC,
    or LLVM's under the same name; None where there is none of that name, and in a process that was forked, which has
    none of the threads that the library believes in."""
    try:
        found: Any = ctypes.CDLL(torch._C.__file__).GOMP_parallel
    except (AttributeError, OSError):
        return None
    found.argtypes, found.restype = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint), None
    return found


def _forked() -> None:
    global openmp
    openmp = lambda: None  # type: ignore[assignment]  # noqa: E731


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
