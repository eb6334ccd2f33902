"""The options that make a network: the same for every training, in every implementation."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any, Callable, Mapping

import click

from unrolled.models import Model
from unrolled.networks import (
    ACTIVATIONS,
    GRU,
    LSTM,
    MOST,
    BasicRNN,
    Bidirectional,
    Dropout,
    KerasGRU,
    KerasLSTM,
    LayerNormLSTM,
    Layers,
    Network,
    within,
)
from unrolled.networks.layers import MOST_LAYERS

__all__ = [
    "CELLS",
    "activation_option",
    "check_directions",
    "check_dropout",
    "network_of",
    "network_options",
    "shape_words",
    "with_network",
]

# What --cell calls them: the kinds of unrolled.networks, and the GRU that cuDNN and PyTorch have.
CELLS: dict[str, Callable[..., Network]] = {
    BasicRNN.kind: BasicRNN,
    LSTM.kind: LSTM,
    GRU.kind: GRU,
    "gru_reset_after": functools.partial(GRU, reset_after=True),
    LayerNormLSTM.kind: LayerNormLSTM,
    KerasLSTM.kind: KerasLSTM,
    KerasGRU.kind: KerasGRU,
}


def network_options(default: Any, neurons: str) -> Callable[..., Any]:
    """--cell, --units, --layers, --bidirectional and --dropout. default: the cell where none is asked for; neurons:
    what its units are."""
    options = (
        click.option(
            "--dropout",
            type=click.FloatRange(0, 1, max_open=True),
            default=0.0,
            show_default=True,
            help="Share of each layer's outputs that is dropped in training: TensorFlow 1's DropoutWrapper("
            "output_keep_prob=1 - share) around each cell. The last layer's outputs too, but not its final state, "
            "which is what a classifier reads; so that one needs --layers 2 or more.",
        ),
        click.option(
            "--bidirectional/--one-direction",
            default=False,
            help="Read forward and backward in each layer, with a cell for each; for classifiers.  [default: one "
            "direction]",
        ),
        click.option(
            "--layers",
            type=click.IntRange(1, MOST_LAYERS),
            default=1,
            show_default=True,
            help="Layers one above the other.",
        ),
        click.option("--units", type=click.IntRange(1, MOST), default=default.units, show_default=True, help=neurons),
        click.option(
            "--cell",
            type=click.Choice(list(CELLS)),
            default=default.kind,
            show_default=True,
            help="The recurrent cell; gru has its reset gate before the product, as TensorFlow 1's, gru_reset_after as "
            "cuDNN's and PyTorch's.",
        ),
    )
    return lambda command: functools.reduce(lambda made, option: option(made), options, command)


def activation_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """--activation."""
    return click.option(
        "--activation", type=click.Choice(ACTIVATIONS), default="tanh", show_default=True, help="The cell's."
    )(command)


def network_of(options: Mapping[str, Any], default: Any) -> Network:
    """The network that the options ask for. default: its activation stays, where the cell is its kind and no
    --activation is an option."""
    activation = options.get("activation", default.activation if options["cell"] == default.kind else "tanh")
    cell = CELLS[options["cell"]](options["units"], activation)
    if options["dropout"]:
        cell = Dropout(cell, output_keep=1.0 - options["dropout"])
    layer = Bidirectional(cell, cell) if options["bidirectional"] else cell
    return Layers((layer,) * options["layers"]) if options["layers"] > 1 else layer


def with_network(model: Model, options: Mapping[str, Any], **fields: Any) -> Model:
    """The model with the network that the options ask for, and other fields. A model that cannot have it ends the
    command with a sentence."""
    check_dropout(model.kind, options)
    try:
        return replace(model, network=network_of(options, within(model.network)[-1]), **fields)
    except ValueError as error:
        raise click.UsageError("the options ask for a model that cannot be had: %s." % error) from error


def check_dropout(kind: str, options: Mapping[str, Any]) -> None:
    """End the command with a sentence where nothing of what is dropped would reach a model of this kind."""
    if kind == "classifier" and options["dropout"] and options["layers"] == 1:
        raise click.UsageError(
            "--dropout drops outputs, and a classifier reads the final state of its only layer, which would stay "
            "whole; add --layers 2, or leave --dropout out."
        )


def check_directions(options: Mapping[str, Any]) -> None:
    """End the command with a sentence where a network that predicts a series would read it backwards, too."""
    if options["bidirectional"]:
        raise click.UsageError(
            "--bidirectional reads a window from its end, where the values stand that are to be predicted, so every "
            "error but that of the last step would mean nothing; leave it out."
        )


def shape_words(options: Mapping[str, Any]) -> list[str]:
    """What the options ask for beside units and activation, as a line for the header; none by default."""
    words = [] if options["cell"] == BasicRNN.kind else ["cell %s" % options["cell"]]
    words += ["%d layers" % options["layers"]] if options["layers"] > 1 else []
    words += ["two directions"] if options["bidirectional"] else []
    words += ["dropout %g" % options["dropout"]] if options["dropout"] else []
    return ["network: %s" % ", ".join(words)] if words else []
