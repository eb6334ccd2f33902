"""The training loop of the command line: a task is trained into a run folder, and can be stopped and resumed."""

from __future__ import annotations

import contextlib
import math
import reprlib
import shlex
import time
from typing import Any

import numpy as np
from tqdm import tqdm

from torch_impl.checkpoints.errors import CheckpointError
from torch_impl.runs.finite import check_losses
from torch_impl.runs.folder import BEST, LAST, RunFolder
from torch_impl.runs.load import slots_of, weights_of
from torch_impl.runs.processes import Processes
from torch_impl.runs.progress import Progress, data_digest, described, restored_progress, saved_run, saved_tensors
from torch_impl.runs.settings import Settings
from torch_impl.runs.signals import Stopped, StopSignals
from torch_impl.runs.sources import Resumed, plain_options
from torch_impl.runs.trainer import RunTrainer, Snapshot, open_trainer
from unrolled.command_line.plain_loop import say, start_run
from unrolled.command_line.results import NotFiniteError, Run
from unrolled.command_line.tasks import Task
from unrolled.datasets.batches import BatchStream

__all__ = ["Training"]

MOST_STEPS = 1 << 53  # what a float64 counts


class Training:
    """One run of a task: all its trainings, one after the other. Of several processes only the first writes."""

    def __init__(self, name: str, task: Task, adapter: Any, options: dict[str, Any], processes: Processes) -> None:
        self.name, self.task, self.adapter, self.options, self.processes = name, task, adapter, options, processes
        self.settings = Settings.of(options, task)
        self.resumed: Resumed | None = options["resume"]
        self.writes = processes.rank == 0
        self.folder = RunFolder(options["output"], options["tensorboard"])
        self.digest = data_digest(task.train)
        self.progress = Progress()
        self.trainer: RunTrainer
        self.results: Run
        # Kept only where the task asks to be told each loss: for the others they are of no further use.
        self.notes_losses = type(task).seen is not Task.seen
        self.started = time.perf_counter()

    def open(self) -> None:
        """The trainer where the run begins or goes on, and the folder with its first checkpoint."""
        weights, slots, steps = self._origin()
        self.results = start_run(self.name, self.task, self.adapter, self.options)
        self._replay()
        try:
            self.trainer = self._open_trainer(weights, slots)
        except ValueError as error:
            where = "" if self.resumed is None else f"{self.resumed.where}: does not fit its own model: "
            raise CheckpointError(f"{where}{error}") from error
        if slots is not None:
            self.trainer.restore_steps(steps)
        if not self.progress.stream:
            self.progress.stream = self.task.stream(self.task.seeds[self.progress.training]).state()
        if self.writes:
            self._open_folder()

    def run(self) -> None:
        """Train to the end, or until a signal or a failure."""
        try:
            with self._recording(), StopSignals(self.processes.alone) as self.signals, self._progress_bar() as self.bar:
                self._train_all()
        except Stopped:
            say([f"Stopped after step {self.progress.step}; to go on: {self._resuming()}"])
            raise
        finally:
            self.folder.close()

    def _recording(self) -> contextlib.AbstractContextManager[None]:
        return self.results.recording() if self.writes else contextlib.nullcontext()

    def _resuming(self) -> str:
        """The command that goes on with the run."""
        return f"python -m {self.name} train {self.task.program} --resume {shlex.quote(str(self.folder.path))}"

    def _origin(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray] | None, int]:
        """Weights, slots and Adam's steps to begin with, and the progress so far."""
        if self.resumed is None:
            return self.adapter.initial_weights(self.task.model, self.task.seeds[0]), None, 0
        checkpoint, where = self.resumed.checkpoint, self.resumed.where
        self.progress = restored_progress(checkpoint, self.task, self.digest, where)
        run = checkpoint.state["run"]
        steps = run.get("adam_steps")
        if not isinstance(steps, int) or isinstance(steps, bool) or not 0 <= steps <= MOST_STEPS:
            raise CheckpointError(f"{where}: adam_steps is {reprlib.repr(steps)}, expected a number of steps")
        if self.settings.schedule.kind == "cosine" and run["iterations"] != self.task.iterations:
            raise CheckpointError(f"{where}: its cosine schedule hangs on the training's length; leave that as it was")
        return weights_of(checkpoint), slots_of(checkpoint), steps

    def _replay(self) -> None:
        """Bring results and task to where the progress is, by the steps that brought them there first.

        Raises CheckpointError for figures that are not the task's: better now than when the picture is drawn.
        """
        try:
            self._replay_rounds()
            if self.resumed is not None:
                with contextlib.suppress(ImportError):
                    self.task.plot(self.results.results)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            if self.resumed is None:
                raise
            raise CheckpointError(
                f"{self.resumed.where}: its figures are not those of train {self.task.program} ({error!r:.120}); use "
                "another checkpoint"
            ) from None

    def _replay_rounds(self) -> None:
        progress, task, results = self.progress, self.task, self.results.results
        for training, (figures, losses) in enumerate(zip(progress.rounds, progress.seen, strict=True)):
            if len(losses):
                task.seen(results, losses)
            for one in figures:
                task.record(results, one)
            if training < progress.training:
                task.trained(results, task.seeds[training])

    def _open_trainer(self, weights: dict[str, np.ndarray], slots: dict[str, np.ndarray] | None = None) -> RunTrainer:
        settings = self.settings
        return open_trainer(self.adapter, self.task, weights, slots, settings.precision, settings.steps, self.processes)

    def _open_folder(self) -> None:
        config = {
            "program": self.task.program,
            "options": plain_options(self.options),
            "seeds": self.task.seeds,
            "model": described(self.task.model),
            "optimizer": self.task.optimizer._asdict(),
            "backend": self.adapter.describe(),
            "processes": self.processes.world,
        }
        self.folder.write_config(config)  # the first write of every start
        self.save()
        if self.resumed is None:
            self.folder.forget_others()
        rows = [self._log_row(training, one) for training, part in enumerate(self.progress.rounds) for one in part]
        self.folder.open_log(rows, self._total_steps())

    def _log_row(self, training: int, figures: dict[str, Any]) -> dict[str, Any]:
        return {"seed": self.task.seeds[training], **figures}

    def _total_steps(self) -> int:
        """Steps of all trainings so far, those before this one taken as whole."""
        return self.progress.training * self.task.iterations + self.progress.step

    def _progress_bar(self) -> tqdm:
        total = len(self.task.seeds) * self.task.iterations
        return tqdm(total=total, initial=self._total_steps(), unit="it", disable=None if self.writes else True)

    def _train_all(self) -> None:
        task, progress, results = self.task, self.progress, self.results.results
        while True:
            self._train_one()
            if self.writes:
                lines = task.trained(results, task.seeds[progress.training])
                if task.saves_rounds:
                    self.results.save()
                say(lines)
            if progress.training + 1 >= len(task.seeds):
                break
            progress.begin_next()
            seed = task.seeds[progress.training]
            progress.stream = task.stream(seed).state()
            self.trainer = self._open_trainer(self.adapter.initial_weights(task.model, seed))
        if self.writes:
            say(task.finish(results, self.trainer))
            self.save(finished=True)

    def _train_one(self) -> None:
        """The rounds of one training, from where it stands to its end."""
        task, progress = self.task, self.progress
        stream = BatchStream.from_state(progress.stream)
        over = self._no_longer_better()
        while progress.step < task.iterations and not over:
            start = time.perf_counter()
            first = progress.step // task.per_round * task.per_round
            batches = task.take(stream, min(task.per_round, task.iterations - first))
            rate = self.settings.rate(task, first)
            self.trainer.set_learning_rate(rate)
            losses = self._steps(batches, first)
            if progress.step % task.per_round == 0:
                progress.stream, progress.partial = stream.state(), np.empty(0)
            if self.writes:
                self._report(start, losses, batches[-1], rate)
            over = bool(self.processes.largest(int(self._no_longer_better())))
            stop = self.processes.largest(self.signals.number or 0)
            if stop and not (progress.training + 1 == len(task.seeds) and (over or progress.step == task.iterations)):
                self._stop(stop)
        if over and self.writes and progress.best is not None:
            say([f"Stopped early: nothing better since round {progress.best[1]}, which is checkpoint {BEST!r}"])

    def _no_longer_better(self) -> bool:
        """Whether early stopping has seen enough rounds."""
        best, patience = self.progress.best, self.options["early_stopping"]
        return patience is not None and best is not None and len(self.progress.rounds[-1]) - best[1] >= patience

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
            check_losses(self.trainer, before, batches[begin : part.stop], losses[begin : part.stop], first + begin,
                         self._remedy())  # fmt: skip
            task.seen(self.results.results, losses[part])
            if self.notes_losses:
                progress.seen[-1] = np.append(progress.seen[-1], losses[part])
            progress.step, progress.partial = first + part.stop, losses[: part.stop]
            self.bar.update(part.stop - part.start)
            stop = self.processes.largest(self.signals.number or 0) if part.stop < len(batches) else 0
            if stop:
                self._stop(stop)
            if self.writes and part.stop < len(batches) and self.folder.overdue() and self.trainer.finite():
                self.save()
        if not self.trainer.finite():
            raise NotFiniteError(progress.step + 1, math.nan, ("", self._remedy()))
        return losses

    def _remedy(self) -> str:
        last = "; the last checkpoint is good, go on from it with either: " + self._resuming()
        return ("" if self.options["clip_norm"] else " or --clip-norm 1") + last

    def _report(self, start: float, losses: np.ndarray, rows: np.ndarray, rate: float) -> None:
        """Measure, record and print a round that began at `start`, and save where that is due."""
        task, progress, run = self.task, self.progress, self.results
        trained = time.perf_counter()
        figures = task.figures(self.adapter, self.trainer, progress.step, losses, rows)
        better = self._validate(figures)
        if self.settings.schedule.kind != "constant":
            figures["learning_rate"] = rate
        figures["training_seconds"] = round(trained - start, 3)
        figures["seconds"] = round(time.perf_counter() - start, 3)
        progress.rounds[-1].append(figures)
        task.record(run.results, figures)
        self.folder.log(self._log_row(progress.training, figures), self._total_steps())
        every, number = self.options["checkpoint_every"], len(progress.rounds[-1])
        ended = progress.step >= task.iterations or self._no_longer_better()
        if ended or self.folder.due():
            with self.folder.saving():
                task.keep(run.folder, self.trainer, ended)
                if task.saves_rounds:
                    run.save()
                self.save()
        if better:
            self.save(BEST)
        if every and number % every == 0:
            self.save(self._round_name(figures))
        line = task.line(figures)
        say([] if line is None else [line])

    def _validate(self, figures: dict[str, Any]) -> bool:
        """Enter the figures of the validation set, where they are asked for; whether no round before was as good."""
        if not self.settings.validates:
            return False
        progress = self.progress
        score, found = self.task.validated(self.adapter, self.trainer)
        figures.update(found)
        if progress.best is None or score > progress.best[0]:
            progress.best = (score, len(progress.rounds[-1]) + 1)
        if progress.overall is not None and score <= progress.overall:
            return False
        progress.overall = score
        return True

    def _round_name(self, figures: dict[str, Any]) -> str:
        """What the checkpoint of a round is called."""
        name = f"epoch-{figures['epoch']:04d}" if "epoch" in figures else f"iteration-{self.progress.step:06d}"
        return name if len(self.task.seeds) == 1 else f"seed-{self.task.seeds[self.progress.training]}-{name}"

    def _stop(self, number: int) -> None:
        if self.writes and self.trainer.finite():  # else the checkpoint before is the last good one
            self.save()
        raise Stopped(number)

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
