"""The training loop of both implementations: a task is trained round by round, from where it stands to its end.

What one of them does beside the steps (resuming, signals, checkpoints, a schedule, several processes) it gives as
`Extras`, whose methods the loop calls at the moments that they name. The plain loop has none.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from typing import Any, Callable

import click
import numpy as np
from tqdm import tqdm

from unrolled.command_line.options import open_backend
from unrolled.command_line.results import NotFiniteError, Results, prepare_folder
from unrolled.command_line.tasks import Task
from unrolled.datasets.batches import BatchStream
from unrolled.datasets.parts import Part
from unrolled.showing import shown

__all__ = ["Extras", "Loop", "Place", "Prepare", "Train", "say", "train_task"]

# (name of the implementation, options of the command line) -> the task.
Prepare = Callable[[str, "dict[str, Any]"], Task]
# (options, prepare): what a train command does.
Train = Callable[["dict[str, Any]", Prepare], None]


def train_task(name: str, backend: Callable[[str, int | None], Any], options: dict[str, Any], prepare: Prepare) -> None:
    """Prepare a task and train it, once for each of its seeds."""
    prepare_folder(options["output"])
    task = prepare(name, options)
    Loop(name, task, open_backend(backend, options["device"], options["threads"]), options["output"]).run()


@dataclass
class Place:
    """Where a task stands. training: which of its seeds is in training, from 0. step: optimizer steps of that training.

    partial: losses of a round not ended (or ended early, because the training was over). stream: the batch stream's
    state at the start of that round, {} where it has not begun.
    """

    training: int = 0
    step: int = 0
    partial: np.ndarray = field(default_factory=lambda: np.empty(0))
    stream: dict[str, Any] = field(default_factory=dict)

    def begin_next(self) -> None:
        """Turn to the next training."""
        self.training, self.step, self.partial, self.stream = self.training + 1, 0, np.empty(0), {}


class Extras:
    """What a run does beside its steps: here, nothing but to keep the results of each round.

    reports: whether this process measures, prints and writes; of several that train together, one does.
    """

    reports = True
    best: tuple[float, int, dict[str, np.ndarray]] | None = None  # score, round and weights, where the task keeps it

    def begin(self, loop: Loop) -> Any:
        """Before the first step: the trainer to begin with."""
        return self.trainer(loop, loop.initial_weights())

    def trainer(self, loop: Loop, weights: dict[str, np.ndarray]) -> Any:
        """The backend's trainer for one training."""
        given = (loop.task.model, weights, loop.task.optimizer, *loop.task.train)
        return loop.backend.trainer(*given, seed=loop.seed)

    def before_round(self, loop: Loop, first: int) -> None:
        """Before the steps of the round that begins after step `first`."""

    def after_chunk(self, loop: Loop, losses: np.ndarray, last: bool) -> None:
        """After a few steps, whose losses are finite; last: whether they were the round's last."""

    def diverged(self, loop: Loop, batches: np.ndarray) -> tuple[str, str]:
        """The loss is not finite on the last of the batches [n, batch] run since `before_round`: what else is known of
        that, and what else to try."""
        return "", ""

    def measure(self, loop: Loop, figures: dict[str, Any]) -> None:
        """Add figures to those of a round, before they are recorded. Only where this process reports."""

    def after_round(self, loop: Loop, figures: dict[str, Any]) -> None:
        """After a round has been recorded. Only where this process reports."""
        task = loop.task
        loop.keep(loop.place.step == task.iterations)
        if task.keeps_best and task.validation is not None:
            score, number = task.score(figures), -(-loop.place.step // task.per_round)
            if self.best is None or score > self.best[0]:
                self.best = (score, number, loop.trainer.weights())

    def kept(self, loop: Loop) -> tuple[int, dict[str, np.ndarray]] | None:
        """The best round, counted from 1, and its weights; None where none is kept. Only where this process reports."""
        return None if self.best is None else self.best[1:]

    def forecaster(self, loop: Loop, weights: dict[str, np.ndarray], part: Part) -> Any:
        """The backend's trainer with other weights, of another part's rows: to measure with."""
        return loop.backend.trainer(loop.task.model, weights, loop.task.optimizer, *part)

    def over(self, loop: Loop) -> bool:
        """Whether the training shall end before its last step: asked at its beginning and after each round."""
        return False

    def end(self, loop: Loop) -> None:
        """After the last training. Only where this process reports."""


class Loop:
    """All trainings of a task, one after the other."""

    def __init__(
        self, name: str, task: Task, backend: Any, folder: Any, extras: Extras | None = None, place: Place | None = None
    ) -> None:
        """Prints the header. name: of the implementation. backend: see `unrolled.command_line`. folder: for the
        results. place: where to go on from, None for the beginning."""
        self.name, self.task, self.backend = name, task, backend
        self.extras, self.place = extras or Extras(), place or Place()
        if not self.place.stream:
            self.place.stream = task.stream(self.seed).state()
        facts: dict[str, Any] = {"program": task.program, "implementation": name, "backend": dict(backend.describe())}
        self.results = Results(folder, task.plot_name, task.plot, dict(facts, **dict(task.facts, **task.start())))
        say(task.header + [", ".join("%s %s" % item for item in facts["backend"].items())])

    @property
    def seed(self) -> int:
        """That of the training in progress."""
        return self.task.seeds[self.place.training]

    @property
    def total_steps(self) -> int:
        """Steps of all trainings so far, those before this one taken as whole."""
        return self.place.training * self.task.iterations + self.place.step

    def initial_weights(self) -> dict[str, np.ndarray]:
        """Those of the training in progress."""
        return self.backend.initial_weights(self.task.model, self.seed)

    def run(self) -> None:
        """Train to the end. However it ends, the results so far are written where this process reports."""
        self.trainer = self.extras.begin(self)
        reports = self.extras.reports
        bar = tqdm(
            total=len(self.task.seeds) * self.task.iterations,
            initial=self.total_steps,
            unit="it",
            disable=None if reports else True,
        )
        with self.results.recording() if reports else contextlib.nullcontext(), bar as self.bar:
            self._train_all()

    def keep(self, ended: bool) -> None:
        """Write what the task keeps of a round; ended: whether it was the training's last."""
        self.task.keep(self.results.folder, self.trainer, ended)
        if self.task.saves_rounds:
            self.results.save()

    def _train_all(self) -> None:
        task, place, extras = self.task, self.place, self.extras
        while True:
            self._train_one()
            if extras.reports:
                lines = task.trained(self.results.values, self.seed)
                if task.saves_rounds:
                    self.results.save()
                say(lines)
            if place.training + 1 >= len(task.seeds):
                break
            place.begin_next()
            place.stream = task.stream(self.seed).state()
            self.trainer = extras.trainer(self, self.initial_weights())
        if extras.reports:
            self._finish()
            extras.end(self)

    def _finish(self) -> None:
        """What is known of the whole, by the best round's weights where these are kept."""
        task, kept, trainer = self.task, self.extras.kept(self), self.trainer
        if kept is not None:
            self.results.values["best_round"] = kept[0]
            if task.test is not None:
                trainer = self.extras.forecaster(self, kept[1], task.test)
        say(task.finish(self.results.values, trainer))

    def _train_one(self) -> None:
        """The rounds of one training, from where it stands to its end."""
        task, place, extras = self.task, self.place, self.extras
        stream = BatchStream.from_state(place.stream)
        over = extras.over(self)
        while place.step < task.iterations and not over:
            start = time.perf_counter()
            first = place.step // task.per_round * task.per_round
            batches = task.take(stream, min(task.per_round, task.iterations - first))
            extras.before_round(self, first)
            losses = self._steps(batches, first)
            if place.step % task.per_round == 0:
                place.stream, place.partial = stream.state(), np.empty(0)
            if extras.reports:
                self._report(start, losses, batches[-1])
            over = extras.over(self)

    def _steps(self, batches: np.ndarray, first: int) -> np.ndarray:
        """The steps of a round that begins after step `first`, without those taken before; the losses of all its
        steps. Raises NotFiniteError where one is infinite or NaN."""
        task, place = self.task, self.place
        begin = place.step - first
        losses = np.empty(len(batches))
        losses[:begin] = place.partial
        for start in range(begin, len(batches), task.chunk):
            part = slice(start, min(start + task.chunk, len(batches)))
            losses[part] = self.trainer.run(batches[part])
            wrong = np.flatnonzero(~np.isfinite(losses[part]))
            if len(wrong):
                at = start + int(wrong[0])
                more = self.extras.diverged(self, batches[begin : at + 1])
                raise NotFiniteError(first + at + 1, float(losses[at]), more)
            task.seen(self.results.values, losses[part])
            place.step, place.partial = first + part.stop, losses[: part.stop]
            self.bar.update(part.stop - part.start)
            self.extras.after_chunk(self, losses[part], part.stop == len(batches))
        return losses

    def _report(self, start: float, losses: np.ndarray, rows: np.ndarray) -> None:
        """Measure, record, keep and print a round that began at the time `start`; rows: of its last batch."""
        trained = time.perf_counter()
        figures = self.task.figures(self.backend, self.trainer, self.place.step, losses, rows)
        self.extras.measure(self, figures)
        figures["training_seconds"] = round(trained - start, 3)
        figures["seconds"] = round(time.perf_counter() - start, 3)
        self.task.record(self.results.values, figures)
        self.extras.after_round(self, figures)
        line = self.task.line(figures)
        say([] if line is None else [line])


def say(lines: list[str]) -> None:
    """Print lines, beside a progress bar if there is one."""
    with tqdm.external_write_mode():
        for line in lines:
            click.echo(shown(line))
