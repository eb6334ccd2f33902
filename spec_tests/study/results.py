"""From cells to one file of numbers: its schema, running a study, reading a file back."""

from __future__ import annotations

import json
import math
import os
import platform
import time
from importlib import metadata
from pathlib import Path
from typing import Any, Mapping, NamedTuple, Protocol, Sequence

from spec_tests.study import accuracy, cost, findings, lockstep, parity, series
from spec_tests.study.executors import Executor, reason_of
from spec_tests.study.pieces import JUDGE, JUDGE_LABEL, Cell, planned
from spec_tests.study.profiles import Profile
from spec_tests.study.store import Found, Store
from spec_tests.study.workers import Host, WorkerError, ask, on_cpus, shares, survey, threads_of
from unrolled.errors import DataError
from unrolled.writing import write_atomically

SCHEMA = "unrolled.study/1"
FILE = "results.json"
PACKAGES = ("numpy", "scipy", "statsmodels")


class Display(Protocol):
    """What shows the progress of a study."""

    def begin(self, weights: Mapping[str, float], kept: Sequence[str]) -> None:
        """All cells by title with rough seconds, and those of an earlier run that are kept."""

    def started(self, title: str) -> None: ...

    def finished(self, title: str, reason: str = "") -> None: ...

    def tell(self, text: str) -> None:
        """What a running cell is about to do."""


class Study(NamedTuple):
    """What a study is asked for: backends by name (none: the defaults), a device, a profile, how many cells at a time,
    the margin of equivalence (a fraction of 1), seconds for one cell."""

    names: Sequence[str]
    device: str
    profile: Profile
    jobs: int
    margin: float
    limit_s: float


class Plan(NamedTuple):
    """The backends that were found, by label with the judge last, the cells, and where each is kept."""

    hosts: dict[str, Host]
    left_out: dict[str, str]
    cells: list[Cell]
    files: dict[str, str]  # title -> file name

    @property
    def backends(self) -> list[Host]:
        return [host for label, host in self.hosts.items() if label != JUDGE_LABEL]


def plan(study: Study) -> Plan:
    """Open each backend once, and list the cells. Raises BackendError for a backend that cannot be had."""
    share = shares(study.jobs)[0]
    with threads_of(len(share)), on_cpus(share):  # as the cells will run
        found, left_out = survey(study.names, study.device, study.limit_s)
        judge = ask(JUDGE, "cpu", study.limit_s)._replace(label=JUDGE_LABEL)
    hosts = {host.label: host for host in [*found, judge]}
    cells = planned(study.profile, {host.label: host.capabilities for host in found})
    files = {cell.title: cell.file_name(hosts[cell.backend].facts) for cell in cells}
    if study.profile.rounds:
        priced = cost.cell(found, study.profile)
        cells.append(priced)
        files[priced.title] = priced.file_name({})
    return Plan(hosts, left_out, cells, files)


def run(study: Study, planned_cells: Plan, store: Store, executor: Executor, display: Display) -> dict[str, Any]:
    """Run every cell that the store does not have yet; return the results, which are also written to its folder.

    Raises DataError where the folder cannot be written to.
    """
    started = time.perf_counter()
    found: dict[str, Found] = {}
    for cell in planned_cells.cells:
        kept = store.load(planned_cells.files[cell.title], cell.title)
        if kept is not None:
            found[cell.title] = kept
    display.begin({cell.title: cell.weight for cell in planned_cells.cells}, list(found))
    left = [cell for cell in planned_cells.cells if cell.title not in found]
    failed: dict[str, str] = {}
    for done in executor.run(
        [cell for cell in left if cell.part != "cost"], planned_cells.hosts, lambda cell: display.started(cell.title)
    ):
        title = done.cell.title
        if done.found is None:
            failed[title] = done.reason
        else:
            found[title] = done.found
            store.save(planned_cells.files[title], title, done.found)
        display.finished(title, done.reason)
    for cell in left:
        if cell.part == "cost":  # by itself, when nothing else runs
            _run_cost(study, planned_cells, cell, store, display, found, failed)
    results = summarize(study, planned_cells, found, failed)
    results["seconds"] = time.perf_counter() - started
    write(store.folder / FILE, results)
    return results


def _run_cost(
    study: Study,
    planned_cells: Plan,
    cell: Cell,
    store: Store,
    display: Display,
    found: dict[str, Found],
    failed: dict[str, str],
) -> None:
    display.started(cell.title)
    try:
        given = cost.measure(planned_cells.backends, study.profile, study.limit_s, display.tell)
        found[cell.title] = given
        if not given.values["failed"]:
            store.save(planned_cells.files[cell.title], cell.title, given)
    except WorkerError as error:
        failed[cell.title] = reason_of(error)
    display.finished(cell.title, failed.get(cell.title, ""))


