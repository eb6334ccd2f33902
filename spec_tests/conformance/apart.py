"""Each backend in a process of its own, so that one that hangs or crashes costs nobody but itself.

A test that a backend does not come back from is a failure of its own; the others go on in a fresh process, until it
has crashed or hung too often. A backend that does not even come to its first test has no verdicts, and says why. POSIX
only: it needs process groups.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Any, Callable, Iterator, NamedTuple, Sequence

from spec_tests.backends.process import signal_name
from spec_tests.backends.remote import CALL_LIMIT, START_S, call_limit

MOST_LOSSES = 3  # of a process, after which another is started: a backend that always hangs must come to an end, too
LAST_WORDS = 400  # characters kept of what a process that died has written to standard error
GRACE_S = 5.0  # for a process that has told everything to end by itself, and for one that hangs to say where
FRAMES = 3  # shown of the place where a process hangs, the innermost first
TICK_S = 10.0  # between two reports that nothing has happened


class Step(NamedTuple):
    """How far a backend is: tests done, tests in all, the one of now, and for how many seconds it has been silent."""

    backend: str
    done: int
    total: int
    test: str
    waited_s: float


Progress = Callable[[Step], Any]


class SuiteError(RuntimeError):
    """The suite itself could not be run; the message says why."""


class NotBegunError(RuntimeError):
    """A backend did not come to its first test; the message says why."""


class Verdict(NamedTuple):
    """What one test showed of one backend."""

    backend: str
    behaviour: str
    test: str  # the function's name
    case: str  # its parameters, as pytest names them
    outcome: str  # one of results.OUTCOMES
    reason: str  # of a failure, in its own words, or of a known failure; empty otherwise
    differences: list[dict[str, Any]]
    needs: Sequence[str] = ()  # the capabilities without which it would not have been run


class Shown:
    """What a backend showed: as much of it as a matrix needs, which is not the backend itself."""

    def __init__(self, name: str) -> None:
        self.name = self.asked = name
        self.facts: dict[str, str] = {}
        self.capabilities: frozenset[str] = frozenset()
        self.description: list[str] = []
        self.differences: dict[str, str] = {}
        self.titles: dict[str, str] = {}
        self.verdicts: list[Verdict] = []
        self.started = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        self.kept = False  # from an earlier run, see `kept`
        self.lost = ""  # why it was given up, where it was
        self.not_run = 0  # tests left then

    def describe(self) -> dict[str, str]:
        return self.facts


def show(
    name: str, device: str, files: Sequence[Path], expression: str, opened: Callable[[Shown], Any], progress: Progress
) -> Shown:
    """Run these files of the suite over the backend of that name.

    opened: called once it has said what it is. Raises SuiteError where no test matches.
    """
    shown = Shown(name)
    question: dict[str, Any] = {"name": name, "device": device, "expression": expression, "left_out": []}
    # The worker of another Python has a time limit of its own, for each call.
    limit_s = float("inf") if "@" in name else call_limit()
    question["files"] = [str(path) for path in files]
    left = 0
    try:
        for losses in range(MOST_LOSSES + 1):
            left = _once(shown, question, limit_s, opened if losses == 0 else lambda shown: None, progress)
            if not left:
                return shown
        shown.lost = "it hung or crashed in the middle of too many tests"
    except NotBegunError as error:
        shown.lost = str(error)
    shown.not_run = left
    return shown


def _once(
    shown: Shown, question: dict[str, Any], limit_s: float, opened: Callable[[Shown], Any], progress: Progress
) -> int:
    """One process, till its end. Returns how many tests are left."""
    begun: dict[str, Any] = {}
    left_out, left = question["left_out"], 0
    with _process(question) as (child, lines, words):
        for message in _messages(child, lines, words, limit_s):
            if "lost" in message and not begun:
                raise NotBegunError("%s before the first test%s" % (message["lost"], message["said"]))
            elif "lost" in message:
                reason = "the backend %s in the middle of this test%s" % (message["lost"], message["said"])
                shown.verdicts.append(_verdict(shown, begun, "failed", reason, []))
                question["files"] = question["files"][_place(question["files"], begun["behaviour"]) :]
                return left
            elif "unusable" in message:
                raise NotBegunError(message["unusable"])
            elif "backend" in message:
                shown.name, shown.facts = message["backend"], message["facts"]
                shown.capabilities, shown.description = frozenset(message["capabilities"]), message["description"]
                shown.differences = message["differences"]
                opened(shown)
            elif "total" in message:
                left = message["total"]
                shown.titles = shown.titles or message["titles"]
            elif "begins" in message:
                begun, left = message, left - 1
                left_out.append(message["begins"])
            elif "ends" in message:
                found = (message["outcome"], message["reason"], message["differences"])
                shown.verdicts.append(_verdict(shown, {"test": message["ends"], **message}, *found))
            elif "status" in message:
                _check_status(message, question["expression"], words)
            progress(
                Step(shown.name, len(left_out), len(left_out) + left, begun.get("test", ""), message.get("waited", 0.0))
            )
    return 0


def _place(files: Sequence[str], behaviour: str) -> int:
    """Of a behaviour's file: those before it are done."""
    return [Path(file).stem for file in files].index("test_" + behaviour)


