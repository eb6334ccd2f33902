"""What the spec tests of one run showed: counts by backend, and the largest error seen beside each limit.

Collected from pytest's reports, which are plain data, so that it holds for tests that ran in another process too.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from typing import Any, Collection, Generator

import pytest

from spec_tests.causes import Failure, causes
from unrolled.showing import shown, shown_lines

PROPERTY = "unrolled"  # the name of a spec test's record among its report's user_properties
SENTENCE = 600  # characters kept of what a failure says
OUTCOMES = ("passed", "failed", "not offered", "known failure", "skipped otherwise")


def new_record(backend: str, behaviour: str, needs: Collection[str]) -> dict[str, Any]:
    """One test's record: its backend, its behaviour (the test file's name), the capabilities that it needs, and the
    errors that `compare` adds."""
    return {"backend": backend, "behaviour": behaviour, "needs": sorted(needs), "differences": []}


def record_of(user_properties: list[tuple[str, Any]]) -> Any:
    """A spec test's record; None for any other test."""
    return dict(user_properties).get(PROPERTY)


def outcome_of(report: pytest.TestReport) -> str:
    """The outcome that this report settles; empty when another report of the same test does."""
    if report.failed:
        return "failed"
    if report.skipped and hasattr(report, "wasxfail"):
        return "known failure"
    if report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
        return "not offered" if "does not offer" in reason else "skipped otherwise"
    return "passed" if report.when == "call" else ""


# What pytest and this package's own errors put before a sentence.
_PREFIX = re.compile(r"(AssertionError|Failed|spec_tests\.backends\.\w+\.\w+): ")

# What pytest (how an assertion was computed) and Hypothesis (its example) put after it, on lines of its own.
_APPENDIX = re.compile(r"\n(?:assert |Falsifying example:|Failing test case:)")


def reason_of(report: pytest.TestReport, outcome: str) -> str:
    """Why a test failed, in its own words, or is known to; "" for another outcome."""
    if outcome == "known failure":
        return shown_lines(str(report.wasxfail).partition("reason: ")[2] or str(report.wasxfail))
    if outcome != "failed":
        return ""
    crash = getattr(report.longrepr, "reprcrash", None)
    said = crash.message if crash is not None else str(report.longrepr)
    sentence = _APPENDIX.split(said.strip(), maxsplit=1)[0]
    found = _PREFIX.match(sentence)
    sentence = shown_lines(sentence[found.end() if found else 0 :].rstrip())
    return sentence if len(sentence) <= SENTENCE else sentence[:SENTENCE] + " ..."


class Results:
    """A pytest plugin of its own, registered by `spec_tests.plugin`."""

    def __init__(self) -> None:
        self.failures: dict[str, list[Failure]] = defaultdict(list)  # by backend
        self.outcomes: dict[str, dict[str, int]] = defaultdict(Counter)
        self.limits: dict[tuple[str, str], float] = {}  # (quantity, dtype)
        self.errors: dict[tuple[str, str, str], float] = {}  # (quantity, dtype, backend): the largest seen
        self.whole_suite = False  # every spec test was collected, and none deselected

    def pytest_deselected(self) -> None:
        self.whole_suite = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        record, outcome = record_of(report.user_properties), outcome_of(report)
        if record is None or not outcome:
            return
        self.outcomes[record["backend"]][outcome] += 1
        if outcome == "failed":
            test = report.location[2].partition("[")[0]
            told = Failure(test, reason_of(report, outcome), record["differences"])
            self.failures[record["backend"]].append(told)
        for difference in record["differences"]:
            quantity, dtype = difference["quantity"], difference["dtype"]
            self.limits[quantity, dtype] = difference["limit"]
            key = (quantity, dtype, record["backend"])
            self.errors[key] = max(self.errors.get(key, 0.0), difference["relative"])

    def untested(self) -> list[str]:
        """Backends of which the whole suite ran nothing: all of it was skipped."""
        return [name for name, counts in self.outcomes.items() if not counts["passed"] + counts["failed"]]

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.whole_suite and self.untested() and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)  # around pytest's own, whose list of failures may be long
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> Generator[None, None, None]:
        yield
        if not self.outcomes:
            return
        terminalreporter.section("spec: what each backend showed")
        for line in self.summary():
            terminalreporter.line(line)
        for name, failures in self.failures.items():
            terminalreporter.section("spec: why %s failed %d tests" % (shown(name), len(failures)))
            for cause in causes(failures):
                terminalreporter.line(shown_lines(str(cause)))
        if self.whole_suite and self.untested():
            terminalreporter.line("FAILED: nothing was tested of %s" % ", ".join(self.untested()), red=True)

    def summary(self) -> list[str]:
        """Counts by backend, then the largest relative error by quantity, dtype and backend, beside the limit."""
        names = list(self.outcomes)
        lines = []
        for name in names:
            counts = ["%d %s" % (self.outcomes[name][what], what) for what in OUTCOMES if self.outcomes[name][what]]
            lines.append("%s: %s" % (name, ", ".join(counts)))
        if self.errors:
            lines += ["", "largest error seen, relative to the largest expected magnitude:"]
            lines.append(_row("quantity", "dtype", "limit", names))
        for (quantity, dtype), limit in sorted(self.limits.items()):
            seen = [self.errors.get((quantity, dtype, name)) for name in names]
            cells = ["-" if error is None else "%.1e" % error for error in seen]
            lines.append(_row(quantity, dtype, "%.0e" % limit, cells))
        return lines


def _row(quantity: str, dtype: str, limit: str, cells: list[str]) -> str:
    return "%-28s %-8s %8s %s" % (quantity, dtype, limit, " ".join("%14s" % cell for cell in cells))
