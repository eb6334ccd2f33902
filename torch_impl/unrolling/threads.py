"""Work shared between the threads that torch is allowed."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch

__all__ = ["parts_of", "shared"]

# Multiply-adds that are worth a second thread: handing work over costs about 20 microseconds, which is what one thread
# does of them in float32.
WORTH_A_THREAD = 2_000_000

_pool: ThreadPoolExecutor | None = None


def shared(count: int, work: float, piece: Callable[[int, int], Any], weights: Sequence[int] | None = None) -> None:
    """Call piece(begin, end) over all of 0 to count: in parts, on as many threads as torch uses, if `work` is worth it.

    work: multiply-adds in all. weights: how much of it each of the count is; None: all the same.
    """
    parts = parts_of(count, work)
    if parts == 1:
        piece(0, count)
        return
    bounds = [count * i // parts for i in range(parts + 1)] if weights is None else _bounds(weights, parts)
    futures = [_executor().submit(piece, *bounds[i : i + 2]) for i in range(1, parts)]
    try:
        piece(bounds[0], bounds[1])
    finally:
        for future in futures:
            future.result()


def _bounds(weights: Sequence[int], parts: int) -> list[int]:
    """Where to cut, so that all parts weigh about the same."""
    bounds, total, done = [0], sum(weights), 0
    for place, weight in enumerate(weights):
        done += weight
        while len(bounds) < parts and done * parts >= total * len(bounds):
            bounds.append(place + 1)
    return [*bounds, len(weights)]


def parts_of(count: int, work: float) -> int:
    """How many threads `shared` would use."""
    return max(1, min(torch.get_num_threads(), count, int(work / WORTH_A_THREAD)))


def _executor() -> ThreadPoolExecutor:
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(max(1, (os.cpu_count() or 2) - 1), thread_name_prefix="unrolled")
    return _pool


def _forget_executor() -> None:
    global _pool
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_executor)  # threads do not survive a fork
