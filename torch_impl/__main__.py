"""The command line: python -m torch_impl."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from torch_impl.bench.command import bench
from torch_impl.datasets import DATASETS, DatasetError, fetch
from torch_impl.runs.command import with_run_options
from torch_impl.tf1.command import convert
from torch_impl.using.command import evaluate, export, predict, with_default


def _backend(device: str, threads: int | None) -> Any:
    """What computes for `show` and `predict speller`; PyTorch is imported only here, when one of them runs."""
    from torch_impl import adapter, devices

    return adapter.backend(str(devices.usable(device)), threads)


@click.command(name="fetch", short_help="Download Fashion-MNIST, KMNIST or MNIST.")
@click.argument("name", type=click.Choice(list(DATASETS)))
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def fetch_command(name: str, folder: Path) -> None:
    """Download a data set in MNIST's format into FOLDER, and print the command that trains on it.

    What FOLDER holds already is checked and kept.
    """
    try:
        home = fetch(name, folder)
    except DatasetError as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        click.echo("Interrupted.", err=True)
        raise click.exceptions.Exit(130) from None
    click.echo(f"{name} is in {home}. To train on it:\n")
    click.echo(f"    python -m torch_impl train mnist --data {shlex.quote(str(home))}")


def _train(name: str, backend: Any, options: dict[str, Any], prepare: Any) -> None:
    """What a train command does; PyTorch is imported only here."""
    from torch_impl.runs.train import train_run

    train_run(name, options, prepare)


def main() -> None:
    make_group()(prog_name="python -m torch_impl")


def make_group() -> click.Group:
    """All commands."""
    from unrolled.command_line import command_line

    group = command_line("torch_impl", "Recurrent networks in PyTorch: the chapter's programs.", _backend, _train)
    train = group.commands["train"]
    assert isinstance(train, click.Group)
    train.commands.update({name: with_run_options(command) for name, command in train.commands.items()})
    predicting = group.commands["predict"]
    assert isinstance(predicting, click.Group)
    for command in (with_default(predicting, predict), evaluate, export, fetch_command, convert, bench):
        group.add_command(command)
    return group


if __name__ == "__main__":
    main()
