"""From pieces to one file of numbers: its schema, running a study, reading a file back."""

from __future__ import annotations

import json
import math
import os
import platform
import time
from importlib import metadata
from pathlib import Path
from typing import Any, Mapping, NamedTuple, Protocol, Sequence

from spec_tests.study import accuracy, cost, findings, lockstep, parity, series, verdict
from spec_tests.study.equivalence import WHY
from spec_tests.study.executors import Executor, reason_of
from spec_tests.study.findings import joined
from spec_tests.study.pieces import JUDGE, JUDGE_LABEL, Piece, planned
from spec_tests.study.profiles import Profile
from spec_tests.study.store import Found, Store
from spec_tests.study.workers import Host, WorkerError, ask, on_cpus, shares, survey, threads_of
from unrolled.errors import DataError
from unrolled.reading import parse_json, read_whole
from unrolled.writing import write_atomically

SCHEMA = "unrolled.study/3"
FILE = "results.json"
_MOST_BYTES = 1 << 26
PACKAGES = ("numpy", "scipy", "statsmodels")


class Display(Protocol):
    """What shows the progress of a study."""

    def begin(self, weights: Mapping[str, float], kept: Sequence[str]) -> None:
        """All pieces by title with rough seconds, and those of an earlier run that are kept."""

    def started(self, title: str) -> None: ...

    def finished(self, title: str, reason: str = "") -> None: ...

    def tell(self, text: str) -> None:
        """What a running piece is about to do."""


class Study(NamedTuple):
    """What a study is asked for: backends by name (none: the defaults), a device, a profile, how many pieces at a time,
    the margin of equivalence (a fraction of 1), seconds for one piece."""

    names: Sequence[str]
    device: str
    profile: Profile
    jobs: int
    margin: float
    limit_s: float

    def asked(self, hosts: Sequence[Host]) -> dict[str, Any]:
        """What makes this study another than one of other numbers: a folder holds one."""
        numbers = {name: value for name, value in self.profile._asdict().items() if name != "why"}
        asked = {"backends": [host.name for host in hosts], "device": self.device, "margin": self.margin}
        return plain(dict(asked, profile=numbers))


class Plan(NamedTuple):
    """The backends that were found, by label with the judge last, the pieces, and where each is kept."""

    hosts: dict[str, Host]
    left_out: dict[str, str]
    pieces: list[Piece]
    files: dict[str, str]  # title -> file name

    @property
    def backends(self) -> list[Host]:
        return [host for label, host in self.hosts.items() if label != JUDGE_LABEL]


def plan(study: Study) -> Plan:
    """Open each backend once, and list the pieces. Raises BackendError for a backend that cannot be had."""
    share = shares(study.jobs)[0]
    with threads_of(len(share)), on_cpus(share):  # as the pieces will run
        found, left_out = survey(study.names, study.device, study.limit_s)
        judge = ask(JUDGE, "cpu", study.limit_s)._replace(label=JUDGE_LABEL)
    hosts = {host.label: host for host in [*found, judge]}
    pieces = planned(study.profile, {host.label: host.capabilities for host in found})
    files = {piece.title: piece.file_name(hosts[piece.backend].facts) for piece in pieces}
    if study.profile.rounds:
        priced = cost.piece(found, study.profile)
        pieces.append(priced)
        files[priced.title] = priced.file_name({})
    return Plan(hosts, left_out, pieces, files)


def run(study: Study, chosen: Plan, store: Store, executor: Executor, display: Display) -> dict[str, Any]:
    """Run every piece that the store does not have yet; return the results, which are also written to its folder.

    Raises DataError where the folder cannot be written to.
    """
    started = time.perf_counter()
    found: dict[str, Found] = {}
    for piece in chosen.pieces:
        kept = store.load(chosen.files[piece.title], piece.title)
        if kept is not None:
            found[piece.title] = kept
    display.begin({piece.title: piece.weight for piece in chosen.pieces}, list(found))
    left = [piece for piece in chosen.pieces if piece.title not in found]
    failed: dict[str, str] = {}
    for done in executor.run(
        [piece for piece in left if piece.part != "cost"], chosen.hosts, lambda piece: display.started(piece.title)
    ):
        title = done.piece.title
        if done.found is None:
            failed[title] = done.reason
        else:
            found[title] = done.found
            store.save(chosen.files[title], title, done.found)
        display.finished(title, done.reason)
    for piece in left:
        if piece.part == "cost":  # by itself, when nothing else runs
            _run_cost(study, chosen, piece, store, display, found, failed)
    results = summarize(study, chosen, found, failed)
    results["seconds"] = time.perf_counter() - started
    write(store.folder / FILE, results)
    return results


def _run_cost(
    study: Study,
    chosen: Plan,
    piece: Piece,
    store: Store,
    display: Display,
    found: dict[str, Found],
    failed: dict[str, str],
) -> None:
    display.started(piece.title)
    try:
        given = cost.measure(chosen.backends, study.profile, study.limit_s, display.tell)
        found[piece.title] = given
        if not given.values["failed"]:
            store.save(chosen.files[piece.title], piece.title, given)
    except WorkerError as error:
        failed[piece.title] = reason_of(error)
    display.finished(piece.title, failed.get(piece.title, ""))


