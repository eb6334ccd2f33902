"""The options that `train` has for runs, beside those of both implementations."""

from __future__ import annotations

import math
from pathlib import Path

import click

from torch_impl.runs.schedule import parse_schedule
from torch_impl.runs.sources import from_file, from_run

__all__ = ["RunOption", "run_options"]


class RunOption(click.Option):
    """One of the second group."""


def run_options() -> list[click.Parameter]:
    """In the order of --help."""
    return [
        RunOption(
            ["--config"],
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            is_eager=True,
            callback=from_file,
            help="Take options from a TOML, YAML or JSON file, by their names here, or from a run's config.json; the "
            "command line wins.",
        ),
        RunOption(
            ["--resume"],
            metavar="RUN",
            type=click.Path(exists=True, path_type=Path),
            is_eager=True,
            callback=from_run,
            help="Go on with the unfinished run in this folder, from its checkpoint last, or from the one whose .json "
            "file is named; its options hold, and only a few can be given anew.",
        ),
        RunOption(
            ["--force"],
            is_flag=True,
            help="Replace the run in the folder; with --resume, also newer checkpoints than the one named.",
        ),
        RunOption(
            ["--checkpoint-every"],
            metavar="N",
            type=click.IntRange(min=1),
            help="Keep a checkpoint of its own every N rounds (epochs; 100 iterations of the series).  [default: only "
            "last, saved after a round]",
        ),
        RunOption(
            ["--keep-best/--no-keep-best"],
            default=None,
            help="Measure the validation set after each round, and keep the best one as checkpoint best, which is what "
            "evaluate, predict and export then take.  [default: for data of your own with a validation part]",
        ),
        RunOption(
            ["--early-stopping"],
            metavar="ROUNDS",
            type=click.IntRange(min=1),
            help="Stop after so many rounds without a better one on the validation set; keeps the best, too.  "
            "[default: train to the end]",
        ),
        RunOption(
            ["--monitor"],
            type=click.Choice(["loss", "accuracy", "macro-f1"]),
            help="What on the validation set makes a round the best: the least loss or, of a classifier, the highest "
            "accuracy or macro-F1.  [default: loss; for the speller accuracy]",
        ),
        RunOption(
            ["--min-delta"],
            type=float,
            default=0.0,
            show_default=True,
            callback=_not_negative,
            help="A round counts as better only where it is so by more than this.",
        ),
        RunOption(
            ["--schedule"],
            default="constant",
            show_default=True,
            callback=_schedule,
            help="The learning rate by round: constant; cosine, half a wave down to zero; step:EVERY:FACTOR, "
            "multiplied by FACTOR every so many rounds.",
        ),
        RunOption(
            ["--clip-norm"],
            type=float,
            callback=_positive,
            help="Scale a larger gradient (2-norm, by all weights together) down to this.  [default: off]",
        ),
        RunOption(
            ["--class-weights"],
            type=click.Choice(["balanced"]),
            help="Of a classifier: multiply each row's loss by rows / (classes x rows of its class), so that rare "
            "classes count as much as frequent ones.  [default: every row counts the same]",
        ),
        RunOption(
            ["--weight-decay"],
            type=float,
            default=0.0,
            show_default=True,
            callback=_not_negative,
            help="Shrink all weights by learning rate x this at each step, decoupled from Adam as in AdamW.",
        ),
        RunOption(
            ["--truncate"],
            metavar="STEPS",
            type=click.IntRange(min=1),
            help="Truncated BPTT: gradients end at each boundary of so many time steps, over which the state is "
            "carried.  [default: the whole sequence]",
        ),
        RunOption(
            ["--precision"],
            type=click.Choice(["fp32", "bf16"]),
            default="fp32",
            show_default=True,
            help="Of the matrix products; weights, loss and Adam stay in 32 bits.",
        ),
        RunOption(
            ["--tensorboard"], is_flag=True, help="Write TensorBoard's events into the run's folder tensorboard/."
        ),
    ]


def _schedule(ctx: click.Context, param: click.Parameter, value: str) -> str:
    try:
        parse_schedule(value)
    except ValueError as error:
        raise click.BadParameter(f"{error}.", ctx, param) from error
    return value


def _positive(ctx: click.Context, param: click.Parameter, value: float | None) -> float | None:
    if value is not None and not (math.isfinite(value) and value > 0):
        raise click.BadParameter(f"{value} is not a finite number above 0.", ctx, param)
    return value


def _not_negative(ctx: click.Context, param: click.Parameter, value: float) -> float:
    if not (math.isfinite(value) and value >= 0):
        raise click.BadParameter(f"{value} is not a finite number of at least 0.", ctx, param)
    return value
