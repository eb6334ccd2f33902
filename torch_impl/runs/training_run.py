"""What a training of the command line has beside its steps: it is kept in a run folder, can be stopped and resumed, and
more; see `unrolled.command_line.loop.Extras`."""

from __future__ import annotations

import contextlib
import math
import shlex
import time
from typing import Any

import numpy as np

from torch_impl.checkpoints.default import BEST, LAST, stands
from torch_impl.checkpoints.errors import CheckpointError
from torch_impl.checkpoints.run_files import checkpoint_names, load_checkpoint
from torch_impl.runs import converted
from torch_impl.runs.backend import Arrays, RunTrainer, Snapshot
from torch_impl.runs.folder import RunFolder
from torch_impl.runs.processes import Processes
from torch_impl.runs.progress import Progress, data_digest, restored_progress, saved_run, saved_tensors
from torch_impl.runs.saved import counted_steps, kept_steps, optimizer_state, parameters_of, slots_of, weights_of
from torch_impl.runs.settings import RunSettings
from torch_impl.runs.signals import Stopped, StopSignals
from torch_impl.runs.sources import Resumed, plain_options
from unrolled.command_line.loop import Extras, Loop, say
from unrolled.command_line.results import NotFiniteError
from unrolled.command_line.tasks import Task
from unrolled.datasets.parts import Part
from unrolled.models import to_plain

__all__ = ["TrainingRun"]


