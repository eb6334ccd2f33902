"""python -m torch_impl predict, evaluate and export: what a trained run is for. PyTorch is imported when one runs."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from torch_impl.checkpoints.errors import CheckpointError
from unrolled.showing import shown, shown_lines

__all__ = ["evaluate", "export", "predict", "with_default"]

_SUFFIXES = {".onnx": "onnx", ".pt2": "torch"}


@contextlib.contextmanager
def _failures() -> Iterator[None]:
    """Every expected failure becomes one sentence and status 1."""
    from torch_impl.export import ExportError
    from unrolled.command_line.options import plain_failures

    with plain_failures():
        try:
            yield
        except (CheckpointError, ExportError) as error:
            raise click.ClickException(str(error)) from error


def _opened(options: dict[str, Any]) -> Any:
    """The run that the options name."""
    from torch_impl.runs import load_run

    folder, name = options["run"], options["checkpoint"]
    if folder.suffix == ".json" and folder.is_file():  # a checkpoint's own file, as --resume takes it
        folder, name = folder.parent, folder.stem
    try:
        return load_run(folder, name, options["device"])
    except ValueError as error:  # a device that is not there
        raise click.ClickException(str(error)) from error


def _run_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """RUN, --checkpoint and --device."""
    command = click.option(
        "--device",
        type=click.Choice(["cpu", "cuda", "mps", "auto"]),
        default="cpu",
        show_default=True,
        help="Where to compute; auto is cuda or mps where there is one.",
    )(command)
    command = click.option(
        "--checkpoint",
        help="Which checkpoint of the run; also as RUN/last.json.  [default: best where last names it as the best "
        "round, else last]",
    )(command)
    return command


_run = click.argument("run", type=click.Path(path_type=Path))
_file = click.Path(dir_okay=False, path_type=Path)


def _write(path: Path, content: bytes | None, what: str) -> None:
    from unrolled.writing import write_atomically

    if content is None:
        return
    write_atomically(path, content)
    click.echo(f"{what}: {shown(path)}", err=True)


def _print(text: str) -> None:
    """As it is to a file or a program, as it may be shown to a terminal."""
    click.echo(shown_lines(text) if sys.stdout.isatty() else text, nl=False)


def _drawn(draw: Callable[..., bytes], *arguments: Any, asked: bool = True) -> bytes | None:
    """The picture; where there is no matplotlib, an error, or a line and None where no picture was asked for."""
    try:
        return draw(*arguments)
    except ImportError as error:
        needed = f"needs matplotlib ({error}); pip install 'unrolled[pictures]'"
        if asked:
            raise click.ClickException(f"a picture {needed}") from error
        click.echo(f"No picture: it {needed}", err=True)
        return None


@click.command(name="predict", short_help="Use a trained run: predict RUN INPUT.")
@_run
@click.argument("input", type=click.Path(path_type=Path))
@click.option("--steps", type=click.IntRange(min=1), help="Rows to continue a series by.  [default: the run's horizon]")
@click.option("--invert", is_flag=True, help="Turn images black for white: MNIST's strokes are white on black.")
@click.option(
    "--format", "form", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True,
    help="How to print the predictions.",
)  # fmt: skip
@click.option("--output", type=_file, help="A file for the predictions, instead of the terminal.")
@click.option("--picture", type=_file, help="A PNG file for the predictions as a picture.")
@_run_options
def predict(**options: Any) -> None:
    """Predict with the run in the folder RUN for the file or folder INPUT.

    A classifier or speller takes images (PNG, JPEG, BMP, or MNIST's IDX files), sequences in an .npz or .npy file, or a
    .csv file with a line per step; a folder of such files too. It gives each row's class with its probabilities, or the
    word. A regressor takes a series (.csv, .parquet, .npy) with the columns it was trained on, and continues it. Values
    are given as they are: the run applies the scaling of its training, and undoes it.
    """
    with _failures():
        from torch_impl.using.predict import predict_file

        for name in ("output", "picture"):
            if options[name] is not None and options[name].resolve() == options["input"].resolve():
                raise click.UsageError(f"--{name} is the file INPUT; name another")
        run = _opened(options)
        found = predict_file(run, options["input"], options["steps"], options["invert"])
        text = found.text(options["form"])
        if options["output"] is None:
            _print(text)
        else:
            _write(options["output"], text.encode(), "Predictions")
        if options["picture"] is not None:
            from torch_impl.using.pictures import predictions_picture

            title = f"{run.folder.name or run.folder} on {options['input'].name}"
            _write(options["picture"], _drawn(predictions_picture, title, found), "Picture")


@click.command(short_help="Accuracy or errors of a trained run: evaluate RUN.")
@_run
@click.option(
    "--data", "data_path", type=click.Path(path_type=Path),
    help="Labelled sequences, a folder like MNIST's, or a table.  [default: the test part of what the run was trained "
    "on]",
)  # fmt: skip
@click.option(
    "--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True,
    help="How to print the figures.",
)  # fmt: skip
@click.option("--picture", type=_file, help="A PNG file for the picture.  [default: RUN/evaluation.png]")
@click.option("--no-picture", is_flag=True, help="Draw none.")
@_run_options
def evaluate(**options: Any) -> None:
    """Measure the run in the folder RUN on data that it was not trained on.

    A classifier or speller gives its accuracy with a 95% confidence interval (Wilson's), its balanced accuracy and
    macro-F1, recall and precision by class, and the confusion matrix as a picture. A regressor gives mean square and
    mean absolute errors by column and steps ahead, in the data's own units, beside those of the last known value taken
    for a forecast, and a picture of the forecasts.
    """
    with _failures():
        from torch_impl.using.evaluate import evaluate as evaluated

        run = _opened(options)
        found = evaluated(run, options["data_path"])
        _print(found.text(options["form"]))
        if not options["no_picture"]:
            from torch_impl.using.pictures import evaluation_picture

            target = options["picture"] or run.folder / "evaluation.png"
            drawn = _drawn(evaluation_picture, found, asked=options["picture"] is not None)
            _write(target, drawn, "Picture")


@click.command(short_help="A trained run as ONNX or torch.export: export RUN FILE.")
@_run
@click.argument("file", type=_file)
@click.option(
    "--format", "form", type=click.Choice(["onnx", "torch"]),
    help="An ONNX file, or a program for torch.export.load.  [default: by FILE's suffix, .onnx or .pt2]",
)  # fmt: skip
@click.option("--lengths/--no-lengths", default=True, show_default=True, help="Take rows of different lengths.")
@click.option(
    "--data", "data_path", type=click.Path(path_type=Path),
    help="A file of inputs to check with.  [default: the test part of what the run was trained on]",
)  # fmt: skip
@click.option("--check/--no-check", default=True, show_default=True, help="Compare with the run before writing.")
@_run_options
def export(**options: Any) -> None:
    """Write the run in the folder RUN to FILE for other programs.

    Batch and steps stay free, and the scaling of the training data goes with it: both take and give values in the
    user's own units. The export is run on real inputs (by onnxruntime, or by PyTorch), and only written when it gives
    what the run gives, to 1e-5 of what that varies by; inputs are double where float32 would lose part of them.
    """
    form = options["form"] or _SUFFIXES.get(options["file"].suffix.lower())
    if form is None:
        raise click.UsageError("FILE ends neither in .onnx nor in .pt2; say --format onnx or --format torch")
    with _failures():
        from torch_impl.using.exporting import export_run

        run = _opened(options)
        found = export_run(run, options["file"], form, options["lengths"], options["data_path"], options["check"])
    if found is None:
        click.echo(f"{shown(options['file'])}: written, not checked.")
    else:
        click.echo(
            f"{shown(options['file'])}: differs from the run by at most {found.difference:.2g}, of values that "
            f"vary by {found.varied:.3g}, over {found.rows} rows of {shown(found.source)}."
        )


def with_default(group: click.Group, default: click.Command) -> click.Group:
    """`group` with the command `default` for whatever does not start with the name of one of the group's own."""

    class _WithDefault(click.Group):
        otherwise = default

        def make_context(self, info_name: str | None, args: list[str], *rest: Any, **extra: Any) -> click.Context:
            if args and args[0] in self.commands:
                return super().make_context(info_name, args, *rest, **extra)
            return default.make_context(info_name, args, *rest, **extra)

    listed = "\n".join(f"  {group.name} {name}  {each.get_short_help_str()}" for name, each in group.commands.items())
    default.epilog = f"\b\nAlso:\n{listed}"
    return _WithDefault(group.name, group.commands, help=default.help, short_help=default.short_help)
