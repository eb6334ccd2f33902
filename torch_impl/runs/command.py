"""A `train` command as this implementation has it: with the options for runs, a second group in --help.

Nothing here needs PyTorch until a command runs.
"""

from __future__ import annotations

import click
from click.core import ParameterSource

from torch_impl.runs.converted import NETWORK_OPTIONS
from torch_impl.runs.options import RunOption, run_options
from torch_impl.runs.sources import flag_of

__all__ = ["RunCommand", "with_run_options"]

# What may differ from the run that is resumed. All else is as it was, or the bits could not be the same.
_CHANGEABLE = (
    "epochs", "iterations", "seeds", "learning_rate", "clip_norm", "early_stopping", "keep_best", "checkpoint_every",
    "tensorboard", "device", "threads",
)  # fmt: skip


class RunCommand(click.Command):
    """A `train` command with the options of `with_run_options`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        rest = super().parse_args(ctx, args)
        if ctx.params.get("resume") is not None:
            self._check_unchanged(ctx)
        return rest

    def _check_unchanged(self, ctx: click.Context) -> None:
        begun = ctx.params["resume"].begun
        for param in self.params:
            given = ctx.get_parameter_source(str(param.name)) is ParameterSource.COMMANDLINE
            if not given or param.name in ("resume", "force"):
                continue
            if begun and param.name not in _CHANGEABLE:
                allowed = [flag_of(other) for other in self.params if other.name in _CHANGEABLE]
                raise click.UsageError(
                    f"{flag_of(param)} cannot be given with --resume: the run goes on as it was made; "
                    f"what may change: {', '.join(allowed)}",
                    ctx,
                )
            if not begun and param.name in (*NETWORK_OPTIONS, "output", "config"):
                raise click.UsageError(
                    f"{flag_of(param)} cannot be given with --resume of a run that `convert` made, whose folder and "
                    "network stay; the data and the plan of training may be given, each by its option",
                    ctx,
                )

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        own: list[tuple[str, str]] = []
        others: list[tuple[str, str]] = []
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                (own if isinstance(param, RunOption) else others).append(record)
        for title, records in (("Options", others), ("Options for runs", own)):
            with formatter.section(title):
                formatter.write_dl(records)


def with_run_options(command: click.Command) -> RunCommand:
    """The same command with the options for runs."""
    params = [_replaced(param) for param in command.params]
    return RunCommand(
        command.name,
        callback=command.callback,
        params=[*params, *run_options()],
        help=command.help,
        short_help=command.short_help,
    )


def _replaced(param: click.Parameter) -> click.Parameter:
    """Options of both implementations that mean more here."""
    if param.name == "device":
        return click.Option(
            ["--device"],
            type=click.Choice(["cpu", "cuda", "mps", "auto"]),
            default="cpu",
            show_default=True,
            help="Where to compute; auto is cuda or mps where there is one.",
        )
    if param.name == "output" and isinstance(param, click.Option):
        param.help = "The run's folder, made when missing; a run there is replaced only with --force."
    return param
