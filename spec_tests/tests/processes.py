"""What the tests of workers ask about processes."""

import contextlib
import os
import sys
import time
from pathlib import Path

import pytest

from spec_tests.process import WorkerError

SERVED = "spec_tests.tests.served:backend@"
HERE = SERVED + sys.executable


def alive(pid):
    """Whether a process runs, or is a zombie of ours; the system's init may take its time with an orphan."""
    stat = Path("/proc/%d/stat" % pid)
    with contextlib.suppress(OSError):
        os.kill(pid, 0)
        state, parent = stat.read_text("utf-8").rpartition(")")[2].split()[:2] if stat.exists() else ("R", "0")
        return state not in "ZX" or int(parent) == os.getpid()
    return False


def gone(pid, seconds=10.0):
    deadline = time.monotonic() + seconds
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not alive(pid)


def fails_once(backend, said, *call, limit_s=60.0):
    """The call fails with that sentence, and the next is answered by another worker. Returns the message."""
    pid, backend._limit_s = backend.pid, limit_s
    with pytest.raises(WorkerError, match=said) as caught:
        backend.forward(*call)
    assert gone(pid), "the worker is still there"
    backend._limit_s = 60.0
    assert backend.two_step(1) == ((1,), {})
    assert backend.pid != pid
    return str(caught.value)
