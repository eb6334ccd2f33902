"""A backend under another Python, as an object of the contract: `NAME@PYTHON`.

Every contract method becomes a message to a worker process (see `worker` and PROTOCOL.md). A call that goes wrong costs
that call alone: the next one gets a fresh worker, which loses nothing, since no call depends on an earlier one. One
that has cost too much time in this way is not asked any more, so that a run ends.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import os
import shutil
import threading
import time
import weakref
from pathlib import Path
from typing import Any

from spec_tests.backends import wire
from spec_tests.backends.answers import EXPECTED
from spec_tests.backends.process import Process, WorkerError, WorkerLostError
from spec_tests.contract import Backend

__all__ = ["CALL_LIMIT", "RemoteBackend", "WorkerError", "call_limit"]

START_S = 120.0  # to import a framework, on a slow disk
CALL_S = 900.0
CALL_LIMIT = "UNROLLED_WORKER_SECONDS"  # environment variable: seconds for one call
MOST_LOSSES = 4  # calls as long as the limit that may be lost to hangs and crashes, before nothing is asked any more
# What a worker may import from this side, beside the backend's own package.
SHARED = ("spec_tests", "unrolled")
# Not handed on: they name files of this Python, not of that one.
OF_THIS_PYTHON = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONPLATLIBDIR", "__PYVENV_LAUNCHER__")

BOOT = (
    "import sys\n"
    "if sys.version_info < (3, 7): sys.exit('Python 3.7 or later is needed, this is %s' % sys.version.split()[0])\n"
    "import runpy\n"
    "sys.argv = sys.argv[1:]\n"
    "runpy.run_path(sys.argv[0], run_name='__main__')\n"
)


class RemoteBackend:
    """The backend `name` (shipped, or "package.module:factory") on a device, served by the interpreter `python`.

    package: the backend's own, where it is one of this project's.
    limit_s: seconds for one call; by default what the environment says, or 900. Its own name is like "oracle@py3.7".
    Raises WorkerError when it cannot be had.
    """

    def __init__(
        self,
        name: str,
        python: str,
        device: str,
        package: str | None = None,
        limit_s: float | None = None,
    ) -> None:
        self.served, self.python = name, python
        self.asked = "%s@%s" % (name, python)
        self.name = self.asked  # until the worker says what it serves
        self._device = device
        self._limit_s = call_limit() if limit_s is None else limit_s
        self._command = _command(python, package)
        self._lock = threading.Lock()
        self._number = 0
        self._lost_s = 0.0
        self._finalizer: Any = None
        self._process, facts = self._start()
        try:
            self.name = "%s@py%d.%d" % (facts["name"], *facts["python"][:2])
            self.contract = facts["contract"]
            self.capabilities = frozenset(facts["capabilities"])
            self.expected_failures: dict[str, str] = dict(facts["expected_failures"])
            self.differences: dict[str, str] = dict(facts.get("differences", {}))
            self._described = dict(facts["describe"], worker=python)
            self._offered = frozenset(facts["methods"]) & frozenset(EXPECTED)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            self._process.end()
            raise WorkerError("the worker %s does not say what it serves: %r in its answer" % (python, error)) from None

    def __repr__(self) -> str:
        return "RemoteBackend(%r, %r)" % (self.served, self.python)

    def describe(self) -> dict[str, str]:
        """The backend's own facts, and the interpreter that serves it."""
        return dict(self._described)

    @property
    def pid(self) -> int:
        """Process id of the worker of now."""
        return self._process.pid

    def environment(self) -> dict[str, str]:
        """The environment of the worker's process."""
        return {key: value for key, value in os.environ.items() if key not in OF_THIS_PYTHON}

    def close(self) -> None:
        """End the worker. A later call starts another."""
        self._process.end()

    def __getattr__(self, method: str) -> Any:
        if method not in self.__dict__.get("_offered", ()):
            raise AttributeError("%r offers no %s" % (self, method))

        def call(*args: Any, **kwargs: Any) -> Any:
            if self._lost_s >= MOST_LOSSES * self._limit_s:
                lost = "calls that hung or crashed have cost %.0f seconds" % self._lost_s
                raise WorkerLostError("%s is not asked any more: %s" % (self.name, lost))
            started = time.monotonic()
            try:
                return self.ask(method, args, kwargs)
            except WorkerLostError:
                self._lost_s += time.monotonic() - started
                raise

        call.__name__ = method
        return call

    def ask(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What the worker answers to a request. Raises its ValueError as such, and WorkerError for everything else."""
        with self._lock:
            if self._process.ended:
                self._process, _ = self._start()
            try:
                buffers = self._packed(method, list(args), kwargs)
            except wire.UnsupportedValue:
                _name_unsupported(method, args, kwargs)
                raise
            return self._exchange(self._process, buffers, method, self._limit_s)

    def _packed(self, method: str, args: list[Any], kwargs: dict[str, Any]) -> list[Any]:
        self._number += 1
        return wire.pack(self._number, {"method": method, "args": args, "kwargs": kwargs})

    def _start(self) -> tuple[Process, Any]:
        """A fresh worker with the backend loaded, and what it says of that."""
        process = Process(self._command, "the worker %s@%s" % (self.served, self.python), self.environment())
        if self._finalizer is not None:
            self._finalizer.detach()
        self._finalizer = weakref.finalize(self, process.end)  # also when this interpreter exits
        buffers = self._packed("open", [self.served, self._device, list(EXPECTED)], {})
        try:
            return process, self._exchange(process, buffers, "loading the backend", min(START_S, self._limit_s))
        except ValueError as error:
            raise process.failure("cannot load the backend: %s" % error) from None

    def _exchange(self, process: Process, buffers: list[Any], what: str, limit_s: float) -> Any:
        """The result of a request that is packed."""
        advice = " (%s sets the limit)" % CALL_LIMIT
        reply = process.exchange(buffers, what, limit_s, advice)
        if reply["id"] != self._number:
            raise process.failure("answered %s with message %d, expected %d" % (what, reply["id"], self._number))
        if set(reply) == {"id", "result"}:
            return reply["result"]
        error: Any = reply.get("error")
        if set(reply) != {"id", "error"} or not _is_error(error):
            raise process.failure("answered %s with the fields %s" % (what, ", ".join(sorted(reply))))
        trace = "\n\nIn the worker %s:\n%s" % (self.python, error["trace"].rstrip()) if error["trace"] else ""
        if error["kind"] == "ValueError":
            raise ValueError(error["message"]) from WorkerError("raised in the worker" + trace)
        if error["kind"] == "AssertionError":  # a test's own kind, in this process too
            raise AssertionError("%s: %s" % (self.name, error["message"])) from WorkerError(
                "raised in the worker" + trace
            )
        raise WorkerError("%s: %s raised %s: %s%s" % (self.name, what, error["kind"], error["message"], trace))


def _is_error(error: Any) -> bool:
    keys = ("kind", "message", "trace")
    return isinstance(error, dict) and all(isinstance(error.get(key), str) for key in keys)


def _name_unsupported(method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Raise UnsupportedValue under the contract's name of the argument."""
    names = list(inspect.signature(getattr(Backend, method)).parameters)[1:]
    for name, value in [*zip(names, args), *kwargs.items()]:
        wire.encode(value, name, [])


def call_limit() -> float:
    """Seconds for one call, or for one test of a backend in this Python: what the environment says, or 900."""
    given = os.environ.get(CALL_LIMIT, "")
    try:
        seconds = float(given or CALL_S)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise WorkerError("%s is %r, expected a positive number of seconds" % (CALL_LIMIT, given))
    return seconds


def _command(python: str, package: str | None) -> list[str]:
    """How to start the worker there. Only the packages named are handed over, never a whole site-packages: that would
    put this Python's NumPy in the way of that one's."""
    found = shutil.which(Path(python).expanduser())
    if found is None:
        raise WorkerError("there is no program %r: expected a Python interpreter, by path or by name" % python)
    folders = {name: _folder(name) for name in dict.fromkeys([*SHARED, *([package] if package else [])])}
    worker = Path(folders["spec_tests"], "backends", "worker.py")
    return [str(Path(found).absolute()), "-u", "-c", BOOT, str(worker), json.dumps(folders)]


def _folder(package: str) -> str:
    spec = importlib.util.find_spec(package)
    places = list(spec.submodule_search_locations or ()) if spec else []
    if not places:
        raise WorkerError("the package %s is not installed beside spec_tests; reinstall unrolled" % package)
    return str(Path(places[0]).absolute())
