"""The options that `train` has for runs: from a file, resumed, checked; a second group in --help.

Nothing here needs PyTorch until a command runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from torch_impl.checkpoints.run_files import Checkpoint

__all__ = ["Resumed", "RunCommand", "plain_options", "with_run_options"]

# What may differ from the run that is resumed. All else is as it was, or the bits could not be the same.
_CHANGEABLE = (
    "epochs", "iterations", "seeds", "learning_rate", "checkpoint_every", "device", "threads",
)  # fmt: skip
# Not what a run is, but how one command was called.
_OF_THE_CALL = ("resume", "config", "force", "output")


class Resumed(NamedTuple):
    """The checkpoint that --resume names; where: its name for messages."""

    folder: Path
    where: str
    checkpoint: Checkpoint


def plain_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a run as JSON can hold them; paths become absolute, to be found from any folder."""
    context = click.get_current_context(silent=True)
    params = {} if context is None else {param.name: param for param in context.command.params}
    plain = {}
    for name, value in options.items():
        if name in _OF_THE_CALL:
            continue
        is_path = isinstance(value, Path) or (
            isinstance(value, str) and name in params and isinstance(params[name].type, click.Path)
        )
        plain[name] = str(Path(value).resolve()) if is_path else list(value) if isinstance(value, tuple) else value
    return plain


class RunCommand(click.Command):
    """A `train` command with the options of `with_run_options`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        rest = super().parse_args(ctx, args)
        if ctx.params.get("resume") is not None:
            self._check_unchanged(ctx)
        return rest

    def _check_unchanged(self, ctx: click.Context) -> None:
        allowed = [param for param in self.params if param.name in _CHANGEABLE]
        for param in self.params:
            given = ctx.get_parameter_source(str(param.name)) is ParameterSource.COMMANDLINE
            if given and param not in allowed and param.name != "resume":
                raise click.UsageError(
                    f"{_flag(param)} cannot be given with --resume: the run goes on as it was made; "
                    f"what may change: {', '.join(map(_flag, allowed))}",
                    ctx,
                )

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        own: list[tuple[str, str]] = []
        others: list[tuple[str, str]] = []
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                (own if isinstance(param, _RunOption) else others).append(record)
        for title, records in (("Options", others), ("Options for runs", own)):
            with formatter.section(title):
                formatter.write_dl(records)


class _RunOption(click.Option):
    """One of the second group."""


def with_run_options(command: click.Command) -> RunCommand:
    """The same command with the options for runs."""
    params = [_replaced(param) for param in command.params]
    return RunCommand(
        command.name,
        callback=command.callback,
        params=[*params, *_run_options()],
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
        param.help = "The run's folder, made when missing; a finished run there is replaced."
    return param


def _run_options() -> list[click.Parameter]:
    return [
        _RunOption(
            ["--config"],
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            is_eager=True,
            callback=_from_file,
            help="Take options from a TOML, YAML or JSON file, by their names here; the command line wins.",
        ),
        _RunOption(
            ["--resume"],
            metavar="RUN",
            type=click.Path(exists=True, path_type=Path),
            is_eager=True,
            callback=_from_run,
            help="Go on with the unfinished run in this folder, from its checkpoint last, or from the one whose .json "
            "file is named; its options hold, and only a few can be given anew.",
        ),
        _RunOption(["--force"], is_flag=True, help="Replace a run in the folder that is unfinished or was converted."),
        _RunOption(
            ["--checkpoint-every"],
            metavar="N",
            type=click.IntRange(min=1),
            help="Keep a checkpoint of its own every N rounds (epochs; 100 iterations of the series).  [default: only "
            "last, saved after a round]",
        ),
    ]


def _from_file(ctx: click.Context, param: click.Parameter, value: Path | None) -> Path | None:
    """Make the file's options the defaults of the command."""
    if value is not None:
        from torch_impl.runs.config_file import read_options

        options = read_options(value)
        known = {_key(flag): other for other in ctx.command.params for flag in _flags(other)}
        defaults = {}
        for key, given in options.items():
            found = known.get(_key(key))
            if found is None or found.name in ("config", "resume", "help"):
                names = sorted({_flag(other)[2:] for other in known.values()} - {"config", "resume", "help"})
                raise click.BadParameter(
                    f"{value}: {key!r} is no option here; expected {', '.join(names)}.", ctx, param
                )
            defaults[str(found.name)] = _value(found, given, f"{value}: {key}")
        ctx.default_map = {**(ctx.default_map or {}), **defaults}
    return value


def _from_run(ctx: click.Context, param: click.Parameter, value: Path | None) -> Resumed | None:
    """Load the checkpoint, and make its options the defaults of the command."""
    if value is None:
        return None
    from torch_impl.checkpoints.errors import CheckpointError
    from torch_impl.checkpoints.run_files import load_checkpoint

    folder, name = (value, "last") if value.is_dir() else (value.parent, value.name.removesuffix(".json"))
    where = f"{folder}, checkpoint {name!r}"
    try:
        checkpoint = load_checkpoint(folder, name)
    except CheckpointError as error:
        raise click.ClickException(str(error)) from error
    options, program = checkpoint.state.get("options"), checkpoint.state.get("program")
    if not isinstance(options, dict) or not isinstance(checkpoint.state.get("run"), dict):
        raise click.ClickException(f"{where}: was not written by `train`, so there is nothing to resume")
    if program != ctx.command.name:
        raise click.ClickException(
            f"{where}: holds a training of {program}, not of {ctx.command.name}: use train {program} --resume"
        )
    known = {str(other.name): other for other in ctx.command.params if other.name not in _OF_THE_CALL}
    given = {name: value for name, value in options.items() if name in known and value is not None}
    defaults = {name: _value(known[name], value, f"{where}: option {name}") for name, value in given.items()}
    ctx.default_map = {**defaults, "output": str(folder)}
    return Resumed(folder, where, checkpoint)


def _value(param: click.Parameter, given: Any, where: str) -> Any:
    """A value from a file as text, so that it is read as strictly as from the command line."""
    flag = isinstance(param, click.Option) and param.is_flag
    if flag and isinstance(given, bool):
        return given
    if param.multiple and isinstance(given, list) and all(isinstance(one, (str, int, float)) for one in given):
        return [str(one) for one in given]
    if flag or isinstance(given, bool) or not isinstance(given, (str, int, float)):
        wanted = "true or false" if flag else "a list of numbers or texts" if param.multiple else "a number or a text"
        raise click.ClickException(f"{where} is {given!r:.60}, expected {wanted}")
    return [str(given)] if param.multiple else str(given)


def _flags(param: click.Parameter) -> list[str]:
    return [flag for flag in param.opts if flag.startswith("--")]


def _flag(param: click.Parameter) -> str:
    return (_flags(param) or [str(param.name)])[0]


def _key(flag: str) -> str:
    return flag.removeprefix("--").replace("_", "-")
