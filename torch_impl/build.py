"""Modules from values: the one place that turns a network, or a model, of `unrolled` into PyTorch code.

A module is made without drawing a number, and its weights are whatever the memory held: load or reset them. Nothing
here touches a setting of the process.
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
from torch_impl.conversion import load_canonical, table_of
from torch_impl.decoding import Decoder
from torch_impl.models import AnyModel, Classifier, Regressor, Speller
from torch_impl.structures import STRUCTURES
from torch_impl.unrolling.module import Recurrent
from unrolled.models import END, START, Model
from unrolled.networks import Network

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


def recurrent(network: Network, inputs: int, device: Device = "cpu", dtype: torch.dtype | None = None) -> Recurrent:
    """The network over sequences of `inputs` values per step."""
    return Recurrent(cell(network, inputs, device, dtype))


def model(value: Model, device: Device = "cpu", dtype: torch.dtype | None = None) -> AnyModel:
    """The model that the value describes."""
    rnn = recurrent(value.network, value.inputs, "meta", dtype)
    made: AnyModel
    if value.kind == "classifier":
        made = Classifier(rnn, value.outputs)
    elif value.kind == "regressor":
        made = Regressor(rnn, value.outputs, value.projection)
    else:
        decoder = Decoder(recurrent(value.network, value.outputs, "meta", dtype), value.outputs, START, END)
        made = Speller(rnn, decoder, value.max_steps)
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
