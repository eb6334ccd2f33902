"""Where a command's options come from beside the command line: a file, or the run that is resumed.

Either becomes the defaults of the command (click's default_map), and is read as strictly as the command line.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

if TYPE_CHECKING:
    from torch_impl.checkpoints.run_files import Checkpoint

__all__ = ["Resumed", "flag_of", "from_file", "from_run", "plain_options"]

# Not what a run is, but how one command was called.
_OF_ONE_COMMAND = ("resume", "config", "force", "output")


class Resumed(NamedTuple):
    """The checkpoint that --resume names. where: its name for messages. begun: whether `train` has had it before; else
    `convert` made it. outputs: of a model that came from TensorFlow, which its data do not decide; else None."""

    folder: Path
    where: str
    checkpoint: Checkpoint
    begun: bool = True
    outputs: int | None = None


def plain_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a run as JSON can hold them; paths become absolute, to be found from any folder."""
    context = click.get_current_context(silent=True)
    params = {} if context is None else {param.name: param for param in context.command.params}
    plain = {}
    for name, value in options.items():
        if name in _OF_ONE_COMMAND:
            continue
        is_path = isinstance(value, Path) or (
            isinstance(value, str) and name in params and isinstance(params[name].type, click.Path)
        )
        plain[name] = str(Path(value).resolve()) if is_path else list(value) if isinstance(value, tuple) else value
    return plain


def from_file(ctx: click.Context, param: click.Parameter, value: Path | None) -> Path | None:
    """Make the file's options the defaults of the command."""
    if value is not None:
        from torch_impl.runs.config_file import read_options

        options = _of_a_run(read_options(value), ctx, value)
        known = {_key(flag): other for other in ctx.command.params for flag in _flags(other)}
        defaults = {}
        for key, given in options.items():
            found = known.get(_key(key))
            if found is None or found.name in ("config", "resume", "help"):
                names = sorted({flag_of(other)[2:] for other in known.values()} - {"config", "resume", "help"})
                raise click.BadParameter(
                    f"{value}: {key!r} is no option here; expected {', '.join(names)}.", ctx, param
                )
            defaults[str(found.name)] = _value(found, given, f"{value}: {key}")
        ctx.default_map = {**(ctx.default_map or {}), **defaults}
    return value


def _of_a_run(options: dict[str, Any], ctx: click.Context, path: Path) -> dict[str, Any]:
    """The options themselves, where the file is a run's config.json: to train once more as that was."""
    if options.get("schema") != "unrolled.run/1" or not isinstance(options.get("options"), dict):
        return options
    if options.get("program") != ctx.command.name:
        raise click.ClickException(
            f"{path}: is of a training of {options.get('program')!r:.60}, not of {ctx.command.name}"
        )
    flags = {str(param.name): flag_of(param) for param in ctx.command.params}
    made = _as_made(options["options"], options.get("model"))
    return {flags.get(name, name): value for name, value in made.items() if value is not None}


def _as_made(options: dict[str, Any], model: Any) -> dict[str, Any]:
    """A run's options, with what one had that is older than an option: a classifier's best round had the highest
    accuracy, and a series of one's own was read as it is."""
    kind = model.get("kind") if isinstance(model, dict) else None
    if kind == "regressor" and "horizon" in options:
        return {"reading": "level", **options}
    return {"monitor": "accuracy", **options} if kind == "classifier" else options


def from_run(ctx: click.Context, param: click.Parameter, value: Path | None) -> Resumed | None:
    """Load the checkpoint, and make its options the defaults of the command."""
    if value is None:
        return None
    from torch_impl.checkpoints.errors import CheckpointError
    from torch_impl.checkpoints.run_files import load_checkpoint
    from torch_impl.runs import converted

    folder, name = (value, "last") if value.is_dir() else (value.parent, value.name.removesuffix(".json"))
    where = f"{folder}, checkpoint {name!r}"
    try:
        checkpoint = load_checkpoint(folder, name)
    except CheckpointError as error:
        raise click.ClickException(str(error)) from error
    state = checkpoint.state
    options, program, outputs = state.get("options"), state.get("program"), None
    begun = isinstance(options, dict) and isinstance(state.get("run"), dict)
    if converted.is_converted(state):
        try:
            outputs = converted.model_of(state, where).outputs
            options = options if begun else converted.first_options(state, where)
        except CheckpointError as error:
            raise click.ClickException(str(error)) from error
    elif not begun:
        raise click.ClickException(f"{where}: was not written by `train`, so there is nothing to resume")
    assert isinstance(options, dict)
    if begun and program != ctx.command.name:
        raise click.ClickException(
            f"{where}: holds a training of {program}, not of {ctx.command.name}: use train {program} --resume"
        )
    known = {str(other.name): other for other in ctx.command.params if other.name not in _OF_ONE_COMMAND}
    options = _as_made(options, state.get("model")) if begun else options
    given = {name: value for name, value in options.items() if name in known and value is not None}
    defaults = {name: _value(known[name], value, f"{where}: option {name}") for name, value in given.items()}
    ctx.default_map = {**defaults, "output": str(folder)}
    return Resumed(folder, where, checkpoint, begun, outputs)


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
    try:
        text = str(given)
    except ValueError:  # an integer that Python does not write out
        raise click.ClickException(f"{where} is a number of thousands of digits, expected a smaller one") from None
    if "\0" in text:
        raise click.ClickException(f"{where} holds a zero byte, expected plain text")
    return [text] if param.multiple else text


def _flags(param: click.Parameter) -> list[str]:
    return [flag for flag in param.opts if flag.startswith("--")]


def flag_of(param: click.Parameter) -> str:
    return (_flags(param) or [str(param.name)])[0]


def _key(flag: str) -> str:
    return flag.removeprefix("--").replace("_", "-")
