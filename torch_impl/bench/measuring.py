"""Timing in turns, ratios with their spread, and the machine's rate of matrix products."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

# Called with a number of steps; returns the seconds that they took.
Timed = Callable[[int], float]


def timed(work: Callable[[int], Any]) -> Timed:
    """The seconds of a contestant in this process."""

    def seconds(steps: int) -> float:
        start = time.perf_counter()
        work(steps)
        return time.perf_counter() - start

    return seconds


def in_turns(contestants: Mapping[str, Timed], rounds: int, sample_s: float) -> dict[str, list[float]]:
    """Seconds per step of each contestant in each round, where each runs for about sample_s.

    Each round begins with another contestant. Before the first, each runs until its speed is known.
    """
    counts = {name: _steps_in(work, sample_s) for name, work in contestants.items()}
    names = list(contestants)
    found: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            found[name].append(contestants[name](counts[name]) / counts[name])
    return found


def _steps_in(work: Timed, sample_s: float) -> int:
    """How many steps take about sample_s; the first step of all, which may compile, does not count."""
    work(1)
    steps, seconds = 1, work(1)
    while seconds < sample_s / 4 and steps < 1_000_000:
        steps *= 4
        seconds = work(steps)
    return max(1, round(steps * sample_s / seconds))


class Ratio(NamedTuple):
    """How many times longer another takes than this library: the median of the rounds' ratios, and their quartiles."""

    median: float
    low: float
    high: float


def ratio(others: Sequence[float], ours: Sequence[float]) -> Ratio:
    """The ratio others / ours of two contestants' seconds, round by round."""
    low, median, high = np.percentile(np.array(others) / np.array(ours), [25, 50, 75])
    return Ratio(float(median), float(low), float(high))


def geometric_mean(values: Sequence[float]) -> float:
    """Of at least one value above 0."""
    return float(np.exp(np.mean(np.log(values))))


def product_rate(seconds: float = 1.0) -> float:
    """Multiply-adds per second of torch.mm on two float32 matrices of 512 x 512 on all of torch's threads: the best of
    what fits into `seconds`."""
    size = 512
    a, b, c = (torch.ones(size, size) for _ in range(3))
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        for _ in range(4):
            torch.mm(a, b, out=c)
        best = min(best, (time.perf_counter() - start) / 4)
    return size**3 / best
