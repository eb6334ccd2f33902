"""The plain cell: state' = activation(z)."""

from __future__ import annotations

from typing import Any

import torch

from torch_impl.cells.basic_rnn import BasicRNNCell
from torch_impl.unrolling.kinds.kind import ONE, H, Kind, Part, Product, X

_PARTS = (Part("weight_ih", X, 0, 1), Part("weight_hh", H, 0, 1), Part("bias", ONE, 0, 1))
_PRODUCTS = (Product(0, 1, H, X, 0),)


def _tanh(stage: int, z: Any, old: Any, new: Any) -> None:
    torch.tanh(z[0], out=new[0])


def _tanh_back(stage: int, z: Any, old: Any, new: Any, below: Any, carry: Any, middle: Any) -> None:
    torch.ops.aten.tanh_backward.grad_input(below, new[0], grad_input=z[0])


def _relu(stage: int, z: Any, old: Any, new: Any) -> None:
    torch.clamp_min(z[0], 0.0, out=new[0])


def _relu_back(stage: int, z: Any, old: Any, new: Any, below: Any, carry: Any, middle: Any) -> None:
    torch.ops.aten.threshold_backward.grad_input(below, new[0], 0, grad_input=z[0])


KINDS = {
    "tanh": Kind("tanh", 1, _PARTS, _PRODUCTS, _tanh, _tanh_back, ("plain", "tanh_")),
    "relu": Kind("relu", 1, _PARTS, _PRODUCTS, _relu, _relu_back, ("plain", "relu_")),
}


def kind_of(cell: BasicRNNCell) -> tuple[Kind, tuple[float, ...]] | None:
    """The cell's kind, by its activation, and its shifts."""
    kind = KINDS.get(cell.activation)
    return None if kind is None else (kind, (0.0,))
