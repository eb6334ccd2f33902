"""Where the time of a training step goes: nn.RNN's and the "bptt" path's by operator, the compiled step's by part."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from torch_impl.bench.contestants import OURS, contestant, trainer_of
from torch_impl.bench.worker import batches
from torch_impl.bench.workloads import Workload
from torch_impl.training.compiled_steps import BEGIN, END, ROWS, UNITS
from torch_impl.training.host_steps import HostSteps

__all__ = ["GROUPS", "profiled"]

# What an operator of PyTorch belongs to, by a part of its name; the first that fits.
GROUPS = (
    ("matrix products", ("mm", "linear", "matmul")),
    ("tanh and ReLU", ("tanh", "relu", "threshold", "clamp_min")),
    ("Adam", ("adam",)),
    ("loss", ("softmax", "nll", "mse")),
    ("copies, views and sums", ("",)),
)
REST = "Python and autograd around them"
# The parts of the compiled step.
PARTS = (
    (BEGIN, "lay out the weights"),
    (ROWS, "forward, dense layer, loss, backward"),
    (UNITS, "gradients of the weights, Adam"),
    (END, "mean of the losses"),
)


def profiled(name: str, workload: Workload, steps: int) -> dict[str, Any]:
    """Milliseconds of one step by group, on one thread so that they add up, and of the whole step.

    name: "nn.RNN", "bptt", or OURS for the compiled step. An operator's time is its share of a run under PyTorch's
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
    """Steps that run part by part, each timed."""

    seconds: dict[str, float]

    def _some(self, call: Callable[..., None], done: int, total: int) -> int:
        ends = {ROWS: self.batch, UNITS: self.units}
        for part, name in PARTS:
            start = time.perf_counter()
            call(part, done, done + 1, 0, ends.get(part, 0))
            self.seconds[name] += time.perf_counter() - start
        return done + 1


def _compiled(workload: Workload, steps: int) -> tuple[float, dict[str, float]]:
    trainer = trainer_of(workload)
    timed = _TimedSteps(trainer.model, trainer.optimizer, trainer.inputs, trainer.targets, workload.batch)
    timed.seconds = dict.fromkeys((name for _, name in PARTS), 0.0)
    rows = torch.from_numpy(batches(workload._asdict(), steps))
    timed.run(rows)
    timed.seconds = dict.fromkeys(timed.seconds, 0.0)
    whole = _timed(lambda _: timed.run(rows), steps)
    return whole, timed.seconds
