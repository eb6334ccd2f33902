"""Damaged checkpoints, TensorFlow 1 checkpoints, configurations and data files, each given to what reads it.

    python -m torch_impl.tests.fuzzing 1000 [--processes N] [KIND...]

prints by kind how many of so many files were used and how many refused; --processes sends every N-th of them through
a `python -m torch_impl` of its own as well. A case is right when the command ends with status 0, or with a status of
its own and one sentence; a traceback, more than LIMIT_S seconds or LIMIT_MIB, or code that ran, is a failure.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
from click.testing import CliRunner

from torch_impl.__main__ import make_group
from torch_impl.tests.fuzz_kinds import CHECKS, KINDS, Base, make_base
from torch_impl.tests.mutations import Random

__all__ = ["Failure", "fuzz"]

LIMIT_S = 10  # of computing
STOP_S = 60  # on a busy machine
LIMIT_MIB = 1500  # beside what the process held before: a warm PyTorch and its libraries are most of it


class Failure(NamedTuple):
    """A case that was neither used nor refused in a sentence: make it again with its kind and seed."""

    kind: str
    seed: int
    command: str
    what: str


class _TooLong(BaseException):
    pass


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    def stop(number: int, frame: Any) -> None:
        raise _TooLong

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, STOP_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def fuzz(kind: str, seeds: range, folder: Path, base: Base, processes: int = 0) -> tuple[Counter[str], list[Failure]]:
    """The cases of a kind by seed: (how many were "used" and "refused", the failures)."""
    make: Callable[..., list[str]] = KINDS[kind]
    counts: Counter[str] = Counter()
    failures: list[Failure] = []
    for seed in seeds:
        place = folder / f"{kind}-{seed}"
        place.mkdir()
        words = make(base, place, _random(kind, seed))
        start = time.process_time()
        outcome, what = _in_process(words, place)
        spent = int(1000 * (time.process_time() - start))
        counts["ms of computing at most"] = max(counts["ms of computing at most"], spent)
        if outcome == "used" and kind in CHECKS:
            wrong = CHECKS[kind](base, place, what)
            outcome, what = ("failed", wrong) if wrong else (outcome, what)
        endless = outcome == "used" and words[0] == "train"
        if outcome != "failed" and processes and seed % processes == 0 and not endless:
            shutil.rmtree(place)
            place.mkdir()
            again, errors = _own_process(make(base, place, _random(kind, seed)), place)
            counts["in a process of its own"] += 1
            if again != outcome:
                outcome, what = "failed", f"{outcome} here ({what}), {again} in a process of its own ({errors})"
        counts[outcome] += 1
        if outcome == "failed":
            failures.append(Failure(kind, seed, " ".join(words), what))
        shutil.rmtree(place)
    return counts, failures


def _random(kind: str, seed: int) -> Random:
    return np.random.default_rng([seed, *kind.encode()])


def _in_process(words: list[str], place: Path) -> tuple[str, str]:
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    try:
        with _limited(), _inside(place):
            result = CliRunner().invoke(make_group(), words)
    except _TooLong:
        return "failed", f"ran for more than {STOP_S} s"
    spent = time.process_time() - start
    if spent > LIMIT_S:
        return "failed", f"computed for {spent:.1f} s"
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    if grown > LIMIT_MIB:
        return "failed", f"took {grown:.0f} MiB"
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return "failed", "".join(traceback.format_exception(*(result.exc_info or (None, None, None))))
    outcome, what = _judged(result.exit_code, result.stderr, place)
    return outcome, result.output if outcome == "used" else what


def _own_process(words: list[str], place: Path) -> tuple[str, str]:
    command = [sys.executable, "-m", "torch_impl", *words]
    try:
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=2 * STOP_S)
    except subprocess.TimeoutExpired:
        return "failed", "ran for too long in a process of its own"
    return _judged(done.returncode, done.stderr, place)


def _judged(status: int, errors: str, place: Path) -> tuple[str, str]:
    if any(place.rglob("trapped")):
        return "failed", "code from the file ran"
    if "Traceback" in errors or "Warning" in errors:
        return "failed", errors
    if status == 0:
        return "used", ""
    _, found, sentence = errors.partition("Error: ")
    if status not in (1, 2) or not found or sentence.strip().count("\n"):
        return "failed", f"status {status}: {errors}"
    return "refused", sentence


def main() -> None:
    count = int(sys.argv[1])
    processes = int(sys.argv[3]) if sys.argv[2:3] == ["--processes"] else 0
    kinds = [word for word in sys.argv[2:] if word in KINDS] or list(KINDS)
    failed = False
    with tempfile.TemporaryDirectory() as name:
        base = make_base(Path(name) / "base")
        for kind in kinds:
            with without_training():
                counts, failures = fuzz(kind, range(count // len(kinds)), Path(name), base, processes)
            print(
                f"{kind}: {', '.join(f'{number} {outcome}' for outcome, number in sorted(counts.items()))}", flush=True
            )
            for failure in failures:
                failed = True
                print(f"  {failure.kind} {failure.seed}: {failure.command}\n{failure.what}")
    sys.exit(failed)


@contextlib.contextmanager
def without_training() -> Iterator[None]:
    """Training commands do all but train: the options of a file may rightly ask for what takes for ever."""
    from unrolled.command_line.loop import Loop
    from unrolled.datasets.batches import BatchStream

    def restored(self: Loop) -> None:
        BatchStream.from_state(self.place.stream)

    with mock.patch.object(Loop, "_train_all", restored):
        yield


if __name__ == "__main__":
    main()
