"""Work shared between the threads that torch is allowed."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import torch

__all__ = ["at_once", "give_way", "parts_of", "shared", "shares"]

# Multiply-adds that are worth a second thread where threads wait for each other in compiled code (`at_once`), which
# costs about 20 microseconds: what one thread does of them in float32. HAND_OVER: how many times more it takes to hand
# work over from Python (`shared`), often to a core on which a thread of PyTorch's still looks for work.
WORTH_A_THREAD, HAND_OVER = 2_000_000, 10

# Threads beside the one that calls.
HELPERS = max(1, (os.cpu_count() or 2) - 1)

_pool: ThreadPoolExecutor | None = None
_meeting = threading.Lock()
forked = False  # whether this process is another's copy, since this module was imported


def shared(count: int, work: float, piece: Callable[[int, int], Any], weights: Sequence[int] | None = None) -> None:
    """Call piece(begin, end) over all of 0 to count: in parts, on as many threads as torch uses, if `work` is worth it.

    work: multiply-adds in all. weights: how much of it each of the count is; None: all the same.
    """
    parts = parts_of(count, work / HAND_OVER)
    if parts == 1:
        piece(0, count)
        return
    bounds = shares(count, parts, weights)
    futures = [_executor().submit(piece, *bounds[i : i + 2]) for i in range(1, parts)]
    try:
        piece(bounds[0], bounds[1])
    finally:
        for future in futures:
            future.result()


def at_once(parts: int, piece: Callable[[int], Any]) -> None:
    """Call piece(0) to piece(parts - 1), each on a thread of its own, so that they may wait for each other.

    parts: of `parts_of`. One such call at a time: two, each with some of its threads, would wait for ever. On threads
    of our own: OpenMP promises no number of them.
    """
    if parts == 1:
        piece(0)
        return
    with _meeting:
        futures = [_executor().submit(piece, i) for i in range(1, parts)]
        try:
            piece(0)
        finally:
            for future in futures:
                future.result()


@cache
def give_way() -> int:
    """The address of the system's function, without arguments, by which a thread lets others run; 0: unknown."""
    try:
        library: Any = ctypes.CDLL("kernel32" if os.name == "nt" else None)
        found = library.SwitchToThread if os.name == "nt" else library.sched_yield
    except (AttributeError, OSError):
        return 0
    return ctypes.cast(found, ctypes.c_void_p).value or 0


def shares(count: int, parts: int, weights: Sequence[int] | None = None) -> list[int]:
    """Where to cut, so that all parts weigh about the same: from 0 to count."""
    if weights is None:
        return [count * i // parts for i in range(parts + 1)]
    bounds, total, done = [0], sum(weights), 0
    for place, weight in enumerate(weights):
        done += weight
        while len(bounds) < parts and done * parts >= total * len(bounds):
            bounds.append(place + 1)
    return [*bounds, len(weights)]


def parts_of(count: int, work: float) -> int:
    """How many threads so much work is worth."""
    return max(1, min(torch.get_num_threads(), HELPERS + 1, count, int(work / WORTH_A_THREAD)))


def _executor() -> ThreadPoolExecutor:
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(HELPERS, thread_name_prefix="unrolled")
    return _pool


def _after_fork() -> None:
    global _pool, _meeting, forked
    _pool, _meeting, forked = None, threading.Lock(), True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)  # threads do not survive a fork
