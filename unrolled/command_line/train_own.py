"""What `train classifier` and `train regressor` share: the same networks on data of one's own."""

from __future__ import annotations

from typing import Any, Callable

import click

from unrolled.command_line.network_options import activation_option, network_of, network_options
from unrolled.command_line.options import count_option, learning_rate_option
from unrolled.command_line.tasks import Task
from unrolled.errors import DataError
from unrolled.own_data.prepare import BATCH, EPOCHS, NETWORK, Prepared

__all__ = ["common", "common_options", "counts", "enter", "header_words", "is_older", "plan"]


def common_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What both commands take."""
    share = click.FloatRange(0, 1, max_open=True)
    for option in (
        learning_rate_option(0.001),
        activation_option,
        network_options(NETWORK, "Recurrent neurons."),
        count_option("--batch-size", BATCH, "Rows per batch; all rows where there are fewer."),
        count_option("--epochs", EPOCHS, "Epochs to train."),
        click.option(
            "--header/--no-header",
            default=None,
            help="Whether numbers in a CSV file's first line are the columns' names.  [default: decided by the file]",
        ),
        click.option(
            "--scale/--no-scale",
            default=True,
            show_default=True,
            help="Bring each input to mean 0 and standard deviation 1 over the training part; images stay as they are.",
        ),
        click.option("--test-share", type=share, default=0.1, show_default=True, help="Share put aside to test on."),
        click.option(
            "--validation-share", type=share, default=0.1, show_default=True, help="Share put aside to validate on."
        ),
    ):
        command = option(command)
    return command


def is_older(resumed: Any) -> bool:
    """Whether the run that is resumed is of those that took all numbers for data, and rounded before they scaled."""
    facts = None if resumed is None else resumed.checkpoint.state.get("data")
    return isinstance(facts, dict) and "header" not in facts


def common(options: dict[str, Any]) -> dict[str, Any]:
    names = ("validation_share", "test_share", "scale", "learning_rate", "epochs", "header")
    given = {name: options[name] for name in names}
    if given["header"] is None and is_older(options.get("resume")):
        given["header"] = False
    return dict(given, network=network_of(options, NETWORK), batch=options["batch_size"])


def enter(task: Task, options: dict[str, Any], made: Prepared) -> None:
    """What both kinds of task take from the data."""
    program = made.program
    if made.train.inputs.size > 1 << 31:
        raise DataError("%s: gives more than 2**31 values to train on; give fewer" % options["data"])
    task.model, task.optimizer = program.model, program.optimizer
    task.train, task.validation, task.test = made.train, made.validation, made.test
    task.batch, task.seeds, task.iterations = program.batch, [options["seed"]], program.iterations
    task.per_round = program.iterations // options["epochs"]
    task.facts = {
        "hyperparameters": task.hyperparameters(
            epochs=options["epochs"],
            iterations_per_epoch=task.per_round,
            batch_size=task.batch,
            seed=options["seed"],
        ),
        "data": made.facts,
    }


def header_words(options: dict[str, Any], facts: dict[str, Any]) -> list[str]:
    """What was decided of a first line of numbers, where nothing was asked for."""
    if facts["header"] is None or options["header"] is not None:
        return []
    words = ("data", "--header if they are the columns' names"), ("the columns' names", "--no-header if they are data")
    return ["numbers in the first line: taken for %s; %s" % words[facts["header"]]]


def counts(rows: dict[str, int]) -> str:
    return "%d training, %d validation and %d test" % (rows["train"], rows["validation"], rows["test"])


def plan(task: Task, options: dict[str, Any]) -> str:
    figures = (options["units"], options["activation"], task.per_round, task.batch)
    return "%d units, %s; %d iterations of %d rows per epoch" % figures
