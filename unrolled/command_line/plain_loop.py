"""The plain loop: train a task from its beginning to its end, and leave results.json and a picture."""

from __future__ import annotations

import time
from typing import Any, Callable

import click
import numpy as np
from tqdm import tqdm

from unrolled.command_line.options import open_backend
from unrolled.command_line.results import Run, check_losses, prepare_folder
from unrolled.command_line.tasks import Task

__all__ = ["Prepare", "Train", "new_trainer", "say", "start_run", "train_task"]

# (name of the implementation, options of the command line) -> the task.
Prepare = Callable[[str, "dict[str, Any]"], Task]
# (name, backend, options, prepare): what a train command does; see unrolled.command_line for backend.
Train = Callable[[str, Callable[[str, "int | None"], Any], "dict[str, Any]", Prepare], None]


def train_task(name: str, backend: Callable[[str, int | None], Any], options: dict[str, Any], prepare: Prepare) -> None:
    """Prepare a task and train it, once for each of its seeds."""
    prepare_folder(options["output"])
    task = prepare(name, options)
    adapter = open_backend(backend, options["device"], options["threads"])
    run = start_run(name, task, adapter, options)
    with run.recording(), tqdm(total=len(task.seeds) * task.iterations, unit="it", disable=None) as bar:
        for seed in task.seeds:
            trainer = new_trainer(task, adapter, adapter.initial_weights(task.model, seed))
            _train(task, adapter, trainer, seed, run, bar)
        say(task.finish(run.results, trainer))


def start_run(name: str, task: Task, adapter: Any, options: dict[str, Any]) -> Run:
    """The results with all that is known before training, after printing the header."""
    facts = {"program": task.program, "implementation": name, "backend": dict(adapter.describe())}
    run = Run(options["output"], task.plot_name, task.plot, dict(facts, **dict(task.facts, **task.start())))
    say(task.header + [", ".join("%s %s" % item for item in run.results["backend"].items())])
    return run


def new_trainer(task: Task, adapter: Any, weights: dict[str, np.ndarray]) -> Any:
    """The adapter's trainer for a task; see `unrolled.command_line`."""
    lengths = () if task.train.lengths is None else (task.train.lengths,)
    return adapter.trainer(task.model, weights, task.optimizer, task.train.inputs, task.train.targets, *lengths)


def say(lines: list[str]) -> None:
    """Print lines, beside a progress bar if there is one."""
    with tqdm.external_write_mode():
        for line in lines:
            click.echo(line)


def _train(task: Task, adapter: Any, trainer: Any, seed: int, run: Run, bar: tqdm) -> None:
    """One training. Raises NotFiniteError where the loss stops being finite."""
    stream = task.stream(seed)
    for first in range(0, task.iterations, task.per_round):
        start = time.perf_counter()
        batches = task.take(stream, min(task.per_round, task.iterations - first))
        losses = np.empty(len(batches))
        for begin in range(0, len(batches), task.chunk):
            part = slice(begin, min(begin + task.chunk, len(batches)))
            losses[part] = trainer.run(batches[part])
            check_losses(losses[part], first + begin)
            task.seen(run.results, losses[part])
            bar.update(part.stop - part.start)
        trained = time.perf_counter()
        done = first + len(batches)
        figures = task.figures(adapter, trainer, done, losses, batches[-1])
        figures["training_seconds"] = round(trained - start, 3)
        figures["seconds"] = round(time.perf_counter() - start, 3)
        task.record(run.results, figures)
        task.keep(run.folder, trainer, done == task.iterations)
        if task.saves_rounds:
            run.save()
        line = task.line(figures)
        say([] if line is None else [line])
    lines = task.trained(run.results, seed)
    if task.saves_rounds:
        run.save()
    say(lines)
