"""Backends in worker processes of their own, as the study sees them: facts, tasks, threads."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from typing import Any, Iterator, NamedTuple, Sequence

from spec_tests.backends import loading, remote
from spec_tests.backends.process import WorkerError
from spec_tests.study.pieces import JUDGE
from spec_tests.study.store import Found

__all__ = ["Host", "Worker", "WorkerError", "open_worker", "survey", "threads_of"]

# What the numerical libraries read when they are loaded; TensorFlow takes the CPUs that the process may use.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
TASKS = "spec_tests.study.work"  # the module whose tasks a worker does


class Host(NamedTuple):
    """A backend of the study: its label, its name as given ("torch_impl", "tf_reference@/usr/bin/python3.7"), its
    device, what it declares, what it says of itself, and the facts that its numbers depend on."""

    label: str
    name: str
    device: str
    capabilities: tuple[str, ...]
    described: dict[str, str]
    facts: dict[str, Any]


class Worker(remote.RemoteBackend):
    """A backend in a process of its own, which also does the study's tasks. start_s: seconds until it was loaded."""

    def __init__(self, name: str, device: str, limit_s: float) -> None:
        served, _, python = name.partition("@")
        package = loading.SHIPPED[served].path.partition(".")[0] if served in loading.SHIPPED else None
        started = time.perf_counter()
        super().__init__(served, python or sys.executable, device, package, limit_s)
        self.start_s = time.perf_counter() - started
        self.label = ""  # of the host whose backend it is
        if not python:
            self.name = self.name.rpartition("@")[0]

    def environment(self) -> dict[str, str]:
        """In the interpreter of the study itself, also its own PYTHONPATH."""
        given = super().environment()
        if self.python == sys.executable and "PYTHONPATH" in os.environ:
            given["PYTHONPATH"] = os.environ["PYTHONPATH"]
        if self.served == JUDGE:
            # NumPy's products of small matrices take ten times as long on two threads of a busy machine.
            given["OPENBLAS_NUM_THREADS"] = "1"
        return given

    def kill(self) -> None:
        """From another thread: whoever waits for an answer gets a WorkerError."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def do(self, task: str, **arguments: Any) -> Found:
        """A task of `work`. Raises WorkerError, also for a ValueError of the backend: a piece has no right to fail."""
        try:
            answer = self.ask("task", (TASKS, task, arguments), {})
        except ValueError as error:
            raise WorkerError("%s: %s: %s" % (self.name, task, error)) from error
        return Found(answer["values"], answer["arrays"])


def open_worker(name: str, device: str, limit_s: float) -> Worker:
    """Raises WorkerError when it cannot be had."""
    return Worker(name, device, limit_s)


@contextlib.contextmanager
def on_cpus(cpus: Sequence[int] | None) -> Iterator[None]:
    """Within, this thread and the processes that it starts keep to these CPUs (Linux; elsewhere nothing happens)."""
    if cpus is None or not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def shares(jobs: int) -> list[list[int]]:
    """The CPUs of this process, divided among `jobs` jobs; with more jobs than CPUs they are shared in turn."""
    cpus = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
    size = max(1, len(cpus) // jobs)
    return [[cpus[(job * size + i) % len(cpus)] for i in range(size)] for job in range(jobs)]


@contextlib.contextmanager
def threads_of(count: int) -> Iterator[None]:
    """Within, processes are started with that many threads, unless the user has set another number."""
    added = [name for name in THREAD_VARIABLES if name not in os.environ]
    os.environ.update({name: str(count) for name in added})
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def _names(given: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The backends to study, and the defaults left out with the reason."""
    names, _ = loading.asked_for(given)
    if names:
        loading.check_names(names)
        return names, {}
    defaults = [name for name in loading.SHIPPED if loading.SHIPPED[name].default]
    left_out = {name: loading.missing(name) for name in defaults if loading.missing(name)}
    return [name for name in defaults if name not in left_out], left_out


def survey(given: Sequence[str], device: str, limit_s: float) -> tuple[list[Host], dict[str, str]]:
    """Open each backend once, and ask what it is. No name given: the defaults that are installed.

    Returns the hosts, and the reason of each default that was left out. Raises BackendError for a backend that was
    asked for and cannot be had, when none is left, or when two cannot be told apart.
    """
    names, left_out = _names(given)
    hosts = []
    known: dict[str, Host] = {}
    for name in names:
        try:
            known[name] = known.get(name) or ask(name, device, limit_s)
            hosts.append(known[name])
        except (WorkerError, loading.BackendError) as error:
            if name not in loading.SHIPPED or given or device == "cpu":
                raise loading.BackendError("backend %r cannot be studied: %s" % (name, error)) from error
            left_out[name] = str(error)
    if not hosts:
        reasons = "".join("; %s: %s" % pair for pair in left_out.items())
        raise loading.BackendError("no backend to study%s: name one with --backend" % reasons)
    return _told_apart(hosts), left_out


def _told_apart(hosts: Sequence[Host]) -> list[Host]:
    """Labels that are unique: where two backends call themselves the same, their names as given; and where one is given
    twice, a control of what the study calls a difference, its copies numbered."""
    names = {label: {host.name for host in hosts if host.label == label} for label in (host.label for host in hosts)}
    found: list[Host] = []
    for host in hosts:
        copies = sum(each.name == host.name for each in found)
        label = host.label if len(names[host.label]) == 1 else host.name
        found.append(host._replace(label="%s, copy %d" % (label, copies + 1) if copies else label))
    return found


def ask(name: str, device: str, limit_s: float) -> Host:
    """What a backend is, from a worker of its own."""
    worker = open_worker(name, device, limit_s)
    try:
        described = worker.describe()
        described.pop("worker", None)
        facts = worker.do("facts").values
        facts.pop("seconds")
        facts.update(described=described, name=name, device=device)
        return Host(worker.name, name, device, tuple(sorted(worker.capabilities)), described, facts)
    finally:
        worker.close()
