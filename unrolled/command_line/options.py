"""Options that several commands share, and the turning of expected failures into one sentence and an exit status."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path
from typing import Any, Callable, Iterator

import click

from unrolled.errors import DataError

__all__ = [
    "backend_options",
    "count_option",
    "learning_rate_option",
    "open_backend",
    "output_options",
    "plain_failures",
    "seed_option",
]

INTERRUPTED = 130  # what shells report for SIGINT: 128 + 2


def backend_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--device and --threads."""
    command = click.option(
        "--threads",
        type=click.IntRange(1, 1024),
        help="CPU threads.  [default: what the framework takes]",
    )(command)
    return click.option(
        "--device",
        type=click.Choice(["cpu", "cuda", "auto"]),
        default="cpu",
        show_default=True,
        help="Where to compute; auto is cuda where there is one.",
    )(command)


def seed_option(text: str) -> Callable[..., Any]:
    """--seed, 0 to 2**32 - 1, default 1; text says what it decides."""
    seeds = click.IntRange(0, 2**32 - 1)
    return click.option("--seed", type=seeds, default=1, show_default=True, help=text)


def count_option(flag: str, default: int, text: str) -> Callable[..., Any]:
    """An option for a number of things, from 1 to 2**31 - 1, which every framework holds."""
    return click.option(
        flag, type=click.IntRange(min=1), default=default, show_default=True, callback=_below, help=text
    )


def _below(context: click.Context, parameter: click.Parameter, value: int | None) -> int | None:
    if value is not None and value >= 2**31:
        raise click.BadParameter("%d is not below 2**31." % value)
    return value


def learning_rate_option(default: float) -> Callable[..., Any]:
    """--learning-rate, finite and above 0."""

    def check(context: click.Context, parameter: click.Parameter, value: float) -> float:
        if not (math.isfinite(value) and value > 0):
            raise click.BadParameter("%s is not a finite number above 0." % value)
        return value

    return click.option(
        "--learning-rate", type=float, default=default, show_default=True, callback=check, help="Adam's learning rate."
    )


def output_options(default: str) -> Callable[..., Any]:
    """--output, a folder, made when missing; --device and --threads."""
    option = click.option(
        "--output",
        type=click.Path(file_okay=False),
        default=default,
        show_default=True,
        callback=lambda context, parameter, value: Path(value),
        help="Folder for the results, made when missing.",
    )
    return lambda command: option(backend_options(command))


def open_backend(backend: Callable[[str, int | None], Any], device: str, threads: int | None) -> Any:
    """The backend. A missing framework or device ends the command with its own sentence."""
    try:
        return backend(device, threads)
    except (ImportError, ValueError) as error:
        raise click.ClickException(str(error)) from error


def _is_out_of_memory(error: Exception) -> bool:
    """Whether an error of any framework says so: they share no class, and PyTorch's on a CPU is a RuntimeError."""
    if isinstance(error, MemoryError) or type(error).__name__ in ("OutOfMemoryError", "ResourceExhaustedError"):
        return True
    text = str(error)
    signs = ("can't allocate memory", "not enough memory", "Storage size calculation overflowed")
    return isinstance(error, RuntimeError) and any(sign in text for sign in signs)


@contextlib.contextmanager
def plain_failures(interrupted: str = "Interrupted.") -> Iterator[None]:
    """Around a command: a DataError, or memory that is not there, becomes one sentence and status 1, Ctrl-C the line
    `interrupted` and status 130. A KeyboardInterrupt with a `status` of its own, for another signal, ends with that."""
    try:
        yield
    except DataError as error:
        raise click.ClickException(str(error)) from error
    except Exception as error:
        if not _is_out_of_memory(error):
            raise
        raise click.ClickException(
            "not enough memory for a network of this size; take fewer --units or a smaller batch"
        ) from error
    except KeyboardInterrupt as stop:
        click.echo(interrupted, err=True)
        raise click.exceptions.Exit(getattr(stop, "status", INTERRUPTED)) from None
