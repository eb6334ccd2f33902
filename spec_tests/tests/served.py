"""A backend that misbehaves on demand, for the tests of workers. Python 3.7 syntax.

`two_step` gives back its arguments. `forward(name, ...)` does what its name says, in the worker.
"""

from __future__ import annotations

import fcntl
import os
import signal
import stat
import subprocess
import sys
import time
from types import MappingProxyType
from typing import Any, Mapping

import numpy as np


class RefusedError(ValueError):
    """A backend's own kind of ValueError."""


class Served:
    name = "served"
    contract = 2
    capabilities = frozenset(["two_step", "classifier", "float32"])
    expected_failures: Mapping[str, str] = MappingProxyType({"test_of_this": "a reason"})

    def describe(self) -> dict[str, str]:
        return {"framework": "none", "numpy": np.__version__, "python": "%d.%d" % sys.version_info[:2]}

    def two_step(self, *args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    def predict(self, *args: Any) -> None:
        raise RefusedError("k: found 0, expected at least 1")

    def loss(self, array: np.ndarray) -> float:
        return float(array.sum())

    def loss_gradients(self, count: int) -> np.ndarray:
        return np.ones(count, np.uint8)

    def forward(self, name: str, *args: Any) -> Any:
        return getattr(self, "do_" + name)(*args)

    def do_kill(self, number: int) -> None:
        print("about to go", flush=True)
        os.kill(os.getpid(), number)

    def do_exit(self, status: int) -> None:
        sys.exit(status)

    def do_raise(self) -> None:
        {"a": 1}["b"]

    def do_return_unknown(self) -> Any:
        return [object()]

    def do_print(self) -> None:
        print("printed by Python")
        os.write(1, b"written to descriptor 1\n")
        subprocess.check_call([sys.executable, "-S", "-c", "print('printed by a child')"])

    def do_flood(self, size: int) -> None:
        os.write(2, b"first words\n")
        for _ in range(size // 2**16):
            os.write(2, b"x" * 2**16)
        os.write(2, b"\nlast words\n")

    def do_read_standard_input(self) -> str:
        return sys.stdin.read()

    def do_hang(self) -> None:
        """With a child that hangs too, and its process id said."""
        child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"])
        print("child %d" % child.pid, flush=True)
        time.sleep(60)

    def do_write(self, stream: np.ndarray) -> None:
        """Bytes onto the pipe of the replies, before the reply itself."""
        for pipe in _pipes():
            os.write(pipe, stream.tobytes())


def _pipes() -> list[int]:
    """The private descriptors that replies go to: pipes to write to, above standard error."""
    found = []
    for number in range(3, 64):
        try:
            writes = fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY
        except OSError:
            continue
        if writes and stat.S_ISFIFO(os.fstat(number).st_mode):
            found.append(number)
    return found


def backend() -> Served:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    return Served()
