"""Modules from values: the one place that turns a network, or a model, of `unrolled` into PyTorch code.

But for `recurrent`'s, a module is made without drawing a number, and its weights are whatever the memory held: load or
reset them. Nothing here touches a setting of the process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from torch_impl.arrays import dtype_of
from torch_impl.cells import CELLS, Cell
from torch_impl.checks import shown
from torch_impl.conversion import load_canonical, table_of
from torch_impl.decoding import Decoder
from torch_impl.models import AnyModel, Classifier, Regressor, Speller, Tagger
from torch_impl.structures import STRUCTURES
from torch_impl.unrolling.module import Recurrent
from unrolled.models import END, START, Model
from unrolled.networks import Network, is_network

__all__ = ["cell", "filled", "loaded", "model", "recurrent"]

Device = torch.device | str
Module = TypeVar("Module", bound=nn.Module)


def cell(network: Network, inputs: int, device: Device = "cpu", dtype: torch.dtype | None = None) -> Cell:
    """The network for `inputs` values per step, as a cell. Raises ValueError for a kind that is not here."""
    if network.kind in STRUCTURES:
        return STRUCTURES[network.kind].of(network, partial(cell, device=device, dtype=dtype), inputs)
    if network.kind not in CELLS:
        known = " or ".join(map(repr, [*CELLS, *STRUCTURES]))
        raise ValueError(f"network kind must be {known} here, got {network.kind!r}")
    options: dict[str, Any] = {field.name: getattr(network, field.name) for field in fields(network)}  # type: ignore[arg-type]
    return CELLS[network.kind](inputs, **options, device="meta", dtype=dtype).to_empty(device=device)


def recurrent(
    network: Network,
    inputs: int,
    batch_first: bool = True,
    device: Device | None = None,
    dtype: torch.dtype | None = None,
) -> Recurrent:
    """The module of a network, with TF1's first values: recurrent(unrolled.networks.tf1.LSTMCell(100), 28).

    network: one of unrolled.networks, or by TF1's own names and defaults, of unrolled.networks.tf1. inputs: values per
    step. batch_first: see `Recurrent`. Raises TypeError or ValueError that names the argument.
    """
    if not is_network(network):
        raise TypeError(f"network must be one of unrolled.networks, got {shown(network)}")
    made = Recurrent(cell(network, inputs, device or torch.get_default_device(), dtype), batch_first)
    made.reset_parameters()
    return made


def model(value: Model, device: Device = "cpu", dtype: torch.dtype | None = None) -> AnyModel:
    """The model that the value describes."""
    rnn = Recurrent(cell(value.network, value.network_inputs, "meta", dtype))
    vocabulary = value.inputs if value.embedding else None
    options: dict[str, Any] = {"vocabulary": vocabulary, "activation": value.activation}
    options["hidden"] = [(layer.units, layer.activation) for layer in value.hidden]
    made: AnyModel
    if value.kind == "classifier":
        made = Classifier(rnn, value.outputs, **options)
    elif value.kind == "regressor":
        made = Regressor(rnn, value.outputs, value.projection, **options)
    elif value.kind == "tagger":
        made = Tagger(rnn, value.outputs, **options)
    else:
        decoder = Decoder(Recurrent(cell(value.network, value.outputs, "meta", dtype)), value.outputs, START, END)
        made = Speller(rnn, decoder, value.max_steps, vocabulary=vocabulary)
    return made.to_empty(device=device)


def loaded(value: Model, weights: Mapping[str, np.ndarray], device: Device = "cpu") -> AnyModel:
    """The model with these weights; see `filled`."""
    return filled(model(value, "meta"), weights, device)


def filled(module: Module, weights: Mapping[str, np.ndarray], device: Device = "cpu") -> Module:
    """A module made on the device "meta", with these weights, in the dtype of the first of them.

    They are checked before memory of a size that the module claims is taken. Raises ValueError that names the weight
    that does not fit.
    """
    load_canonical(module.to(dtype_of(weights, table_of(module)[0].name)), weights)
    load_canonical(module.to_empty(device=device), weights)
    return module