def _verdict(shown: Shown, told: dict[str, Any], outcome: str, reason: str, differences: list[Any]) -> Verdict:
    test, _, case = told["test"].partition("[")
    case = case[:-1]
    case = case[len(shown.name) :].lstrip("-") if case.startswith(shown.name) else case
    return Verdict(shown.name, told["behaviour"], test, case, outcome, reason, differences, told["needs"])


def _check_status(message: dict[str, Any], expression: str, words: IO[bytes]) -> None:
    from pytest import ExitCode

    status = message["status"]
    if status == ExitCode.NO_TESTS_COLLECTED:
        raise SuiteError("no test of the suite matches %r" % expression)
    if status not in (ExitCode.OK, ExitCode.TESTS_FAILED):
        said = "; ".join(message["complaints"]) or _words(words)[-LAST_WORDS:]
        raise NotBegunError("the suite could not be run: %s" % said.replace("ERROR: ", ""))


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


def _messages(child: Any, lines: Any, words: IO[bytes], limit_s: float) -> Iterator[dict[str, Any]]:
    """What it tells; {"waited": seconds} while it is silent; and at last, unless it came to its end, how it was "lost"
    and what it "said". limit_s: for one test; infinite where others see to it."""
    held, ended, begun, waited = b"", False, False, 0.0
    while True:
        limit = limit_s if begun else max(limit_s, START_S)  # to import a framework, and to collect the suite
        tick = min(TICK_S, limit - waited)
        ready, _, _ = select.select([lines], [], [], tick)
        waited = 0.0 if ready else waited + tick
        if waited >= limit:
            fate = "did not come back within %g seconds (%s sets the limit) and was killed" % (limit, CALL_LIMIT)
            yield {"lost": fate, "said": _where(child, words)}
            return
        if not ready:
            yield {"waited": waited}
            continue
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
        fate = _fate(child)
        yield {"lost": fate, "said": _said(words)}


def _fate(child: Any) -> str:
    deadline = time.monotonic() + GRACE_S
    while child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    status = child.returncode
    if status is None:
        return "closed its pipe without ending, and was killed,"
    if status < 0:
        return "was killed by %s" % signal_name(-status)
    return "ended its process with status %d" % status


def _said(words: IO[bytes]) -> str:
    """The last words, for a message."""
    said = _words(words)
    fatal = said.rfind("Fatal Python error")  # faulthandler's; other threads than the current one say nothing
    found = "%s\n%s" % (said[fatal:].partition("\n")[0], _frames(said)) if fatal >= 0 else said[-LAST_WORDS:]
    return "; its last words:\n%s" % found if found else ""


def _where(child: Any, words: IO[bytes]) -> str:
    """Where a process that hangs is: faulthandler tells at an abort."""
    child.send_signal(signal.SIGABRT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(GRACE_S)
    found = _frames(_words(words))
    return "; it was here:\n%s" % found if found else ""


def _frames(said: str) -> str:
    """The innermost frames of the current thread, as faulthandler tells them."""
    *_, frames = said.rpartition("Current thread")[2].partition("(most recent call first):\n")
    return "\n".join(frames.splitlines()[:FRAMES])


def _words(words: IO[bytes]) -> str:
    """The end of what it has written to standard error, and printed."""
    words.seek(0, os.SEEK_END)
    words.seek(max(0, words.tell() - (1 << 16)))
    return words.read().decode("utf-8", "backslashreplace").strip()
