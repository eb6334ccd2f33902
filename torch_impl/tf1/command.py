"""python -m torch_impl convert: a TensorFlow 1 checkpoint into a run folder, and a run into such a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from torch_impl.checkpoints.errors import CheckpointError
from unrolled.networks import ACTIVATIONS

__all__ = ["convert"]

_PATH = click.Path(path_type=Path)


def _pairs(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for value in values:
        name, found, canonical = value.rpartition("=")
        if not found or not name or not canonical or name in pairs:
            raise click.BadParameter(f"{value!r} is not NAME=CANONICAL with a NAME of its own", context, parameter)
        pairs[name] = canonical
    return pairs


@click.command(short_help="Convert TensorFlow 1 checkpoints, both ways.")
@click.argument("source", type=_PATH)
@click.argument("target", type=_PATH, required=False)
@click.option("--to-tf1", is_flag=True, help="SOURCE is a run folder or a module, TARGET the prefix of a checkpoint.")
@click.option("--list", "listing", is_flag=True, help="Show every variable and what it was taken for; write nothing.")
@click.option("--check", type=_PATH, metavar="FILE.npz", help="Compare with inputs and outputs recorded in TensorFlow.")
@click.option("--check-with", type=_PATH, metavar="PYTHON", help="Compare with TensorFlow, run by that Python now.")
@click.option("--as-module", type=_PATH, metavar="FILE.py", help="Write PyTorch code, and FILE.safetensors beside it.")
@click.option("--program", type=click.Choice(["mnist", "series"]), help="The chapter's program that was trained.")
@click.option(
    "--kind", type=click.Choice(["classifier", "regressor", "tagger"]), help="The model, where no graph tells."
)
@click.option("--activation", type=click.Choice(ACTIVATIONS), help="The cells', where no graph tells.")
@click.option("--forget-bias", type=float, help="An LSTM's, where no graph tells.")
@click.option("--recurrent-activation", type=click.Choice(ACTIVATIONS), help="Of Keras's gates, where no graph tells.")
@click.option("--hidden-activation", type=click.Choice(ACTIVATIONS), help="Of dense layers below the last.")
@click.option("--head-activation", type=click.Choice(ACTIVATIONS), help="Of the last, where no graph tells.")
@click.option("--cell-clip", type=click.FloatRange(0), help="Of an LSTM's c, where no graph tells.")
@click.option("--projection-clip", type=click.FloatRange(0), help="Of an LSTM's projection, where no graph tells.")
@click.option(
    "--residual", type=click.IntRange(0), multiple=True, metavar="LAYER", help="A layer, from 0, with its inputs added."
)
@click.option(
    "--projection", type=click.Choice(["stacked", "wrapped"]), help="A regressor's: after the loop or inside."
)
@click.option("--scope", default="", metavar="NAME", help="Of several models, the one whose variables begin so.")
@click.option("--ema", is_flag=True, help="Take the moving averages for the weights.")
@click.option("--no-graph", is_flag=True, help="Go by names alone, also where a graph (.meta) lies beside SOURCE.")
@click.option("--learning-rate", type=click.FloatRange(0), help="Adam's, from here on.")
@click.option("--beta1", type=click.FloatRange(0, 1, max_open=True), help="Adam's.")
@click.option("--beta2", type=click.FloatRange(0, 1, max_open=True), help="Adam's.")
@click.option("--epsilon", type=click.FloatRange(0), help="Adam's.")
@click.option("--clip-norm", type=click.FloatRange(0, min_open=True), help="What gradients are clipped to together.")
@click.option(
    "--map", "mapped", multiple=True, callback=_pairs, metavar="NAME=CANONICAL", help="Say what a variable is."
)
@click.option("--ignore", multiple=True, metavar="NAME", help="Leave a variable and its slots out.")
@click.option(
    "--dense", type=click.Choice(["fully_connected", "dense"]), help="With --to-tf1: the dense layer's names."
)
@click.option("--checkpoint", help="With --to-tf1: which of the run.  [default: best where last names it, else last]")
@click.option("--force", is_flag=True, help="Replace what is at TARGET; leave out what was trained.")
@click.pass_context
def convert(context: click.Context, source: Path, target: Path | None, to_tf1: bool, **options: Any) -> None:
    """Convert a TensorFlow 1 checkpoint to a run folder, or with --to-tf1 the other way. TensorFlow is not needed.

    SOURCE is the prefix of a checkpoint that tf.train.Saver wrote (the path without .index), or the folder with Saver's
    file `checkpoint`; TARGET is the run folder to make; without it, only what was found is shown. The graph that Saver
    keeps beside it (.meta) says what the model is; without it, names, shapes and the options do. CANONICAL is a
    weight's name here, as the conversion prints it: kernel, cell_0/gates/bias, embedding, dense/kernel, beta1_power.
    """
    _check_options(context, source, to_tf1, options["listing"])
    try:
        for line in _to_tf1(source, target, options) if to_tf1 else _from_tf1(source, target, options):
            click.echo(line)
    except CheckpointError as error:
        raise _Unusable(str(error)) from None


class _Unusable(click.ClickException):
    """Input that cannot be used, as for wrong options; 1 is for outputs that are not TensorFlow's."""

    exit_code = 2


