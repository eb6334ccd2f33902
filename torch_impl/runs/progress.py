"""How far a run has come, kept in a checkpoint so that going on from it gives the same bits as never having stopped.

Beside what every run's checkpoint holds (see `torch_impl.runs`) that of `train` has in its state

    options    the command line's options by parameter name
    run        the fields of `Progress` that are plain values; "seeds", one for each training; "data_sha256" of the
               training set; "finished"

and among its tensors "losses/partial" and, where the task takes note of every loss, "losses/seen/0", ... in float64.
The batch stream's state is all the random state there is: what a dropout draws hangs on the seed and the step alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from torch_impl.checkpoints.errors import CheckpointError
from torch_impl.checkpoints.run_files import Checkpoint
from torch_impl.runs.saved import planned_step
from unrolled.command_line.loop import Place
from unrolled.models import from_plain

__all__ = ["Progress", "data_digest", "restored_progress", "saved_run", "saved_tensors"]


_AT_ONCE = 1 << 20  # values that are copied to be summed


@dataclass
class Progress(Place):
    """The place in the task's plan (see `Place`), and what was found on the way there.

    rounds: for each training begun, the figures of its rounds. seen: for each training begun, the losses of all its
    steps, empty where the task does not ask for them. best: score and round of this training's best round, counted from
    1; None before there is one. overall: the best score of all trainings. seconds: spent so far, by all processes that
    had a part in the run.
    """

    rounds: list[list[dict[str, Any]]] = field(default_factory=lambda: [[]])
    seen: list[np.ndarray] = field(default_factory=lambda: [np.empty(0)])
    best: tuple[float, int] | None = None
    overall: float | None = None
    seconds: float = 0.0

    def begin_next(self) -> None:
        super().begin_next()
        self.best = None
        self.rounds.append([])
        self.seen.append(np.empty(0))

    def validated(self, score: float, least: float = 0.0) -> bool:
        """Take note of the score, higher is better, of the round that is not yet among `rounds`; whether it is better
        than all before by more than `least`."""
        if self.best is None or score > self.best[0] + least:
            self.best = (score, len(self.rounds[-1]) + 1)
        if self.overall is not None and score <= self.overall + least:
            return False
        self.overall = score
        return True


def saved_run(progress: Progress, task: Any, data_sha256: str, finished: bool) -> dict[str, Any]:
    """The state's part "run"."""
    return {
        "training": progress.training,
        "step": progress.step,
        "seeds": list(task.seeds),
        "iterations": task.iterations,
        "per_round": task.per_round,
        "rounds": [list(part) for part in progress.rounds],
        "stream": progress.stream,
        "best": progress.best,
        "overall": progress.overall,
        "seconds": round(progress.seconds, 3),
        "data_sha256": data_sha256,
        "finished": finished,
    }


def saved_tensors(progress: Progress) -> dict[str, np.ndarray]:
    """The losses."""
    tensors = {f"losses/seen/{i}": losses for i, losses in enumerate(progress.seen) if len(losses)}
    return {**tensors, "losses/partial": progress.partial}


def restored_progress(checkpoint: Checkpoint, task: Any, data_sha256: str, where: str) -> Progress:
    """What was saved, for a task made ready from the same options; where: the checkpoint's name, for messages.

    Raises CheckpointError for one of another program, model or data, or whose numbers do not hold together.
    """
    state = checkpoint.state
    run = state.get("run")
    if not isinstance(run, dict):
        raise CheckpointError(f"{where}: was not written by `train`, so there is nothing to resume")
    if state.get("program") != task.program:
        raise CheckpointError(f"{where}: holds a training of {state.get('program')!r}, expected {task.program!r}")
    try:
        model = from_plain(state.get("model"))
    except ValueError as error:
        raise CheckpointError(f"{where}: {error}; use another checkpoint") from None
    if model != task.model:
        raise CheckpointError(
            f"{where}: holds the model {model}, but the data ask for {task.model}; resume with the data that it was "
            "trained on"
        )
    if run.get("data_sha256") != data_sha256:
        raise CheckpointError(
            f"{where}: was trained on other data than are there now (their SHA-256 differs); put the old data back"
        )
    try:
        progress = _read(run, planned_step(state), checkpoint.tensors, task)
    except (ArithmeticError, KeyError, TypeError, ValueError, IndexError) as error:
        raise CheckpointError(
            f"{where}: its account of the training does not hold together ({error!r:.120}); use another checkpoint"
        ) from None
    _check_plan(run, progress, task, where)
    return progress


def _read(run: Mapping[str, Any], step: Any, tensors: Mapping[str, np.ndarray], task: Any) -> Progress:
    training = _count(run["training"])
    rounds = run["rounds"]
    if len(rounds) != training + 1 or not all(isinstance(figures, dict) for part in rounds for figures in part):
        raise ValueError("rounds")
    if not isinstance(run["seeds"], list):
        raise TypeError("seeds")
    _count(run["iterations"])
    seen = [_floats(tensors.get(f"losses/seen/{i}", np.empty(0))) for i in range(training + 1)]
    partial = _floats(tensors["losses/partial"])
    best = run["best"] if run["best"] is None else (float(run["best"][0]), _count(run["best"][1]))
    overall = run["overall"] if run["overall"] is None else float(run["overall"])
    stream = run["stream"]
    if not isinstance(stream, dict):
        raise TypeError("stream")
    # Before the stream is replayed, which a number made up would make last for ever.
    wanted = (
        len(task.train.inputs),
        task.batch,
        run["seeds"][training],
        _count(step) // task.per_round * task.per_round,
    )
    if tuple(stream.get(name) for name in ("rows", "batch", "seed", "batches")) != wanted:
        raise ValueError("stream")
    place = (training, _count(step), partial, stream)
    progress = Progress(*place, rounds, seen, best, overall, float(run["seconds"]))
    offset = progress.step % task.per_round
    if run["per_round"] != task.per_round or len(partial) != offset:
        raise ValueError("partial")
    if len(rounds[-1]) - progress.step // task.per_round not in ((0, 1) if offset else (0,)):
        raise ValueError("rounds")
    return progress


def _check_plan(run: Mapping[str, Any], progress: Progress, task: Any, where: str) -> None:
    """Whether what is asked for now goes on from there, and drop the figures of a last, short round that will grow."""
    begun = progress.training + 1
    if task.seeds[:begun] != run["seeds"][:begun]:
        raise CheckpointError(f"{where}: has begun {begun} trainings, fewer were asked for; ask for at least as many")
    if progress.step > task.iterations:
        raise CheckpointError(
            f"{where}: has taken {progress.step} steps, more than the {task.iterations} asked for; ask for more"
        )
    if task.iterations != run["iterations"] and progress.training:
        raise CheckpointError(
            f"{where}: trainings before this one ended after {run['iterations']} steps, and their weights are gone; "
            "leave their length as it was, or train again"
        )
    if progress.step < task.iterations and progress.step % task.per_round:
        del progress.rounds[-1][progress.step // task.per_round :]


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError(value)
    return value


def _floats(array: np.ndarray) -> np.ndarray:
    if array.dtype != np.float64 or array.ndim != 1:
        raise TypeError("losses")
    return array


def data_digest(part: Any) -> str:
    """SHA-256 over the arrays of a training set, with their dtypes and shapes."""
    digest = hashlib.sha256()
    for array in part:
        if array is not None:
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            rows = max(1, _AT_ONCE * len(array) // max(1, array.size))
            for first in range(0, len(array), rows):
                digest.update(np.ascontiguousarray(array[first : first + rows]).data)
    return digest.hexdigest()