def summarize(
    study: Study, planned_cells: Plan, found: Mapping[str, Found], failed: Mapping[str, str]
) -> dict[str, Any]:
    """The results as plain values: what JSON can hold, non-finite numbers as strings."""
    done = [(cell, found[cell.title]) for cell in planned_cells.cells if cell.title in found]
    of_part = {part: [pair for pair in done if pair[0].part == part] for part in PARTS}
    runs: dict[str, dict[int, Found]] = {}
    for cell, each in of_part["accuracy"]:
        runs.setdefault(cell.backend, {})[cell.arguments["_seed"]] = each
    forms: dict[str, dict[str, Found]] = {}
    for cell, each in of_part["series"]:
        forms.setdefault(cell.backend, {})[cell.arguments["projection"]] = each
    results: dict[str, Any] = {
        "schema": SCHEMA,
        "profile": dict(study.profile._asdict(), margin=study.margin),
        "machine": machine(study.jobs),
        "backends": {host.label: dict(host.described, given=host.name) for host in planned_cells.backends},
        "left_out": planned_cells.left_out,
        "cells": [_described(cell, found.get(cell.title), failed.get(cell.title)) for cell in planned_cells.cells],
        "parity": parity.summarize({(cell.backend, cell.arguments["dtype"]): each for cell, each in of_part["parity"]}),
        "lockstep": lockstep.summarize(
            {_run_key(cell): each for cell, each in of_part["lockstep"]},
            {_run_key(cell)[1:3]: cell.arguments["checkpoints"] for cell, _ in of_part["lockstep"]},
        ),
        "accuracy": accuracy.summarize(runs, forms, study.margin),
        "series": series.summarize(forms),
        "cost": cost.summarize(of_part["cost"][0][1]) if of_part["cost"] else None,
    }
    results["findings"] = findings.sentences(results)
    results["problems"] = findings.problems(results)
    return plain(results)


PARTS = ("parity", "lockstep", "accuracy", "series", "cost")


def _run_key(cell: Cell) -> tuple[str, str, str, bool]:
    given = cell.arguments
    return cell.backend, given["program"], given["dtype"], given["perturbed"]


def _described(cell: Cell, found: Found | None, reason: str | None) -> dict[str, Any]:
    described: dict[str, Any] = {"cell": cell.title, "part": cell.part, "backend": cell.backend}
    if found is None:
        return dict(described, status="failed", reason=reason or "not run", seconds=None)
    return dict(described, status="done", reason="", seconds=found.values.get("seconds"))


def machine(jobs: int) -> dict[str, Any]:
    """Where the study ran."""
    versions: dict[str, str | None] = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = None
    return {
        "platform": platform.platform(),
        "processor": _processor(),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "jobs": jobs,
        "threads": len(shares(jobs)[0]),
        "python": platform.python_version(),
        "packages": versions,
    }


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text("utf-8").splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def plain(value: Any) -> Any:
    """What JSON can hold: "inf", "-inf" and "nan" for what it cannot."""
    if isinstance(value, Mapping):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def numbers(value: Any) -> Any:
    """The inverse of `plain`."""
    if isinstance(value, dict):
        return {name: numbers(each) for name, each in value.items()}
    if isinstance(value, list):
        return [numbers(each) for each in value]
    return float(value) if isinstance(value, str) and value in ("inf", "-inf", "nan") else value


def write(path: Path, results: Mapping[str, Any]) -> None:
    write_atomically(path, (json.dumps(results, indent=1, allow_nan=False) + "\n").encode("utf-8"))


def read(path: Path) -> dict[str, Any]:
    """A results file, or the one in a study's folder. Raises DataError, in one sentence, for anything else."""
    file = path / FILE if path.is_dir() else path
    try:
        results = json.loads(file.read_text("utf-8"))
    except OSError as error:
        raise DataError(
            "%s cannot be read (%s); name a study's folder or its %s" % (file, error.strerror, FILE)
        ) from None
    except (ValueError, RecursionError):
        raise DataError("%s is not JSON, or damaged; run the study again to write it anew" % file) from None
    schema = results.get("schema") if isinstance(results, dict) else None
    if schema != SCHEMA:
        raise DataError("%s has the schema %r, expected %r; run its study again" % (file, schema, SCHEMA))
    lacking = [name for name in SECTIONS if name not in results]
    if lacking:
        raise DataError("%s lacks %s; run the study again to write it anew" % (file, ", ".join(lacking)))
    return numbers(results)


SECTIONS = ("profile", "machine", "backends", "left_out", "cells", *PARTS, "findings", "problems", "seconds")


def without_times(results: Any) -> Any:
    """Results without what depends on the clock: seconds and cost, and what was said of them."""
    if isinstance(results, dict):
        timed = ("seconds", "cost", "findings")
        return {name: without_times(value) for name, value in results.items() if name not in timed}
    return [without_times(each) for each in results] if isinstance(results, list) else results