_ONE_WAY = {
    True: (
        "listing", "check", "check_with", "as_module", "program", "kind", "activation", "forget_bias",
        "recurrent_activation", "hidden_activation", "head_activation", "cell_clip", "projection_clip", "residual",
        "projection", "scope", "ema", "no_graph", "learning_rate", "beta1", "beta2", "epsilon", "clip_norm", "ignore",
    ),
    False: ("dense", "checkpoint"),
}  # fmt: skip


def _check_options(context: click.Context, source: Path, to_tf1: bool, listing: bool) -> None:
    """An option of the other direction, or of another SOURCE, would be ignored without a word."""
    from torch_impl.tf1.module_file import is_module

    without = dict.fromkeys(_ONE_WAY[to_tf1], f"{'with' if to_tf1 else 'without'} --to-tf1")
    if listing:
        without |= dict.fromkeys(("check", "check_with", "as_module"), "with --list, which only shows variables")
    if to_tf1 and is_module(source):
        without["checkpoint"] = f"for {source}: a module is no run, and has its weights once"
    for name, why in without.items():
        if context.get_parameter_source(name) == click.core.ParameterSource.COMMANDLINE:
            option = "--" + {"listing": "list"}.get(name, name.replace("_", "-"))
            raise click.UsageError(f"{option} has no meaning {why}", context)


def _from_tf1(source: Path, target: Path | None, options: dict[str, Any]) -> Any:
    """The lines to print, each when it is known."""
    from torch_impl.tf1 import convert as converting
    from torch_impl.tf1.listing import described, story
    from torch_impl.tf1.locate import find_prefix
    from torch_impl.tf1.understand import understand

    told, shapes = _trained_as(options)
    overrides = {**options["mapped"], **dict.fromkeys(options["ignore"])}
    prefix = find_prefix(source)
    if target is not None and not options["listing"]:
        converting.check_target(target, options["force"])
    if options["listing"]:
        yield from _list(prefix, told, overrides, options["force"])
        return
    whole = understand(prefix, told, overrides, options["force"])
    whole = whole._replace(found=_with_adam(whole.found, options))
    yield from story(whole)
    yield from _checked(whole, options)
    if options["as_module"]:
        from torch_impl.tf1.modules import write_module

        yield from write_module(whole, options["as_module"], options["force"])
    if whole.found.model is None:
        if options["as_module"] and target is None:
            return
        raise CheckpointError(f"{prefix}: {converting.more_than_known(whole.found)}")
    if target is None:
        yield f"{prefix}: {described(whole.found.model)}. Name a folder to make a run of it."
        return
    made = converting.write_run(whole, target, told._replace(optimizer=whole.found.optimizer), shapes)
    yield from (f"  cannot be kept for the way back: {name}" for name in made.uncarried)
    steps = "an unknown number of" if made.state["step"] is None else made.state["step"]
    adam = "Adam's state" if whole.found.slots else "no state of Adam's: it starts afresh"
    yield f"{target}: {described(whole.found.model)} after {steps} steps, {adam}."


def _list(prefix: Path, told: Any, overrides: Any, force: bool) -> Any:
    """Every variable; what it was taken for, if that can be said."""
    from torch_impl.tf1.listing import listed
    from torch_impl.tf1.understand import understand
    from torch_impl.tf1.variables import Variables

    try:
        whole = understand(prefix, told._replace(kind=told.kind or "classifier"), overrides, force)
    except CheckpointError as error:
        yield from listed(Variables(prefix))
        yield f"What they are together is not known: {error}"
        return
    yield from listed(whole.variables, whole.found)


