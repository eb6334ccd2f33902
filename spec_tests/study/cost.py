"""Cost: seconds per training step and per prediction, start-up, peak memory; each backend in a process of its own.

Everything is timed inside that process. The backends take turns, round by round, so that whatever else the machine does
falls on all of them, and they are compared by the ratio within each round.
"""

from __future__ import annotations

import itertools
from typing import Any, Callable, Sequence

import numpy as np

from spec_tests.study import programs
from spec_tests.study.pieces import Piece, timed_programs
from spec_tests.study.profiles import Profile
from spec_tests.study.store import Found
from spec_tests.study.workers import Host, Worker, WorkerError, open_worker

INTERVAL = 0.95
RESAMPLES = 5000
PREDICTIONS = 5  # calls in one timing
SERIES_STEPS = 5  # times the steps of MNIST, and its predictions: they are shorter
SWALLOWED = 0.25  # where more of the rounds come out negative, a difference of timings is below the noise


def measure(hosts: Sequence[Host], profile: Profile, limit_s: float, tell: Callable[[str], Any]) -> Found:
    """Values: label -> start_s, first_step_s (each a list), peak (bytes), and by "<program>/step", "<program>/predict"
    the seconds of each round; "failed": label -> reason. tell is called with what is about to be done."""
    workers: dict[str, Worker] = {}
    values: dict[str, Any] = {host.label: {"start_s": [], "first_step_s": []} for host in hosts}
    failed: dict[str, str] = {}

    def tried(host: Host, work: Callable[..., Any], *arguments: Any) -> None:
        if host.label not in failed:
            try:
                work(host, profile, workers, values[host.label], *arguments)
            except WorkerError as error:
                failed[host.label] = " ".join(str(error).split())

    try:
        for start in range(profile.starts):
            for host in hosts:
                tell("start %d of %s" % (start + 1, host.label))
                tried(host, _start, limit_s)
        for turn in range(profile.rounds):
            tell("round %d of %d" % (turn + 1, profile.rounds))
            first = turn % len(hosts)
            for host in [*hosts[first:], *hosts[:first]]:
                tried(host, _round)
        for host in hosts:
            tried(host, _peak)
    finally:
        for worker in workers.values():
            worker.close()
    return Found({"backends": values, "failed": failed}, {})


def _start(host: Host, profile: Profile, workers: dict[str, Worker], values: dict[str, Any], limit_s: float) -> None:
    """A fresh process in the place of the one before, up to its first optimizer step."""
    if host.label in workers:
        workers.pop(host.label).close()
    workers[host.label] = worker = open_worker(host.name, host.device, limit_s)
    values["threads"] = worker.describe().get("threads")
    values["start_s"].append(worker.start_s)
    programs = timed_programs(host.capabilities)
    if programs:
        first = worker.do("time_training", program=programs[0], steps=1).values
        values["first_step_s"].append(first["call"])
    for program in programs:  # every graph is built and every kernel compiled before the first round
        worker.do("time_training", program=program, steps=profile.timed_steps)
        worker.do("time_prediction", program=program, calls=1)


def _round(host: Host, profile: Profile, workers: dict[str, Worker], values: dict[str, Any]) -> None:
    worker = workers[host.label]
    for program in timed_programs(host.capabilities):
        times = SERIES_STEPS if programs.data_of(program) == "series" else 1
        step = worker.do("time_training", program=program, steps=times * profile.timed_steps).values["step"]
        values.setdefault(program + "/step", []).append(step)
        call = worker.do("time_prediction", program=program, calls=times * PREDICTIONS).values["call"]
        values.setdefault(program + "/predict", []).append(call)


def _peak(host: Host, profile: Profile, workers: dict[str, Worker], values: dict[str, Any]) -> None:
    values["peak"] = workers[host.label].do("memory").values["peak"]


def summarize(found: Found) -> dict[str, Any]:
    """backends: label -> what was measured, with medians; ratios: of every two backends, by quantity."""
    backends: dict[str, Any] = {}
    for label, values in found.values["backends"].items():
        rounds = {name: several for name, several in values.items() if "/" in name}
        backends[label] = {
            "start_s": _median(values["start_s"]),
            "first_step_s": _median(values["first_step_s"]),
            "peak_bytes": values.get("peak"),
            "threads": values.get("threads"),
            "rounds": rounds,
            "median_s": {name: _above_noise(several) for name, several in rounds.items()},
        }
    ratios = []
    for one, other in itertools.combinations(backends, 2):
        first, second = (backends[label]["rounds"] for label in (one, other))
        medians = [backends[label]["median_s"] for label in (one, other)]
        for quantity in first:
            known = all(median.get(quantity) is not None for median in medians)
            if known and len(first[quantity]) == len(second[quantity]):
                ratio = ratio_of(first[quantity], second[quantity])
                if ratio["rounds"]:
                    ratios.append(dict(ratio, one=one, other=other, quantity=quantity))
    return {"backends": backends, "ratios": ratios, "failed": found.values["failed"]}


def ratio_of(one: Sequence[float], other: Sequence[float]) -> dict[str, Any]:
    """The median over rounds of other / one, and its bootstrap interval; low and high None for fewer than 3 rounds. A
    round in which a difference of two timings came out negative, for what else the machine did, is left out."""
    first, second = np.asarray(one, float), np.asarray(other, float)
    good = (first > 0) & (second > 0)
    ratios = second[good] / first[good]
    found: dict[str, Any] = {
        "ratio": float(np.median(ratios)) if len(ratios) else None,
        "low": None,
        "high": None,
        "rounds": len(ratios),
    }
    if len(ratios) >= 3:
        from scipy.stats import bootstrap

        interval = bootstrap(
            (ratios,),
            np.median,
            n_resamples=RESAMPLES,
            confidence_level=INTERVAL,
            method="percentile",
            rng=np.random.default_rng(1),
        ).confidence_interval
        found.update(low=float(interval.low), high=float(interval.high))
    return found


def _above_noise(several: Sequence[float]) -> float | None:
    """The median; None of differences of timings that the noise swallowed."""
    return _median(several) if np.mean(np.asarray(several) > 0) >= 1 - SWALLOWED else None


def _median(values: Sequence[float]) -> float | None:
    return float(np.median(values)) if len(values) else None


def piece(hosts: Sequence[Host], profile: Profile) -> Piece:
    """The one piece of all backends together; its arguments are what the figures depend on."""
    arguments = {
        "facts": [host.facts for host in hosts],
        "rounds": profile.rounds,
        "starts": profile.starts,
        "steps": profile.timed_steps,
    }
    step_s = 2 * profile.timed_steps * 0.02
    return Piece("cost", "all backends", "cost", arguments, len(hosts) * (profile.starts * 8 + profile.rounds * step_s))
