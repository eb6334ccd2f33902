"""`train` of the command line: from options to a run, in one process or several; failures become one sentence."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import click

from torch_impl.checkpoints.errors import CheckpointError
from torch_impl.checkpoints.files import held
from torch_impl.runs.backend import RunBackend
from torch_impl.runs.converted import adopt
from torch_impl.runs.folder import check_free, check_newest
from torch_impl.runs.processes import Processes, joined
from torch_impl.runs.training_run import TrainingRun
from unrolled.command_line.loop import Loop, Prepare
from unrolled.command_line.options import open_backend
from unrolled.command_line.results import NotFiniteError, prepare_folder

__all__ = ["train_run"]


def train_run(name: str, options: dict[str, Any], prepare: Prepare) -> None:
    """Prepare a task and train it into the run folder options["output"]."""
    with contextlib.ExitStack() as stack:
        try:
            processes, device = stack.enter_context(joined(options["device"]))
        except ValueError as error:
            raise click.ClickException(str(error)) from error
        if processes.rank:
            stack.enter_context(_silence())
        with _sentences(processes, options):
            _free_folder(options, processes, stack)
            task = prepare(name, options)
            adopt(task, options)
            backend = open_backend(RunBackend, device, options["threads"])
            run = TrainingRun(name, task, options, processes)
            run.train(Loop(name, task, backend, options["output"], run, run.progress))


def _free_folder(options: dict[str, Any], processes: Processes, stack: contextlib.ExitStack) -> None:
    """See that the folder can be used, and keep others out: the first process looks, and all end when it cannot."""
    problem = None
    if processes.rank == 0:
        try:
            prepare_folder(options["output"])
            stack.enter_context(held(options["output"]))
            if options["force"]:
                pass
            elif options["resume"] is None:
                check_free(options["output"])
            else:
                check_newest(options["output"], options["resume"].checkpoint, options["resume"].where)
        except (click.ClickException, CheckpointError) as error:
            problem = error
    if processes.largest(int(problem is not None)):
        raise problem or click.exceptions.Exit(1)


@contextlib.contextmanager
def _sentences(processes: Processes, options: dict[str, Any]) -> Iterator[None]:
    try:
        yield
    except CheckpointError as error:
        raise click.ClickException(str(error)) from error
    except NotFiniteError as error:  # the first process has said so
        raise click.exceptions.Exit(1) from error
    except ImportError as error:
        if "tensorboard" not in str(error):
            raise
        raise click.ClickException(
            f"--tensorboard needs the package ({error}); pip install 'unrolled[tensorboard]'"
        ) from error
    except click.exceptions.Exit:  # a RuntimeError too
        raise
    except RuntimeError as error:
        if processes.world == 1 or "memory" in str(error):
            raise
        raise click.ClickException(
            f"process {processes.rank} has lost the others ({str(error).splitlines()[0]:.200}); the last checkpoint in "
            f"{options['output']} is good, go on from it with --resume"
        ) from error


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Nothing is printed: the first process speaks for all."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere):  # noqa: PTH123
        yield