class TrainingRun(Extras):
    """One run of a task. Of several processes only the first writes."""

    def __init__(self, name: str, task: Task, options: dict[str, Any], processes: Processes) -> None:
        """Raises CheckpointError where the run that is resumed does not fit the task."""
        self.task, self.options, self.processes = task, options, processes
        self.settings = RunSettings.of(options, task)
        self.reports = processes.rank == 0
        self.folder = RunFolder(options["output"], options["tensorboard"])
        self.signals = StopSignals(processes.alone)
        self.digest = data_digest(task.train)
        self.resumed: Resumed | None = options["resume"]
        begun = self.resumed is not None and self.resumed.begun
        self.progress = self._restored(self.resumed) if begun else Progress()
        if not self.settings.validates:  # a best round of before is no longer kept up
            self.progress.best = self.progress.overall = None
        self.unsaved: tuple[dict[str, Any], dict[str, Any]] | None = None  # the best round, until it is saved
        # Of a run that came from TensorFlow, for the way back.
        self.kept_state = {} if self.resumed is None else converted.kept(self.resumed.checkpoint.state)
        self.kept_tensors = {} if self.resumed is None else converted.kept_tensors(self.resumed.checkpoint)
        self.resuming = f"python -m {name} train {task.program} --resume {shlex.quote(str(self.folder.path))}"
        # Kept only where the task asks to be told each loss: for the others they are of no further use.
        self.notes_losses = type(task).seen is not Task.seen
        self.started = time.perf_counter()

    def train(self, loop: Loop) -> None:
        """Train to the end, or until a signal or a failure."""
        try:
            with self.signals:
                loop.run()
        except Stopped:
            say([self._stopped()])
            raise
        finally:
            self.folder.close()

    def begin(self, loop: Loop) -> RunTrainer:
        self._replay(loop)
        try:
            if self.resumed is None:
                trainer = self.trainer(loop, loop.initial_weights())
            else:
                saved = self.resumed.checkpoint
                trainer = self.trainer(loop, weights_of(saved), slots_of(saved) or None)
                trainer.set_steps(counted_steps(saved.state))
        except ValueError as error:
            where = "" if self.resumed is None else f"{self.resumed.where}: does not fit its own model: "
            raise CheckpointError(f"{where}{error}") from error
        if self.reports:
            self._open_folder(loop, trainer)
        return trainer

    def trainer(self, loop: Loop, weights: Any, slots: Any = None) -> RunTrainer:
        task, settings = self.task, self.settings
        given = (task.model, weights, task.optimizer, *task.train, slots)
        return loop.backend.trainer(*given, settings.precision, settings.steps, self.processes, loop.seed)

    def _stopped(self) -> str:
        if not self.signals.waits:
            return "Stopped before the first step"
        return f"Stopped after step {self.progress.step}; to go on: {self.resuming}"

    def before_round(self, loop: Loop, first: int) -> None:
        self.signals.waits = True
        self.rate = self.settings.rate(self.task, first)
        loop.trainer.set_learning_rate(self.rate)
        self.before = Snapshot(loop.trainer.inner)

    def after_chunk(self, loop: Loop, losses: np.ndarray, last: bool) -> None:
        progress, trainer = self.progress, loop.trainer
        if self.notes_losses:
            progress.seen[-1] = np.append(progress.seen[-1], losses)
        if last:
            if not trainer.finite():
                raise NotFiniteError(progress.step + 1, math.nan, ("", self._remedy()))
            return
        self._stop_where_asked(trainer)
        if self.reports and self.folder.overdue() and trainer.finite():
            self.save(trainer)

    def diverged(self, loop: Loop, batches: np.ndarray) -> tuple[str, str]:
        """The gradient norm there and a step earlier. The steps are taken again to measure them, which costs nothing
        where all is well."""
        norms = []
        for step in range(max(len(batches) - 2, 0), len(batches)):
            self.before.restore(loop.trainer.inner)
            loop.trainer.run(batches[:step])
            norms.append(loop.trainer.gradient_norm(batches[step]))
        earlier = f", one step earlier {norms[0]:.3g}" if len(norms) > 1 else ""
        return f" (gradient norm {norms[-1]:.3g}{earlier})", self._remedy()

    def measure(self, loop: Loop, figures: dict[str, Any]) -> None:
        """The figures of the validation set, where they are asked for, and the learning rate, where it changes."""
        self.better = False  # whether no round before was as good
        if self.settings.validates:
            if self.task.monitors[self.settings.monitor][0] not in figures:  # else the task has measured it already
                figures.update(self.task.validated(loop.backend, loop.trainer))
            self.better = self.progress.validated(self.task.score(figures, self.settings.monitor), self.settings.least)
        if self.settings.schedule.kind != "constant":
            figures["learning_rate"] = self.rate

    def after_round(self, loop: Loop, figures: dict[str, Any]) -> None:
        """Log the round, and save where that is due."""
        progress = self.progress
        progress.rounds[-1].append(figures)
        self.folder.log(self._log_row(progress.training, figures), loop.total_steps)
        every, number = self.options["checkpoint_every"], len(progress.rounds[-1])
        ended = progress.step >= self.task.iterations or self._no_longer_better()
        if self.better:
            tensors, state = self._checkpoint(loop.trainer)
            live = {name: np.copy(tensors[name]) for name in parameters_of(loop.trainer.inner)}
            self.unsaved = {**tensors, **live}, state
        both = self.unsaved is not None
        if ended or self.folder.due(both):
            with self.folder.saving(both):
                loop.keep(ended)
                self.save(loop.trainer)
        if every and number % every == 0:
            self.save(loop.trainer, self._round_name(figures))

    def over(self, loop: Loop) -> bool:
        """Whether early stopping has seen enough rounds; and here a signal is obeyed, if this is not the end anyway."""
        progress, task = self.progress, self.task
        over = bool(self.processes.largest(int(self._no_longer_better())))
        if progress.training + 1 < len(task.seeds) or not (over or progress.step == task.iterations):
            self._stop_where_asked(loop.trainer)
        if over and self.reports and progress.best is not None:
            say([f"Stopped early: nothing better since round {progress.best[1]}, which is checkpoint {BEST!r}"])
        return over

    def kept(self, loop: Loop) -> tuple[int, Arrays] | None:
        best = self.progress.best
        if not self.task.keeps_best or best is None or BEST not in checkpoint_names(self.folder.path):
            return None
        found = load_checkpoint(self.folder.path, BEST)
        now = {"training": self.progress.training, "best": list(best), "overall": self.progress.overall}
        return (best[1], weights_of(found)) if stands(found.state.get("run"), now) else None

    def forecaster(self, loop: Loop, weights: Arrays, part: Part) -> RunTrainer:
        given = (self.task.model, weights, self.task.optimizer, *part)
        return loop.backend.trainer(*given, precision=self.settings.precision)

    def end(self, loop: Loop) -> None:
        self.save(loop.trainer, finished=True)

    def save(self, trainer: RunTrainer, name: str = LAST, finished: bool = False) -> None:
        """Save a checkpoint of now, and before it the best round, which `last` names: whoever is killed in between
        comes there again."""
        if self.unsaved is not None:
            self.folder.save(*self.unsaved, BEST)
            self.unsaved = None
        self.folder.save(*self._checkpoint(trainer, finished), name)

    def _checkpoint(self, trainer: RunTrainer, finished: bool = False) -> tuple[dict[str, Any], dict[str, Any]]:
        """Tensors and state of now."""
        task, progress = self.task, self.progress
        now = time.perf_counter()
        progress.seconds, self.started = progress.seconds + now - self.started, now
        state = {
            "program": task.program,
            "model": to_plain(task.model),
            **optimizer_state(trainer.inner),
            "optimizer": task.optimizer._asdict(),
            "data": task.facts.get("data", {}),
            "options": plain_options(self.options),
            "run": saved_run(progress, task, self.digest, finished),
            **self.kept_state,
        }
        tensors = {**parameters_of(trainer.inner), **saved_tensors(progress), **self.kept_tensors, **task.arrays}
        return tensors, state

    def _restored(self, resumed: Resumed) -> Progress:
        checkpoint, where = resumed.checkpoint, resumed.where
        progress = restored_progress(checkpoint, self.task, self.digest, where)
        if kept_steps(checkpoint.state) is None:
            raise CheckpointError(f"{where}: does not tell adam_steps, a number of steps; use another checkpoint")
        if self.settings.schedule.kind == "cosine" and checkpoint.state["run"]["iterations"] != self.task.iterations:
            raise CheckpointError(f"{where}: its cosine schedule hangs on the training's length; leave that as it was")
        return progress

    def _replay(self, loop: Loop) -> None:
        """Bring results and task to where the progress is, by the steps that brought them there first.

        Raises CheckpointError for figures that are not the task's: better now than when the picture is drawn.
        """
        if self.resumed is None:
            return
        progress, task, values = self.progress, self.task, loop.results.values
        try:
            for training, (figures, losses) in enumerate(zip(progress.rounds, progress.seen, strict=True)):
                if len(losses):
                    task.seen(values, losses)
                for one in figures:
                    task.record(values, one)
                if training < progress.training:
                    task.trained(values, task.seeds[training])
            with contextlib.suppress(ImportError):
                task.plot(values)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise CheckpointError(
                f"{self.resumed.where}: its figures are not those of train {task.program} ({error!r:.120}); use "
                "another checkpoint"
            ) from None

    def _open_folder(self, loop: Loop, trainer: RunTrainer) -> None:
        config = {
            "program": self.task.program,
            "options": plain_options(self.options),
            "seeds": self.task.seeds,
            "model": to_plain(self.task.model),
            "optimizer": self.task.optimizer._asdict(),
            "backend": loop.backend.describe(),
            "processes": self.processes.world,
        }
        self.folder.write_config(config)  # the first write of every start
        self.save(trainer)
        if self.resumed is None:
            self.folder.forget_others()
        rows = [self._log_row(training, one) for training, part in enumerate(self.progress.rounds) for one in part]
        self.folder.open_log(rows, loop.total_steps)

    def _log_row(self, training: int, figures: dict[str, Any]) -> dict[str, Any]:
        return {"seed": self.task.seeds[training], **figures}

    def _no_longer_better(self) -> bool:
        best, patience = self.progress.best, self.options["early_stopping"]
        return patience is not None and best is not None and len(self.progress.rounds[-1]) - best[1] >= patience

    def _remedy(self) -> str:
        last = "; the last checkpoint is good, go on from it with either: " + self.resuming
        return ("" if self.options["clip_norm"] else " or --clip-norm 1") + last

    def _round_name(self, figures: dict[str, Any]) -> str:
        """What the checkpoint of a round is called."""
        name = f"epoch-{figures['epoch']:04d}" if "epoch" in figures else f"iteration-{self.progress.step:06d}"
        return name if len(self.task.seeds) == 1 else f"seed-{self.task.seeds[self.progress.training]}-{name}"

    def _stop_where_asked(self, trainer: RunTrainer) -> None:
        """Save and end the training where a signal has come to any of the processes."""
        number = self.processes.largest(self.signals.number or 0)
        if not number:
            return
        if self.reports and trainer.finite():  # else the checkpoint before is the last good one
            self.save(trainer)
        raise Stopped(number)
