"""Running pieces: several at a time on this machine, or on a Ray cluster. One that fails does not stop the others."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections import defaultdict
from typing import Any, Callable, Iterator, Mapping, NamedTuple, Protocol, Sequence

from spec_tests.study.pieces import Piece
from spec_tests.study.store import Found
from spec_tests.study.workers import Host, Worker, WorkerError, ask, on_cpus, open_worker, shares, threads_of

REASON = 1000  # characters kept of why a piece failed


class Finished(NamedTuple):
    """A piece that is done: what it gave, or the reason why it failed."""

    piece: Piece
    found: Found | None
    reason: str = ""


class Executor(Protocol):
    """Runs pieces in any order, and yields each as it finishes. started is called with a piece when it begins."""

    def run(
        self, pieces: Sequence[Piece], hosts: Mapping[str, Host], started: Callable[[Piece], Any]
    ) -> Iterator[Finished]: ...


def reason_of(error: BaseException) -> str:
    """In one line, not too long."""
    return " ".join(str(error).split())[:REASON]


class LocalExecutor:
    """`jobs` pieces at a time, each job with its share of the CPUs and one worker, which it keeps while pieces of the
    same backend are left. limit_s: seconds for a piece."""

    def __init__(self, jobs: int, limit_s: float) -> None:
        self.jobs, self._limit_s = jobs, limit_s
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._waiting: dict[str, list[Piece]] = {}
        self._workers: dict[int, Worker] = {}

    def run(
        self, pieces: Sequence[Piece], hosts: Mapping[str, Host], started: Callable[[Piece], Any]
    ) -> Iterator[Finished]:
        """Ending the iteration early ends the pieces that are running."""
        waiting: dict[str, list[Piece]] = defaultdict(list)
        for piece in sorted(pieces, key=lambda piece: piece.weight):
            waiting[piece.backend].append(piece)
        self._waiting = dict(waiting)
        self._stopping.clear()
        done: queue.Queue[Finished | BaseException] = queue.Queue()
        jobs = shares(self.jobs)
        threads = [
            threading.Thread(target=self._work, args=(job, cpus, hosts, started, done), daemon=True)
            for job, cpus in enumerate(jobs)
        ]
        try:
            with threads_of(len(jobs[0])):
                for thread in threads:
                    thread.start()
                for _ in pieces:
                    finished = done.get()
                    if isinstance(finished, BaseException):
                        raise finished
                    yield finished
        finally:
            self._stopping.set()
            for worker in list(self._workers.values()):
                with contextlib.suppress(Exception):
                    worker.kill()
            for thread in threads:
                thread.join()

    def _work(
        self, job: int, cpus: list[int], hosts: Mapping[str, Host], started: Callable[[Piece], Any], done: Any
    ) -> None:
        """One job's thread. Processes that it starts keep to its CPUs."""
        try:
            with on_cpus(cpus):
                while not self._stopping.is_set():
                    piece = self._next(job)
                    if piece is None:
                        return
                    started(piece)
                    done.put(self._one(job, piece, hosts[piece.backend]))
        except BaseException as error:
            done.put(error)
        finally:
            worker = self._workers.pop(job, None)
            if worker is not None:
                worker.close()

    def _next(self, job: int) -> Piece | None:
        """The longest waiting piece of the backend whose worker this job has; else of the one with most work left."""
        worker = self._workers.get(job)
        with self._lock:
            mine = worker.label if worker else ""
            left = {label: sum(piece.weight for piece in pieces) for label, pieces in self._waiting.items() if pieces}
            if not left:
                return None
            label = mine if mine in left else max(left, key=lambda each: left[each])
            return self._waiting[label].pop()

    def _one(self, job: int, piece: Piece, host: Host) -> Finished:
        try:
            return Finished(piece, self._worker(job, host).do(piece.task, **piece.asked()))
        except WorkerError as error:
            return Finished(piece, None, reason_of(error))

    def _worker(self, job: int, host: Host) -> Worker:
        worker = self._workers.get(job)
        if worker is None or worker.label != host.label:
            if worker is not None:
                self._workers.pop(job).close()
            worker = open_worker(host.name, host.device, self._limit_s)
            worker.label = host.label
            self._workers[job] = worker
            if self._stopping.is_set():
                raise WorkerError("the study was stopped")
        return worker


class RayExecutor:
    """Each piece is a task of a Ray cluster: the one that RAY_ADDRESS names, or one started on this machine.

    Unrolled, Ray and the backends must be installed on every node, as they are here: a node where a backend is another
    one fails its pieces. threads: CPUs that a task takes.
    """

    def __init__(self, threads: int, limit_s: float) -> None:
        self._threads, self._limit_s = threads, limit_s

    def run(
        self, pieces: Sequence[Piece], hosts: Mapping[str, Host], started: Callable[[Piece], Any]
    ) -> Iterator[Finished]:
        import ray

        own = not ray.is_initialized()
        if own:
            ray.init(log_to_driver=False, include_dashboard=False, logging_level=logging.ERROR)
        try:
            remote = ray.remote(num_cpus=self._threads, max_retries=3)(run_on_node)
            asked = {}
            for piece in sorted(pieces, key=lambda piece: -piece.weight):
                host = hosts[piece.backend]
                asked[remote.remote(piece.task, piece.asked(), host, self._threads, self._limit_s)] = piece
                started(piece)
            waiting = list(asked)
            while waiting:
                ready, waiting = ray.wait(waiting, num_returns=1)
                yield self._finished(ray, asked[ready[0]], ready[0])
        finally:
            if own:
                ray.shutdown()

    @staticmethod
    def _finished(ray: Any, piece: Piece, reference: Any) -> Finished:
        try:
            found, reason = ray.get(reference)
        except ray.exceptions.RayError as error:
            return Finished(piece, None, reason_of(error))
        return Finished(piece, Found(*found) if found else None, reason)


def run_on_node(
    task: str, arguments: dict[str, Any], host: Host, threads: int, limit_s: float
) -> tuple[tuple[Any, Any] | None, str]:
    """A piece in a fresh worker on this node: (values and arrays, "") or (None, the reason of its failure)."""
    with threads_of(threads):
        try:
            here = ask(host.name, host.device, limit_s)
            other = [name for name in _SAME if _fact(here, name) != _fact(host, name)]
            if other:
                differ = ("%s %s, expected %s" % (name, _fact(here, name), _fact(host, name)) for name in other)
                return None, "this node has another backend: " + "; ".join(differ)
            worker = open_worker(host.name, host.device, limit_s)
            try:
                return tuple(worker.do(task, **arguments)), ""  # type: ignore[return-value]
            finally:
                worker.close()
        except WorkerError as error:
            return None, reason_of(error)


_SAME = ("sources", "framework", "version", "python", "device")


def _fact(host: Host, name: str) -> Any:
    return host.facts.get(name) if name in host.facts else host.described.get(name)