def summarize(study: Study, chosen: Plan, found: Mapping[str, Found], failed: Mapping[str, str]) -> dict[str, Any]:
    """The results as plain values: what JSON can hold, non-finite numbers as strings."""
    done = [(piece, found[piece.title]) for piece in chosen.pieces if piece.title in found]
    of_part = {part: [pair for pair in done if pair[0].part == part] for part in PARTS}
    runs: dict[str, dict[int, Found]] = {}
    for piece, each in of_part["accuracy"]:
        runs.setdefault(piece.backend, {})[piece.arguments["_seed"]] = each
    paired: dict[str, dict[str, dict[int, Found]]] = {}
    for piece, each in of_part["paired"]:
        of_program = paired.setdefault(piece.arguments["program"], {})
        of_program.setdefault(piece.backend, {})[piece.arguments["_seed"]] = each
    forms: dict[str, dict[str, Found]] = {}
    for piece, each in of_part["series"]:
        forms.setdefault(piece.backend, {})[piece.arguments["projection"]] = each
    results: dict[str, Any] = {
        "schema": SCHEMA,
        "asked": study.asked(chosen.backends),
        "profile": dict(study.profile._asdict(), margin=study.margin, margin_why=WHY),
        "machine": machine(study.jobs),
        "backends": {host.label: dict(host.described, given=host.name) for host in chosen.backends},
        "left_out": chosen.left_out,
        "cells": [_described(piece, found.get(piece.title), failed.get(piece.title)) for piece in chosen.pieces],
        "parity": parity.summarize(
            {(piece.backend, piece.arguments["dtype"]): each for piece, each in of_part["parity"]}
        ),
        "lockstep": lockstep.summarize(
            {_run_key(piece): each for piece, each in of_part["lockstep"]},
            {_run_key(piece)[1:3]: piece.arguments["checkpoints"] for piece, _ in of_part["lockstep"]},
        ),
        "initial": accuracy.initial_rows(
            (piece.backend, piece.arguments["program"], each) for piece, each in of_part["initial"]
        ),
        "accuracy": accuracy.summarize(runs, study.margin),
        "paired": accuracy.summarize_paired(paired, study.margin),
        "series": series.summarize(forms),
        "cost": cost.summarize(of_part["cost"][0][1]) if of_part["cost"] else None,
    }
    results["verdict"] = verdict.of(results)
    results["problems"] = findings.problems(results)
    return plain(results)


PARTS = ("parity", "lockstep", "initial", "accuracy", "paired", "series", "cost")


def _run_key(piece: Piece) -> tuple[str, str, str, int]:
    given = piece.arguments
    return piece.backend, given["program"], given["dtype"], given["perturbed"]


def _described(piece: Piece, found: Found | None, reason: str | None) -> dict[str, Any]:
    described: dict[str, Any] = {"cell": piece.title, "part": piece.part, "backend": piece.backend}
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


def check_folder(study: Study, chosen: Plan, folder: Path) -> None:
    """Raises DataError where the folder has the report of another study, which this one would replace."""
    there = [name for name in (FILE, "report.html", "report.md") if (folder / name).exists()]
    if not there:
        return
    try:
        before = read(folder) if (folder / FILE).exists() else {}
    except DataError:
        before = {}
    if not before:
        told = "has a %s that is not of this study" % there[0]
    elif plain(before["asked"]) != study.asked(chosen.backends):
        names = joined([str(name) for name in before["asked"].get("backends", [])] or ["no backend"])
        told = "has another study (%s, of %s)" % (before["asked"].get("profile", {}).get("name"), names)
    else:
        return
    raise DataError("%s %s, which stays; name another folder with --output" % (folder, told))


def read(path: Path) -> dict[str, Any]:
    """A results file, or the one in a study's folder. Raises DataError, in one sentence, for anything else."""
    file = path / FILE if path.is_dir() else path
    try:
        results = parse_json(read_whole(file, _MOST_BYTES))
    except OSError as error:
        raise DataError(
            "%s cannot be read (%s); name a study's folder or its %s" % (file, error.strerror, FILE)
        ) from None
    except ValueError:
        raise DataError("%s is not JSON, or damaged; run the study again to write it anew" % file) from None
    schema = results.get("schema") if isinstance(results, dict) else None
    if schema != SCHEMA:
        raise DataError("%s has the schema %r, expected %r; run its study again" % (file, schema, SCHEMA))
    lacking = [name for name in SECTIONS if name not in results]
    if lacking:
        raise DataError("%s lacks %s; run the study again to write it anew" % (file, ", ".join(lacking)))
    return numbers(results)


SECTIONS = ("asked", "profile", "machine", "backends", "left_out", "cells", *PARTS, "verdict", "problems", "seconds")


def without_times(results: Any) -> Any:
    """Results without what depends on the clock: seconds and cost, and what was said of them."""
    if isinstance(results, dict):
        timed = ("seconds", "cost", "verdict")
        return {name: without_times(value) for name, value in results.items() if name not in timed}
    return [without_times(each) for each in results] if isinstance(results, list) else results
