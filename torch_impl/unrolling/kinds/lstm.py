"""The LSTM: z has i, f, g and o; extra is the cell state c, and carry the gradient by it."""

from __future__ import annotations

from typing import Any

import torch

from torch_impl.cells.lstm import LSTMCell
from torch_impl.unrolling.kinds.kind import CELL, ONE, H, Kind, Part, Product, X

_sigmoid_back = torch.ops.aten.sigmoid_backward.grad_input
_tanh_back = torch.ops.aten.tanh_backward.grad_input


def _forward(stage: int, z: Any, old: Any, new: Any) -> None:
    i, f, g, o = z
    (_, c), (new_h, new_c) = old, new
    i.sigmoid_(), f.sigmoid_(), g.tanh_(), o.sigmoid_()
    torch.mul(f, c, out=new_c).addcmul_(i, g)
    torch.tanh(new_c, out=new_h).mul_(o)


def _backward(stage: int, z: Any, old: Any, new: Any, below: Any, carry: Any, middle: Any) -> None:
    i, f, g, o = z
    (_, c), (_, new_c) = old, new
    t = torch.tanh(new_c)
    carry.add_(torch.ops.aten.tanh_backward(below * o, t))
    _sigmoid_back(below.mul_(t), o, grad_input=o)
    torch.mul(carry, i, out=t)
    by_i, by_f = carry * g, carry * c
    carry.mul_(f)
    _tanh_back(t, g, grad_input=g)
    _sigmoid_back(by_i, i, grad_input=i)
    _sigmoid_back(by_f, f, grad_input=f)


KIND = Kind(
    "lstm",
    4,
    (Part("weight_ih", X, 0, 4), Part("weight_hh", H, 0, 4), Part("bias", ONE, 0, 4)),
    (Product(0, 4, H, X, 0),),
    _forward,
    _backward,
    ("lstm", ""),
    CELL,
)


def kind_of(cell: LSTMCell) -> tuple[Kind, tuple[float, ...]] | None:
    """The kind, of a cell without peepholes, projection, clip and other activations than tanh, and its shifts."""
    plain = cell.native and cell.network.projection is None
    return (KIND, (0.0, cell.network.forget_bias, 0.0, 0.0)) if plain else None
