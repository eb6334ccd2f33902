"""The conformance matrix: the suite run over several backends, and what each showed of each behaviour, as plain data.

A behaviour is one file of the suite. The data is what `conform --json` writes; its schema is `SCHEMA`.
"""

from __future__ import annotations

import datetime
import math
import os
import platform
from collections import Counter, defaultdict
from typing import Any, Callable, NamedTuple

import pytest

from spec_tests import distribution, plugin
from spec_tests.capabilities import CAPABILITIES
from spec_tests.results import OUTCOMES, outcome_of, record_of
from unrolled import pytest_plugin
from unrolled.pytest_plugin import ROOT, SUITE

SCHEMA = "unrolled.conform/1"
SLOW = ("test_mnist.py",)  # left out by `quick`
FILES = sorted(SUITE.glob("test_*.py"))
SENTENCE = 600  # characters kept of what a failure says

Progress = Callable[[int, int], Any]  # tests just done, tests in all


class SuiteError(RuntimeError):
    """The suite itself could not be run; the message says why."""


class Verdict(NamedTuple):
    """What one test showed of one backend."""

    backend: str
    behaviour: str
    test: str  # the function's name
    case: str  # its parameters, as pytest names them
    outcome: str  # one of OUTCOMES
    reason: str  # of a failure, in its own words, or of a known failure; empty otherwise
    differences: list[dict[str, Any]]


class Collector:
    """A pytest plugin that hands the backends in, and gathers the verdicts."""

    def __init__(self, selection: Any, progress: Progress) -> None:
        self.verdicts: list[Verdict] = []
        self.titles: dict[str, str] = {}
        self.complaints: list[str] = []
        self._selection = selection
        self._progress = progress
        self._total = 0

    def pytest_configure(self, config: pytest.Config) -> None:
        config.stash[plugin.SELECTION] = self._selection
        config.option.tbstyle = "line"  # what failed, not the code around it: that would take half of the time

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.complaints.append(report.longreprtext.strip().splitlines()[-1])

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._total = len(session.items)
        for item in session.items:
            title = (item.module.__doc__ or "").split("\n\n")[0] if isinstance(item, pytest.Function) else ""
            self.titles.setdefault(item.path.stem[len("test_") :], " ".join(title.split()))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        record, outcome = record_of(report.user_properties), outcome_of(report)
        if record is not None and outcome:
            test, _, case = report.location[2].partition("[")
            names = (record["backend"], record["behaviour"], test, _without(record["backend"], case[:-1]))
            self.verdicts.append(Verdict(*names, outcome, _reason(report, outcome), record["differences"]))
        if report.when == "teardown":
            self._progress(1, self._total)


def _without(backend: str, case: str) -> str:
    """A test's parameters but for the backend's name, which comes first."""
    return case[len(backend) :].lstrip("-") if case.startswith(backend) else case


def _reason(report: pytest.TestReport, outcome: str) -> str:
    if outcome == "known failure":
        return str(report.wasxfail).partition("reason: ")[2] or str(report.wasxfail)
    if outcome != "failed":
        return ""
    crash = getattr(report.longrepr, "reprcrash", None)
    said = crash.message if crash is not None else str(report.longrepr)
    # pytest adds to a sentence, on lines of its own, how the assertion was computed, and Hypothesis its example.
    sentence = said.strip().partition("\nassert ")[0].partition("\nFalsifying example:")[0]
    sentence = sentence.removeprefix("AssertionError: ").rstrip()
    return sentence if len(sentence) <= SENTENCE else sentence[:SENTENCE] + " ..."


