"""Where a training step's time goes: torch.nn's and the "bptt" path's by operator, the compiled step's by kernel."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from torch_impl.bench.contestants import OURS, contestant, trainer_of
from torch_impl.bench.worker import batches
from torch_impl.bench.workloads import Workload
from torch_impl.training.host_steps import ROWS, UNITS, HostSteps
from torch_impl.unrolling import tables

__all__ = ["GROUPS", "profiled"]

# What an operator of PyTorch belongs to, by a part of its name; the first that fits.
GROUPS = (
    ("matrix products", ("mm", "linear", "matmul", "mkldnn_rnn")),
    ("activations", ("tanh", "relu", "sigmoid", "threshold", "clamp_min")),
    ("Adam", ("adam",)),
    ("loss", ("softmax", "nll", "mse")),
    ("copies, views and sums", ("",)),
)
REST = "Python and autograd around them"
# The kernels of the compiled step, in order.
PARTS = ("forward", "dense layer and loss", "backward", "gradients of the weights", "Adam", "lay out the weights")


def profiled(name: str, workload: Workload, steps: int) -> dict[str, Any]:
    """Milliseconds of one step by group, on one thread so that they add up, and of the whole step.

    name: "torch.nn", "bptt", or OURS for the compiled step. An operator's time is its share of a run under PyTorch's
    profiler, which slows everything, of the time without it.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        whole, groups = _compiled(workload, steps) if name == OURS else _operators(name, workload, steps)
    finally:
        torch.set_num_threads(threads)
    groups[REST] = max(0.0, whole - sum(groups.values()))
    return {
        "program": workload.name,
        "contestant": name,
        "milliseconds": 1e3 * whole / steps,
        "by_group": {group: 1e3 * seconds / steps for group, seconds in groups.items()},
    }


def _timed(work: Callable[[int], Any], steps: int) -> float:
    start = time.perf_counter()
    work(steps)
    return time.perf_counter() - start


def _operators(name: str, workload: Workload, steps: int) -> tuple[float, dict[str, float]]:
    """Seconds of the whole without the profiler, and of each group."""
    work = contestant(name, workload)
    work(steps)
    whole = _timed(work, steps)
    with profile(activities=[ProfilerActivity.CPU]) as found:
        slowed = _timed(work, steps)
    groups = dict.fromkeys((group for group, _ in GROUPS), 0.0)
    for event in found.key_averages():
        if "::" in event.key:  # an operator, and not the node of autograd that calls it
            groups[_group(event.key)] += event.self_cpu_time_total / 1e6 / slowed * whole
    return whole, groups


def _group(operator: str) -> str:
    return next(group for group, words in GROUPS if any(word in operator for word in words))


class _TimedSteps(HostSteps):
    """Steps that run kernel by kernel, each timed."""

    seconds: dict[str, float]

    def _some(self, batches: Tensor, done: int) -> int:
        self._place(batches[done : done + 1], done)
        self.tables.sizes[tables.TURN] = done
        for number, function in enumerate((*ROWS, *UNITS)):
            kernel, end = self.layout.piece(function), self.batch if function in ROWS else self.units
            start = time.perf_counter()
            self.tables.call(kernel, 0, end)
            self.seconds[PARTS[min(number, len(PARTS) - 1)]] += time.perf_counter() - start
        return done + 1


def _compiled(workload: Workload, steps: int) -> tuple[float, dict[str, float]]:
    trainer = trainer_of(workload)
    timed = _TimedSteps(trainer.model, trainer.optimizer, trainer.inputs, trainer.targets, None, workload.batch)
    timed.seconds = dict.fromkeys(PARTS, 0.0)
    rows = torch.from_numpy(batches(workload._asdict(), steps))
    timed.run(rows)
    timed.seconds = dict.fromkeys(timed.seconds, 0.0)
    whole = _timed(lambda _: timed.run(rows), steps)
    return whole, timed.seconds
