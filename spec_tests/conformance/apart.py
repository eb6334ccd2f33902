"""Each backend in a process of its own, so that one that hangs or crashes costs nobody but itself.

A test that a backend does not come back from is a failure of its own; the others go on in a fresh process, up to
`MOST_LOSSES` times. POSIX only: it needs process groups.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from typing import IO, Any, Callable, Iterator, NamedTuple

from spec_tests.backends.remote import CALL_LIMIT, START_S, call_limit

MOST_LOSSES = 5
LAST_WORDS = 400  # characters kept of what a process that died has written to standard error
GRACE_S = 5.0  # for a process that has told everything to end by itself

Progress = Callable[[str, int, int], Any]  # backend, tests done, tests in all


class SuiteError(RuntimeError):
    """The suite itself could not be run; the message says why."""


class Verdict(NamedTuple):
    """What one test showed of one backend."""

    backend: str
    behaviour: str
    test: str  # the function's name
    case: str  # its parameters, as pytest names them
    outcome: str  # one of results.OUTCOMES
    reason: str  # of a failure, in its own words, or of a known failure; empty otherwise
    differences: list[dict[str, Any]]


class Shown:
    """What a backend showed: as much of it as a matrix needs, which is not the backend itself."""

    def __init__(self, name: str) -> None:
        self.name = self.asked = name
        self.facts: dict[str, str] = {}
        self.capabilities: frozenset[str] = frozenset()
        self.description: list[str] = []
        self.titles: dict[str, str] = {}
        self.verdicts: list[Verdict] = []
        self.not_run = 0  # tests left when it had been lost too often

    def describe(self) -> dict[str, str]:
        return self.facts


def show(
    name: str, device: str, quick: bool, expression: str, opened: Callable[[Shown], Any], progress: Progress
) -> Shown:
    """Run the suite over the backend of that name.

    Raises BackendError where it cannot be had, SuiteError where nothing could be run.
    """
    shown = Shown(name)
    question = {"name": name, "device": device, "quick": quick, "expression": expression, "left_out": []}
    for losses in range(MOST_LOSSES + 1):
        left = _once(shown, question, call_limit(), opened if losses == 0 else lambda shown: None, progress)
        if not left:
            break
        shown.not_run = left if losses == MOST_LOSSES else 0
    return shown


def _once(
    shown: Shown, question: dict[str, Any], limit_s: float, opened: Callable[[Shown], Any], progress: Progress
) -> int:
    """One process, till its end. Returns how many tests are left."""
    begun: dict[str, Any] | None = None
    total = 0
    with _process(question) as (child, lines, words):
        for message in _messages(child, lines, limit_s):
            if isinstance(message, str):  # how it was lost
                if begun is None:
                    raise SuiteError("%s %s before the first test%s" % (question["name"], message, _said(words)))
                reason = "the backend %s in the middle of this test%s" % (message, _said(words))
                shown.verdicts.append(_verdict(shown, begun, "failed", reason, []))
                return total
            if "unusable" in message:
                from spec_tests.backends.loading import BackendError

                raise BackendError(message["unusable"])
            if "backend" in message:
                shown.name, shown.facts = message["backend"], message["facts"]
                shown.capabilities, shown.description = frozenset(message["capabilities"]), message["description"]
                opened(shown)
            elif "total" in message:
                total = message["total"]
                shown.titles = shown.titles or message["titles"]
            elif "begins" in message:
                begun, total = message, total - 1
                question["left_out"].append(message["begins"])
            elif "ends" in message:
                found = (message["outcome"], message["reason"], message["differences"])
                shown.verdicts.append(_verdict(shown, {"test": message["ends"], **message}, *found))
                progress(shown.name, len(question["left_out"]), len(question["left_out"]) + total)
            else:
                _check_status(message, question["expression"])
    return 0


def _verdict(shown: Shown, told: dict[str, Any], outcome: str, reason: str, differences: list[Any]) -> Verdict:
    test, _, case = told["test"].partition("[")
    case = case[:-1]
    case = case[len(shown.name) :].lstrip("-") if case.startswith(shown.name) else case
    return Verdict(shown.name, told["behaviour"], test, case, outcome, reason, differences)


def _check_status(message: dict[str, Any], expression: str) -> None:
    from pytest import ExitCode

    status = message["status"]
    if status == ExitCode.NO_TESTS_COLLECTED:
        raise SuiteError("no test of the suite matches %r" % expression)
    if status not in (ExitCode.OK, ExitCode.TESTS_FAILED):
        raise SuiteError(
            "the suite could not be run: %s" % ("; ".join(message["complaints"]) or "pytest says why above")
        )


@contextlib.contextmanager
def _process(question: dict[str, Any]) -> Iterator[tuple[Any, Any, IO[bytes]]]:
    """The process, the end of the pipe that it tells on, and the file with its standard error."""
    reading, writing = os.pipe()
    with tempfile.TemporaryFile() as words, open(reading, "rb", buffering=0) as lines:  # noqa: PTH123
        child = subprocess.Popen(
            [sys.executable, "-m", "spec_tests.conformance.one", str(writing), json.dumps(question)],
            stdin=subprocess.DEVNULL, stdout=words, stderr=words, pass_fds=[writing], start_new_session=True,
            env=dict(os.environ, PYTHONPATH=os.pathsep.join([_here(), *filter(None, sys.path)])),
        )  # fmt: skip
        os.close(writing)
        try:
            yield child, lines, words
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def _here() -> str:
    """The folder that spec_tests lies in."""
    import spec_tests

    return os.path.dirname(os.path.dirname(os.path.abspath(spec_tests.__file__)))  # noqa: PTH100, PTH120


def _messages(child: Any, lines: Any, limit_s: float) -> Iterator[Any]:
    """What it tells; at last a text, how it was lost, unless it came to its end."""
    held, ended, begun = b"", False, False
    while True:
        waits = limit_s if begun else max(limit_s, START_S)  # to import a framework, and to collect the suite
        ready, _, _ = select.select([lines], [], [], waits)
        if not ready:
            yield "did not come back within %g seconds (%s sets the limit) and was killed" % (waits, CALL_LIMIT)
            return
        read = lines.read(1 << 16)
        if not read:
            break
        *whole, held = (held + read).split(b"\n")
        for line in whole:
            message = json.loads(line)
            ended = ended or "status" in message or "unusable" in message
            begun = begun or "begins" in message
            yield message
    if not ended:
        yield _fate(child)


def _fate(child: Any) -> str:
    deadline = time.monotonic() + GRACE_S
    while child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    status = child.returncode
    if status is None:
        return "closed its pipe without ending, and was killed,"
    if status < 0:
        names = {int(each): each.name for each in signal.Signals}
        return "was killed by %s" % names.get(-status, "signal %d" % -status)
    return "ended its process with status %d" % status


def _said(words: IO[bytes]) -> str:
    """The last words, for a message."""
    words.seek(0, os.SEEK_END)
    words.seek(max(0, words.tell() - (1 << 16)))
    said = words.read().decode("utf-8", "backslashreplace").strip()
    fatal = said.rfind("Fatal Python error")  # faulthandler's, with the place first and pytest's own frames after it
    found = said[fatal : fatal + LAST_WORDS] if fatal >= 0 else said[-LAST_WORDS:]
    return "; its last words:\n%s" % found if found else ""
