"""What the options for runs ask of the training, checked against the task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import click

from torch_impl.runs.eager import StepOptions
from torch_impl.runs.schedule import Schedule, parse_schedule
from torch_impl.training.classes import balanced

__all__ = ["RunSettings"]


class RunSettings(NamedTuple):
    """steps: see `torch_impl.runs.eager`. validates: whether the validation set is measured after each round. monitor:
    by which of the task's `monitors` the best round is found; least: by how much more a round must be better."""

    schedule: Schedule
    steps: StepOptions
    precision: str
    validates: bool
    monitor: str
    least: float

    @classmethod
    def of(cls, options: Mapping[str, Any], task: Any) -> RunSettings:
        """From the command line's options; ends the command where the task cannot have them."""
        keeps = options["keep_best"]
        if keeps is None:
            keeps = task.keeps_best and task.validation is not None
        elif not keeps and options["early_stopping"] is not None:
            raise click.UsageError("--early-stopping keeps the best round; give --keep-best, or neither.")
        validates = keeps or options["early_stopping"] is not None
        if validates and task.validation is None:
            flag = "--early-stopping" if options["early_stopping"] is not None else "--keep-best"
            raise click.UsageError(f"{flag} needs a validation set, which {task.program} does not have here.")
        monitor = options["monitor"] or next(iter(task.monitors))
        if monitor not in task.monitors:
            raise click.UsageError(
                f"--monitor {monitor} is not for {task.program}, which has {', '.join(task.monitors)}."
            )
        if options["truncate"] is not None and task.model.kind != "regressor":
            raise click.UsageError(
                f"--truncate is for a model with an output at every step; that of {task.program} is a "
                f"{task.model.kind}, whose loss hangs on the last state."
            )
        weights = None
        if options["class_weights"] is not None:
            if task.model.kind != "classifier":
                raise click.UsageError(
                    f"--class-weights is for classifiers; {task.program} trains a {task.model.kind}."
                )
            weights = balanced(task.train.targets, task.model.outputs)
        return cls(
            parse_schedule(options["schedule"]),
            StepOptions(options["clip_norm"], options["weight_decay"], options["truncate"], weights),
            options["precision"],
            validates,
            monitor,
            options["min_delta"],
        )

    def rate(self, task: Any, first: int) -> float:
        """The learning rate of the round that begins after step `first`."""
        rounds = -(-task.iterations // task.per_round)
        return self.schedule.rate(task.optimizer.learning_rate, first // task.per_round, rounds)
