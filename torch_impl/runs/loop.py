"""The training loop of the command line: a task is trained into a run folder, and can be stopped and resumed."""

from __future__ import annotations

import contextlib
import shlex
import time
from collections.abc import Callable, Iterator
from typing import Any

import click
import numpy as np
from tqdm import tqdm

from data.batches import BatchStream
from data.doors.options import open_backend
from data.doors.runs import NotFiniteError, prepare_folder
from data.doors.tasks import Task
from data.doors.training import Prepare, say, start_run
from torch_impl.checkpoints.errors import CheckpointError
from torch_impl.runs.folder import LAST, RunFolder, check_free
from torch_impl.runs.load import slots_of, weights_of
from torch_impl.runs.options import Resumed, plain_options
from torch_impl.runs.progress import Progress, data_digest, described, restored_progress, saved_run, saved_tensors
from torch_impl.runs.signals import Stopped, StopSignals
from torch_impl.runs.trainer import RunTrainer, Snapshot, open_trainer

__all__ = ["train_run"]


def train_run(name: str, backend: Callable[[str, int | None], Any], options: dict[str, Any], prepare: Prepare) -> None:
    """Prepare a task and train it into the run folder options["output"]: what `data.doors.command_line` asks for."""
    with _sentences():
        prepare_folder(options["output"])
        if options["resume"] is None and not options["force"]:
            check_free(options["output"])
        task = prepare(name, options)
        adapter = open_backend(backend, options["device"], options["threads"])
        Training(name, task, adapter, options).run()


@contextlib.contextmanager
def _sentences() -> Iterator[None]:
    try:
        yield
    except CheckpointError as error:
        raise click.ClickException(str(error)) from error


