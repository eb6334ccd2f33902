"""What tests ask about processes, and pytest run in another project's folder."""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spec_tests.backends.process import WorkerError

ROOT = Path(__file__).resolve().parents[2]
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


def run(folder, *arguments, path=(), command=("-m", "pytest"), **environment):
    """pytest in that folder, with the project on the path as an installation would have it; its exit status, output."""
    search = os.pathsep.join([str(ROOT), *map(str, path)])
    environment = {**os.environ, "PYTHONPATH": search, "COLUMNS": "200", **environment}
    environment.pop("PYTEST_ADDOPTS", None)
    options = ["-p", "unrolled.pytest_plugin", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(
        [sys.executable, *command, *options], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    return done.returncode, done.stdout + done.stderr