def _checked(whole: Any, options: dict[str, Any]) -> Any:
    """The proofs that were asked for; ClickException where one fails."""
    from torch_impl.tf1.proof import check_file, check_with

    for option, check in (
        ("check", lambda path: check_file(whole, path, _recorded(path))),
        ("check_with", lambda path: check_with(whole.found, whole.variables.prefix, path)),
    ):
        if options[option] is not None:
            if not whole.found.whole:
                raise CheckpointError(
                    f"{whole.variables.prefix}: --{option.replace('_', '-')} compares a model's outputs, and of this "
                    f"only parts are known ({whole.found.why}); leave it out"
                )
            near, most = check(options[option])
            yield f"  checked with {options[option]}: the largest difference is {near:.1e} of the largest output"
            if not near <= most:
                cause = "see what was assumed, and say it by option"
                if whole.found.dropped:
                    cause = (
                        f"the graph drops out on the way to them (kept: {'; '.join(whole.found.dropped)}): record them "
                        "with dropout off, and compare again"
                    )
                raise click.ClickException(
                    f"{whole.variables.prefix}: its outputs are not TensorFlow's: {near:.1e} of the largest apart, at "
                    f"most {most:g} is rounding; {cause}"
                )


def _recorded(path: Path) -> dict[str, Any]:
    from unrolled.errors import DataError
    from unrolled.own_data.arrays import read_npz

    try:
        return read_npz(path)
    except DataError as error:
        raise CheckpointError(str(error)) from None


def _with_adam(found: Any, options: dict[str, Any]) -> Any:
    """What was found, with Adam's settings as far as the user gave them."""
    from dataclasses import replace

    from unrolled.programs import PROGRAMS, Adam

    given = {name: options[name] for name in Adam._fields if options[name] is not None}
    base = found.optimizer or (PROGRAMS[options["program"]].optimizer if options["program"] else Adam())
    starts = {"learning_rate": "the learning rate", "clip_norm": "gradients are not clipped"}
    said = [start for option, start in starts.items() if options[option] is not None]
    found.assumed = [line for line in found.assumed if not line.startswith(tuple(said))]
    clip_norm = found.clip_norm if options["clip_norm"] is None else options["clip_norm"]
    return replace(found, optimizer=base._replace(**given), clip_norm=clip_norm)


def _to_tf1(source: Path, target: Path | None, options: dict[str, Any]) -> Any:
    from torch_impl.checkpoints.default import default_checkpoint
    from torch_impl.tf1.back import convert_to_tf1
    from torch_impl.tf1.module_file import is_module

    if target is None:
        raise click.UsageError("Missing argument 'TARGET'.")
    names = {canonical: variable for variable, canonical in options["mapped"].items()}
    if len(names) < len(options["mapped"]):
        raise click.UsageError("--map names one canonical weight twice")
    name = None if is_module(source) else options["checkpoint"] or default_checkpoint(source)
    written = convert_to_tf1(source, target, names, options["dense"], name, options["force"])
    yield from (f"  {variable} {list(shape)}" for variable, shape in written.items())
    of = f" of checkpoint {name!r}" if name else ""
    yield f"{target}: {len(written)} variables{of}, for tf.train.Saver().restore(session, {str(target)!r})."


def _trained_as(options: dict[str, Any]) -> tuple[Any, Any]:
    """(TrainedAs, the weights' shapes or None): what the options say."""
    from torch_impl.tf1.inferred import TrainedAs
    from unrolled.networks import shapes
    from unrolled.programs import PROGRAMS

    names = ("kind", "activation", "projection", "forget_bias", "hidden_activation", "recurrent_activation", "scope",
             "clip_norm", "cell_clip", "projection_clip", "head_activation")  # fmt: skip
    told = TrainedAs(**{name: options[name] for name in names}, averages=options["ema"], graph=not options["no_graph"],
                     residual=options["residual"] or None)  # fmt: skip
    if not options["program"]:
        return told, None
    if options["kind"] or options["activation"]:
        raise click.UsageError("--program says the kind and the activation; leave --kind and --activation out")
    model = PROGRAMS[options["program"]].model
    network: Any = model.network
    told = told._replace(kind=model.kind, activation=network.activation, program=options["program"])
    return told, shapes(model.weights())