class Training:
    """One run of a task: all its trainings, one after the other."""

    def __init__(self, name: str, task: Task, adapter: Any, options: dict[str, Any]) -> None:
        self.name, self.task, self.adapter, self.options = name, task, adapter, options
        self.resumed: Resumed | None = options["resume"]
        self.folder = RunFolder(options["output"])
        self.digest = data_digest(task.train)
        self.progress = Progress()
        self.trainer: RunTrainer
        # Kept only where the task asks to be told each loss: for the others they are of no further use.
        self.notes_losses = type(task).seen is not Task.seen
        self.started = time.perf_counter()

    def run(self) -> None:
        """Train to the end, or until a signal or a failure."""
        weights, slots, steps = self._origin()
        results = start_run(self.name, self.task, self.adapter, self.options)
        self.results = results
        self._replay()
        self._open(weights, slots, steps)
        try:
            with results.recording(), StopSignals() as self.signals, self._progress_bar() as self.bar:
                self._train_all()
        except Stopped:
            # Its own words, after those of `recording`.
            command = f"python -m {self.name} train {self.task.program} --resume {shlex.quote(str(self.folder.path))}"
            say([f"Stopped after step {self.progress.step}; to go on: {command}"])
            raise
        finally:
            self.folder.close()

    def _origin(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray] | None, int]:
        """Weights, slots and Adam's steps to begin with, and the progress so far."""
        if self.resumed is None:
            return self.adapter.initial_weights(self.task.model, self.task.seeds[0]), None, 0
        checkpoint, where = self.resumed.checkpoint, self.resumed.where
        self.progress = restored_progress(checkpoint, self.task, self.digest, where)
        steps = checkpoint.state["run"].get("adam_steps")
        if not isinstance(steps, int) or isinstance(steps, bool) or steps < 0:
            raise CheckpointError(f"{where}: adam_steps is {steps!r:.60}, expected a number of steps")
        return weights_of(checkpoint), slots_of(checkpoint), steps

    def _replay(self) -> None:
        """Bring results and task to where the progress is, by the steps that brought them there first."""
        progress, task, results = self.progress, self.task, self.results.results
        for training, (figures, losses) in enumerate(zip(progress.rounds, progress.seen, strict=True)):
            if len(losses):
                task.seen(results, losses)
            for one in figures:
                task.record(results, one)
            if training < progress.training:
                task.trained(results, task.seeds[training])

    def _open(self, weights: dict[str, np.ndarray], slots: dict[str, np.ndarray] | None, steps: int) -> None:
        """The trainer, and the folder with its first checkpoint."""
        try:
            self.trainer = open_trainer(self.adapter, self.task, weights, slots)
        except ValueError as error:
            where = "" if self.resumed is None else f"{self.resumed.where}: does not fit its own model: "
            raise CheckpointError(f"{where}{error}") from error
        if slots is not None:
            self.trainer.restore_steps(steps)
        if not self.progress.stream:
            self.progress.stream = self.task.stream(self.task.seeds[self.progress.training]).state()
        self.folder.write_config(  # the first write of every start
            {
                "program": self.task.program,
                "options": plain_options(self.options),
                "seeds": self.task.seeds,
                "model": described(self.task.model),
                "optimizer": self.task.optimizer._asdict(),
                "backend": self.adapter.describe(),
            }
        )
        self.save()
        if self.resumed is None:
            self.folder.forget_others()
        self.folder.open_log(self._log_rows(), self._total_steps())

    def _log_rows(self) -> list[dict[str, Any]]:
        """The log of all rounds so far."""
        return [
            {"seed": self.task.seeds[training], **figures}
            for training, rounds in enumerate(self.progress.rounds)
            for figures in rounds
        ]

    def _total_steps(self) -> int:
        """Steps of all trainings so far, those before this one taken as whole."""
        return self.progress.training * self.task.iterations + self.progress.step

    def _progress_bar(self) -> tqdm:
        total = len(self.task.seeds) * self.task.iterations
        return tqdm(total=total, initial=self._total_steps(), unit="it", disable=None)

    def _train_all(self) -> None:
        task, progress = self.task, self.progress
        while True:
            self._train_one()
            lines = task.trained(self.results.results, task.seeds[progress.training])
            if task.saves_rounds:
                self.results.save()
            say(lines)
            if progress.training + 1 >= len(task.seeds):
                break
            progress.begin_next()
            seed = task.seeds[progress.training]
            progress.stream = task.stream(seed).state()
            self.trainer = open_trainer(self.adapter, task, self.adapter.initial_weights(task.model, seed))
        say(task.finish(self.results.results, self.trainer))
        self.save(finished=True)

    def _train_one(self) -> None:
        """The rounds of one training, from where it stands to its end."""
        task, progress = self.task, self.progress
        stream = BatchStream.from_state(progress.stream)
        while progress.step < task.iterations:
            start = time.perf_counter()
            first = progress.step // task.per_round * task.per_round
            batches = task.take(stream, min(task.per_round, task.iterations - first))
            losses = self._steps(batches, first)
            trained = time.perf_counter()
            figures = task.figures(self.adapter, self.trainer, progress.step, losses, batches[-1])
            figures["training_seconds"] = round(trained - start, 3)
            figures["seconds"] = round(time.perf_counter() - start, 3)
            progress.rounds[-1].append(figures)
            if progress.step % task.per_round == 0:
                progress.stream, progress.partial = stream.state(), np.empty(0)
            self._keep_round(figures)

    def _steps(self, batches: np.ndarray, first: int) -> np.ndarray:
        """The steps of a round that begins after step `first`, without those that were taken before; its losses."""
        task, progress = self.task, self.progress
        begin = progress.step - first
        losses = np.empty(len(batches))
        losses[:begin] = progress.partial
        before = Snapshot(self.trainer.inner)
        for begin_chunk in range(begin, len(batches), task.chunk):
            part = slice(begin_chunk, min(begin_chunk + task.chunk, len(batches)))
            losses[part] = self.trainer.run(batches[part])
            self._check(before, batches[begin : part.stop], losses[begin : part.stop], first + begin)
            task.seen(self.results.results, losses[part])
            if self.notes_losses:
                progress.seen[-1] = np.append(progress.seen[-1], losses[part])
            progress.step, progress.partial = first + part.stop, losses[: part.stop]
            self.bar.update(part.stop - part.start)
            if self.signals.number is not None and part.stop < len(batches):
                self._stop()
        if not self.trainer.finite():
            raise NotFiniteError(progress.step + 1, float("nan"), ("", self._remedy()))
        return losses

    def _check(self, before: Snapshot, batches: np.ndarray, losses: np.ndarray, done: int) -> None:
        """Stop at a loss that is not finite, with the gradient norm there and just before; see `Snapshot`."""
        wrong = np.flatnonzero(~np.isfinite(losses))
        if not len(wrong):
            return
        at, norms = int(wrong[0]), {}
        for step in range(max(at - 1, 0), at + 1):
            before.restore(self.trainer.inner)
            self.trainer.run(batches[:step])
            norms[step] = self.trainer.gradient_norm(batches[step])
        known = f" (gradient norm {norms[at]:.3g}" + (f", one step earlier {norms[at - 1]:.3g})" if at else ")")
        raise NotFiniteError(done + at + 1, float(losses[at]), (known, self._remedy()))

    def _remedy(self) -> str:
        return f"; the last checkpoint is good: add --resume {shlex.quote(str(self.folder.path))} to go on from there"

    def _keep_round(self, figures: dict[str, Any]) -> None:
        """Record a round's figures, and save where that is due."""
        task, progress, run = self.task, self.progress, self.results
        ended = progress.step >= task.iterations
        task.record(run.results, figures)
        self.folder.log({"seed": task.seeds[progress.training], **figures}, self._total_steps())
        if ended or self.folder.due():
            task.keep(run.folder, self.trainer, ended)
            if task.saves_rounds:
                run.save()
            self.save()
        every = self.options["checkpoint_every"]
        if every and progress.step % (every * task.per_round) == 0:
            self.save(self._round_name(figures))
        line = task.line(figures)
        say([] if line is None else [line])
        if self.signals.number is not None and not (ended and progress.training + 1 == len(task.seeds)):
            self._stop()

    def _round_name(self, figures: dict[str, Any]) -> str:
        """What the checkpoint of a round is called."""
        name = f"epoch-{figures['epoch']:04d}" if "epoch" in figures else f"iteration-{self.progress.step:06d}"
        return name if len(self.task.seeds) == 1 else f"seed-{self.task.seeds[self.progress.training]}-{name}"

    def _stop(self) -> None:
        assert self.signals.number is not None
        self.save()
        raise Stopped(self.signals.number)

    def save(self, name: str = LAST, finished: bool = False) -> None:
        """Save a checkpoint of now."""
        task, progress = self.task, self.progress
        now = time.perf_counter()
        progress.seconds, self.started = progress.seconds + now - self.started, now
        state = {
            "program": task.program,
            "model": described(task.model),
            "optimizer": task.optimizer._asdict(),
            "step": progress.step,
            "data": task.facts.get("data", {}),
            "options": plain_options(self.options),
            "run": saved_run(progress, task, self.trainer.steps, self.digest, finished),
        }
        tensors = {f"weights/{key}": array for key, array in self.trainer.weights().items()}
        tensors.update({f"slots/{key}": array for key, array in self.trainer.slots().items()})
        self.folder.save({**tensors, **saved_tensors(progress)}, state, name)
