"""A worker process seen from the suite: its pipes, its time limit, its last words, its end.

`Process.exchange` writes one request and reads one reply. Whatever goes wrong ends the process, with everything that it
started, and raises WorkerError. POSIX only: it needs poll, and process groups.
"""

from __future__ import annotations

import contextlib
import importlib.util
import math
import os
import select
import signal
import subprocess
import sys
import time
from typing import Any, Sequence

from spec_tests.backends import wire

__all__ = ["Process", "WorkerError", "WorkerLostError", "signal_name", "without_posix"]

LAST_WORDS = 4096  # bytes kept of standard error
END_S = 1.0  # for an idle process to end by itself once its pipes are closed, before it is killed
FATE_S = 10.0  # for one that closed its pipe to end, before it is said that it did not
PIPE_BYTES = 2**20  # Linux gives 64 KiB, which costs large arrays twice the time
F_SETPIPE_SZ = 1031  # fcntl.h; Python names it from 3.10 on


def signal_name(number: int) -> str:
    """As in "SIGKILL"; "signal 34" where Python has no name for it."""
    return {int(each): each.name for each in signal.Signals}.get(number, "signal %d" % number)


def without_posix(what: str) -> str:
    """A sentence that `what` cannot run here, for the system lacks what a `Process` needs; "" where it can."""
    if hasattr(os, "killpg") and hasattr(select, "poll") and importlib.util.find_spec("fcntl"):
        return ""
    return (
        "%s needs Linux, macOS or another POSIX system, and this one (%s) has no process groups, poll and file locks; "
        "on Windows run it in WSL" % (what, sys.platform)
    )


class WorkerError(RuntimeError):
    """A call of a backend in another process failed, for another reason than a ValueError of the backend itself.

    It is no ValueError, so that a test that expects one is not content with a dead worker.
    """


class WorkerLostError(WorkerError):
    """The process itself died, hung, or answered nonsense: that says nothing of what its backend computes."""


class Process:
    """One running worker.

    command: what to start. title: how errors call it. Raises WorkerError when it cannot be started.
    """

    def __init__(self, command: Sequence[str], title: str, environment: dict[str, str]) -> None:
        lacking = without_posix("a process of %s" % title)
        if lacking:
            raise WorkerLostError(lacking)
        self._title = title
        self._words = b""
        self._asked = False
        self._owner = os.getpid()
        try:
            self._child = subprocess.Popen(
                list(command),
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                start_new_session=True,  # a group of its own, to be ended as one; and Ctrl-C is ours alone
            )
        except OSError as error:
            raise WorkerLostError("%s cannot be started: %s" % (title, error.strerror or error)) from None
        pipes: list[Any] = [self._child.stdin, self._child.stdout, self._child.stderr]
        self._in, self._out, self._err = pipes
        for pipe in pipes:
            os.set_blocking(pipe.fileno(), False)
            _widen(pipe.fileno())

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def ended(self) -> bool:
        """Whether there is nobody to ask: after `end`, after an error, and in a forked copy of the suite's process."""
        return self._in.closed or self._owner != os.getpid()

    def exchange(self, buffers: Sequence[Any], what: str, limit_s: float, advice: str) -> dict[str, Any]:
        """Write a request, and read the reply's fields. what: how errors call it; advice: on the time limit.

        Raises WorkerError, and any error or interruption ends the process: the stream is of no use any more.
        """
        deadline = time.monotonic() + limit_s
        try:
            if self._asked:
                self._check_idle(what)
            self._asked = True
            for buffer in buffers:
                self._transfer(self._in.write, memoryview(buffer), self._in, deadline)
            return wire.read(lambda buffer: self._transfer(self._out.readinto, buffer, self._out, deadline))
        except TimeoutError:
            reason = "did not finish %s within %g seconds and was killed%s" % (what, limit_s, advice)
            raise self.failure(reason) from None
        except (EOFError, BrokenPipeError):
            raise self.failure("%s in the middle of %s" % (self._fate(), what)) from None
        except wire.FrameError as error:
            raise self.failure("answered %s with nonsense and was killed: %s" % (what, error)) from None
        except BaseException:
            self.end(0)
            raise

    def failure(self, reason: str) -> WorkerLostError:
        """The error to raise, with the last words; the process is killed if it still runs."""
        self.end(0)
        words = self._words.decode("utf-8", "replace").strip()
        return WorkerLostError(
            "%s %s; %s"
            % (self._title, reason, "its last words:\n" + words if words else "it wrote nothing to standard error")
        )

    def end(self, wait_s: float = END_S) -> None:
        """End the process and all that it started, if need be by SIGKILL after wait_s seconds.

        In a forked copy of the suite's process, only let go of it.
        """
        for stream in (self._in, self._out):
            with contextlib.suppress(OSError):
                stream.close()
        if self._owner == os.getpid() and not self._err.closed:
            self._wait(wait_s)
            self._kill()
            self._hear()
        self._err.close()

    def _check_idle(self, what: str) -> None:
        """Between two calls a worker neither ends nor speaks."""
        poll = select.poll()
        poll.register(self._out, select.POLLIN)
        if poll.poll(0):
            if not self._out.read(1):
                raise self.failure("%s between two calls, before %s" % (self._fate(), what))
            raise self.failure("wrote to the pipe between two calls, before %s, and was killed" % what)

    def _transfer(self, move: Any, buffer: memoryview, stream: Any, deadline: float) -> None:
        """All of the buffer through a pipe, by FileIO.write or FileIO.readinto."""
        while len(buffer):
            count = move(buffer)
            if count is None:
                self._until_ready(stream, deadline)
            elif count == 0:
                raise EOFError
            else:
                buffer = buffer[count:]

    def _until_ready(self, stream: Any, deadline: float) -> None:
        """Wait for a pipe, taking in standard error meanwhile: a worker must not block on its words."""
        poll = select.poll()
        poll.register(stream, select.POLLOUT if stream is self._in else select.POLLIN)
        poll.register(self._err, select.POLLIN)
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            ready = {number for number, _ in poll.poll(math.ceil(min(left, 3600) * 1000))}
            if self._err.fileno() in ready and not self._hear():
                poll.unregister(self._err)
            if stream.fileno() in ready:
                return

    def _hear(self) -> bool:
        """Take in what stands in standard error; False once it is closed."""
        while True:
            said = self._err.read(2**16)
            if not said:
                return said is None
            self._words = (self._words + said)[-LAST_WORDS:]
            if len(said) < 2**16:
                return True

    def _wait(self, seconds: float) -> None:
        """Wait for the process to end by itself, taking in its words."""
        deadline = time.monotonic() + seconds
        while self._child.poll() is None and time.monotonic() < deadline:
            self._hear()
            time.sleep(0.002)

    def _fate(self) -> str:
        """How a process that closed its pipe ended."""
        self._wait(FATE_S)
        status = self._child.returncode
        if status is None:
            return "closed its pipe without ending"
        if status < 0:
            return "was killed by %s" % signal_name(-status)
        return "ended with status %d" % status

    def _kill(self) -> None:
        """SIGKILL to the whole group, which outlives its leader as long as any member does; then reap the leader."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()


def _widen(pipe: int) -> None:
    """A larger buffer, where the system has one to give."""
    if sys.platform == "linux":
        import fcntl

        with contextlib.suppress(OSError):
            fcntl.fcntl(pipe, F_SETPIPE_SZ, PIPE_BYTES)
