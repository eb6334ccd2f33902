"""What is known of the model in a checkpoint: what the user says, and what its graph or names alone tell."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from torch_impl.tf1.sources import Source
from unrolled.models import Model
from unrolled.networks import Network
from unrolled.networks import shapes as shapes_of
from unrolled.programs import Adam

__all__ = ["Inferred", "Probe", "TrainedAs", "inputs_of", "is_dense"]


def is_dense(name: str) -> bool:
    """Whether a model's weight of this canonical name is a dense layer's."""
    return name.startswith(("dense/", "hidden_"))


class TrainedAs(NamedTuple):
    """What the user says of a model: all that a checkpoint without its graph does not hold. None: nothing.

    kind: "classifier", "regressor" or "tagger". activation, forget_bias: the cells'. projection: a regressor's,
    "stacked" or "wrapped". optimizer: Adam's settings. program: the chapter's program that was trained.
    hidden_activation: of dense layers below the last; head_activation: of the last. recurrent_activation: of Keras's
    gates. scope: of several models in one checkpoint, the one whose variables begin so. averages: take the moving
    averages for the weights. clip_norm: that gradients were clipped to together. cell_clip, projection_clip: an LSTM's.
    residual: the numbers of the layers, from 0, that add their inputs to their outputs.
    """

    kind: str | None = None
    activation: str | None = None
    projection: str | None = None
    optimizer: Adam | None = None
    program: str | None = None
    forget_bias: float | None = None
    hidden_activation: str | None = None
    recurrent_activation: str | None = None
    scope: str = ""
    averages: bool = False
    graph: bool = True
    clip_norm: float | None = None
    cell_clip: float | None = None
    projection_clip: float | None = None
    residual: tuple[int, ...] | None = None
    head_activation: str | None = None


class Probe(NamedTuple):
    """Drawn inputs and what came of them. feeds: by placeholder. output: the tensor's name; outputs: its values.

    inputs, lengths: as the model here takes them.
    """

    feeds: dict[str, np.ndarray]
    output: str
    outputs: np.ndarray
    inputs: np.ndarray
    lengths: np.ndarray | None


@dataclass
class Inferred:
    """A model and where its weights are.

    model: None where it is more than a known form, as `why` says. heads: what it is then, without the loss, where it is
    dense layers on the final state ("classifier") or on every step ("tagger") of one network; of several the dense
    layers' names begin "head_0/". Else `parts` are its recurrent networks and the weights' names begin "part_0/".
    slots: Adam's moments ("kernel/Adam") and powers, where it has them all. optimizer: Adam's settings, where it was
    Adam that trained; clip_norm: that gradients were clipped to together. step: the variable that counts steps.
    Of a line each: facts, what was found; assumed, what no file tells and was taken for granted; differs, in what
    training here is another than it was there; dropped, what the graph's dropouts keep by.
    judged: the largest difference of the model's outputs, or the parts', from the graph's, by the largest output, at
    drawn inputs; None where nothing was computed, as `unjudged` says. left: variables that are no part of it.
    """

    model: Model | None
    weights: dict[str, Source]
    slots: dict[str, Source] = field(default_factory=dict)
    optimizer: Adam | None = None
    clip_norm: float | None = None
    step: str | None = None
    facts: list[str] = field(default_factory=list)
    assumed: list[str] = field(default_factory=list)
    differs: list[str] = field(default_factory=list)
    why: str = ""
    heads: tuple[Model, ...] = ()
    parts: list[Network] = field(default_factory=list)
    judged: float | None = None
    unjudged: str = ""
    left: list[str] = field(default_factory=list)
    trained: set[str] = field(default_factory=set)
    time_major: bool = False
    probes: list[Probe] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)

    @property
    def whole(self) -> tuple[Model, ...]:
        """The model, or the heads."""
        return self.heads if self.model is None else (self.model,)

    @property
    def used(self) -> set[str]:
        """The variables that the weights and slots are."""
        return {name for source in (*self.weights.values(), *self.slots.values()) for name in source.names}


def inputs_of(network: Network, shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Values per step of what a network reads whose weights have these shapes; ValueError where there is no number."""
    name, shape = next(iter(shapes.items()))
    for inputs in range(shape[0], 0, -1):
        with contextlib.suppress(ValueError):  # of a residual network, which cannot read so many
            if shapes_of(network.weights(inputs)).get(name) == shape:
                return inputs
    raise ValueError(f"{name} is {list(shape)}, which fits no inputs")
