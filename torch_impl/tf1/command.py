"""python -m torch_impl convert: a TensorFlow 1 checkpoint into a run folder, and a run into such a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from torch_impl.checkpoints.errors import CheckpointError

__all__ = ["convert"]


def _pairs(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for value in values:
        name, found, canonical = value.rpartition("=")
        if not found or not name or not canonical or name in pairs:
            raise click.BadParameter(f"{value!r} is not NAME=CANONICAL with a NAME of its own", context, parameter)
        pairs[name] = canonical
    return pairs


@click.command(short_help="Convert TensorFlow 1 checkpoints, both ways.")
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--to-tf1", is_flag=True, help="SOURCE is a run folder, TARGET the prefix of a TensorFlow 1 checkpoint.")
@click.option("--program", type=click.Choice(["mnist", "series"]), help="The chapter's program that was trained.")
@click.option("--kind", type=click.Choice(["classifier", "regressor"]), help="The model, for any other program.")
@click.option("--activation", type=click.Choice(["tanh", "relu"]), help="The cell's, for any other program.")
@click.option("--learning-rate", type=click.FloatRange(0), help="Adam's, from here on.  [default: 0.001]")
@click.option("--beta1", type=click.FloatRange(0, 1, max_open=True), help="Adam's.  [default: 0.9]")
@click.option("--beta2", type=click.FloatRange(0, 1, max_open=True), help="Adam's.  [default: 0.999]")
@click.option("--epsilon", type=click.FloatRange(0), help="Adam's.  [default: 1e-08]")
@click.option(
    "--map", "mapped", multiple=True, callback=_pairs, metavar="NAME=CANONICAL", help="Say what a variable is."
)
@click.option("--ignore", multiple=True, metavar="NAME", help="Leave a variable and its slots out.")
@click.option(
    "--dense", type=click.Choice(["fully_connected", "dense"]), help="With --to-tf1: the dense layer's names."
)
@click.option("--checkpoint", default="last", show_default=True, help="With --to-tf1: which checkpoint of the run.")
@click.option("--force", is_flag=True, help="Replace what is at TARGET.")
@click.pass_context
def convert(context: click.Context, source: Path, target: Path, to_tf1: bool, **options: Any) -> None:
    """Convert a TensorFlow 1 checkpoint to a run folder, or with --to-tf1 the other way. TensorFlow is not needed.

    SOURCE is the prefix of a checkpoint that tf.train.Saver wrote (the path without .index), or the folder with Saver's
    file `checkpoint`; TARGET is the run folder to make. Variables are matched by name: those of a BasicRNNCell, one
    dense layer (contrib, tf.layers or OutputProjectionWrapper), Adam and the global step. CANONICAL is kernel, bias,
    dense/kernel, dense/bias, one of their slots (kernel/Adam, kernel/Adam_1), beta1_power, beta2_power or global_step.
    """
    _check_options(context, to_tf1)
    try:
        lines = _to_tf1(source, target, options) if to_tf1 else _from_tf1(source, target, options)
    except CheckpointError as error:
        raise click.ClickException(str(error)) from None
    for line in lines:
        click.echo(line)


_ONE_WAY = {
    True: ("program", "kind", "activation", "learning_rate", "beta1", "beta2", "epsilon", "ignore"),
    False: ("dense", "checkpoint"),
}


def _check_options(context: click.Context, to_tf1: bool) -> None:
    """An option of the other direction would be ignored without a word."""
    for name in _ONE_WAY[to_tf1]:
        if context.get_parameter_source(name) == click.core.ParameterSource.COMMANDLINE:
            option = "--" + name.replace("_", "-")
            raise click.UsageError(f"{option} has no meaning {'with' if to_tf1 else 'without'} --to-tf1", context)


def _from_tf1(source: Path, target: Path, options: dict[str, Any]) -> list[str]:
    from torch_impl.tf1.convert import convert_from_tf1

    overrides = {**options["mapped"], **dict.fromkeys(options["ignore"])}
    state = convert_from_tf1(source, target, overrides, *_trained_as(options), options["force"])
    model, names = state["model"], state["tf1_names"]
    lines = [f"  {variable} -> {canonical}" for canonical, variable in names.items()]
    adam = "Adam's state" if "beta1_power" in names else "no optimizer state: Adam starts afresh"
    steps = "an unknown number of" if state["step"] is None else state["step"]
    return [
        *lines,
        f"{target}: a {model['kind']} of {model['inputs']} inputs, {model['network']['units']} "
        f"{model['network']['activation']} units and {model['outputs']} outputs after {steps} steps, {adam}.",
    ]


def _to_tf1(source: Path, target: Path, options: dict[str, Any]) -> list[str]:
    from torch_impl.tf1.convert import convert_to_tf1

    names = {canonical: variable for variable, canonical in options["mapped"].items()}
    if len(names) < len(options["mapped"]):
        raise click.UsageError("--map names one canonical weight twice")
    written = convert_to_tf1(source, target, names, options["dense"], options["checkpoint"], options["force"])
    lines = [f"  {variable} {list(shape)}" for variable, shape in written.items()]
    return [*lines, f"{target}: {len(written)} variables, for tf.train.Saver().restore(session, {str(target)!r})."]


def _trained_as(options: dict[str, Any]) -> tuple[Any, Any]:
    """(TrainedAs, the weights' shapes or None): from --program, or from --kind and --activation."""
    from torch_impl.tf1.convert import TrainedAs
    from unrolled.programs import PROGRAMS, Adam

    given = {name: options[name] for name in Adam._fields if options[name] is not None}
    if options["program"]:
        if options["kind"] or options["activation"]:
            raise click.UsageError("--program says the kind and the activation; leave --kind and --activation out")
        from unrolled.networks import shapes

        model, adam = PROGRAMS[options["program"]].model, PROGRAMS[options["program"]].optimizer
        network: Any = model.network
        chosen = (model.kind, network.activation)
        return TrainedAs(*chosen, None, adam._replace(**given), options["program"]), shapes(model.weights())
    if not options["kind"] or not options["activation"]:
        raise click.UsageError(
            "a TensorFlow 1 checkpoint does not say what was trained: give --program, or --kind and --activation"
        )
    return TrainedAs(options["kind"], options["activation"], None, Adam(**given)), None