def run(selection: Any, device: str, quick: bool, expression: str, progress: Progress) -> dict[str, Any]:
    """Run the suite over the selected backends, and return the matrix. Raises SuiteError when nothing could be run.

    quick: without the tests in `SLOW`. expression: which tests, as pytest's -k; empty for all of them.
    """
    collector = Collector(selection, progress)
    started = datetime.datetime.now(datetime.timezone.utc)
    files = [str(path) for path in FILES if not (quick and path.name in SLOW)]
    # Neither the settings of the project that pytest is started in nor its terminal: only the suite and its results.
    options = ["-c", os.devnull, "--rootdir", str(ROOT), "-p", "no:cacheprovider", "-p", "no:terminal"]
    options += ["-p", pytest_plugin.__name__, "-W", "default", *(["-k", expression] if expression else [])]
    held_back = os.environ.pop("PYTEST_ADDOPTS", None)
    try:
        status = pytest.main([*options, *files], plugins=[collector])
    finally:
        if held_back is not None:
            os.environ["PYTEST_ADDOPTS"] = held_back
    if status == pytest.ExitCode.INTERRUPTED and not collector.complaints:
        raise KeyboardInterrupt
    if status == pytest.ExitCode.NO_TESTS_COLLECTED:
        raise SuiteError("no test of the suite matches %r" % expression)
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise SuiteError(
            "the suite could not be run: %s" % ("; ".join(collector.complaints) or "pytest says why above")
        )
    seconds = (datetime.datetime.now(datetime.timezone.utc) - started).total_seconds()
    return {
        "schema": SCHEMA,
        "unrolled": distribution.version(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": device,
        "started": started.isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "left_out": [path.name for path in FILES if quick and path.name in SLOW],
        "expression": expression,
        **matrix(selection, collector.verdicts, collector.titles),
    }


def matrix(selection: Any, verdicts: list[Verdict], titles: dict[str, str]) -> dict[str, Any]:
    """The verdicts by behaviour and backend, the largest errors by quantity, and every failure."""
    names = [backend.name for backend in selection.backends]
    of_test: dict[tuple[str, ...], list[Verdict]] = defaultdict(list)
    of_behaviour: dict[tuple[str, ...], list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        of_test[verdict.behaviour, verdict.test, verdict.backend].append(verdict)
        of_behaviour[verdict.behaviour, verdict.backend].append(verdict)
    return {
        "backends": {backend.name: _facts(backend, verdicts) for backend in selection.backends},
        "not_loaded": dict(selection.left_out),
        "behaviours": [
            {
                "name": behaviour,
                "title": title,
                "cells": {name: _cell(of_behaviour[behaviour, name]) for name in names},
            }
            for behaviour, title in titles.items()
        ],
        "errors": _errors(verdicts, names),
        "tests": [
            {
                "behaviour": behaviour,
                "test": test,
                "cells": {name: _cell(of_test[behaviour, test, name]) for name in names},
            }
            for behaviour, test in dict.fromkeys((verdict.behaviour, verdict.test) for verdict in verdicts)
        ],
        "failures": _told(verdicts, "failed"),
        "known_failures": _told(verdicts, "known failure"),
    }


def _facts(backend: Any, verdicts: list[Verdict]) -> dict[str, Any]:
    counts = Counter(verdict.outcome for verdict in verdicts if verdict.backend == backend.name)
    return {
        "facts": dict(backend.describe()),
        "offers": [name for name in CAPABILITIES if name in backend.capabilities],
        "lacks": [name for name in CAPABILITIES if name not in backend.capabilities],
        "counts": {outcome: counts[outcome] for outcome in OUTCOMES},
    }


def _cell(verdicts: list[Verdict]) -> dict[str, Any]:
    """Counts by outcome, and of the errors seen the one nearest to its limit, or farthest above."""
    counts = Counter(verdict.outcome for verdict in verdicts)
    differences = [difference for verdict in verdicts for difference in verdict.differences]
    nearest = max(differences, key=lambda difference: difference["relative"] / difference["limit"], default=None)
    return {
        "counts": {outcome: counts[outcome] for outcome in OUTCOMES},
        "largest": None
        if nearest is None
        else {
            "quantity": nearest["quantity"],
            "dtype": nearest["dtype"],
            "error": _number(nearest["relative"]),
            "limit": nearest["limit"],
        },
    }


def _number(error: float) -> float | str:
    """JSON has no infinity."""
    return float(error) if math.isfinite(error) else "infinite"


def _errors(verdicts: list[Verdict], names: list[str]) -> list[dict[str, Any]]:
    """The largest relative error by quantity and dtype, of each backend, beside its limit."""
    limits: dict[tuple[str, str], float] = {}
    largest: dict[tuple[str, str, str], float] = {}
    for verdict in verdicts:
        for difference in verdict.differences:
            quantity, dtype = difference["quantity"], difference["dtype"]
            limits[quantity, dtype] = difference["limit"]
            key = (quantity, dtype, verdict.backend)
            largest[key] = max(largest.get(key, 0.0), difference["relative"])
    return [
        {
            "quantity": quantity,
            "dtype": dtype,
            "limit": limit,
            "errors": {
                name: _number(largest[quantity, dtype, name]) for name in names if (quantity, dtype, name) in largest
            },
        }
        for (quantity, dtype), limit in sorted(limits.items())
    ]


def _told(verdicts: list[Verdict], outcome: str) -> list[dict[str, str]]:
    keys = ("backend", "behaviour", "test", "case", "reason")
    return [{key: getattr(verdict, key) for key in keys} for verdict in verdicts if verdict.outcome == outcome]


def untested(results: dict[str, Any]) -> list[str]:
    """Backends of which nothing was tested: every test was skipped."""
    counts = {name: backend["counts"] for name, backend in results["backends"].items()}
    return [name for name, count in counts.items() if not count["passed"] + count["failed"] + count["known failure"]]
