"""A kernel on several threads: on those of PyTorch's own operations.

PyTorch's threads are OpenMP's. After an operation they look for the next one for some milliseconds before they sleep,
on the cores that another pool of threads would need: work that is handed to another pool waits for them, and work that
is handed to them starts at once. This module imports Numba, so nothing imports it before it is used.
"""

from __future__ import annotations

import ctypes
import os
from array import array
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch

from torch_impl.unrolling import threads
from torch_impl.unrolling.jit import Kernel, kernel
from torch_impl.unrolling.tables import take
from torch_impl.unrolling.threads import parts_of, shared, shares

__all__ = ["share"]

# How many times less it takes to hand work over to a team than what `threads.WORTH_A_THREAD` allows for; measured with
# a team of two.
EASE = 2


def share(
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
    if parallel is None or threads.forked:  # GCC's library waits for ever for threads that were not copied
        shared(count, work, lambda begin, end: piece.call(*pointers, begin, end), weights)
        return
    pieces = array("q", [0, parts, piece.address, *pointers, *shares(count, parts, weights)])
    given = array("q", [pieces.buffer_info()[0]])
    # As many threads as PyTorch's operations have: GCC's library ends those that a smaller team leaves over.
    parallel(kernel(take, "float32", "I").address, given.buffer_info()[0], torch.get_num_threads(), 0)


@cache
def openmp() -> Callable[..., None] | None:
    """GOMP_parallel(function, argument, threads, flags) of the OpenMP library that PyTorch uses, GCC's or LLVM's, which
    has it under the same name; None where there is none of that name."""
    if not torch.backends.openmp.is_available():
        return None
    # The whole process first, as the linker does for PyTorch: a library that was preloaded comes before its own.
    for library in (torch._C.__file__,) if os.name == "nt" else (None, torch._C.__file__):
        try:
            found: Any = ctypes.CDLL(library).GOMP_parallel
        except (AttributeError, OSError):
            continue
        found.argtypes, found.restype = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint), None
        return found
    return None
