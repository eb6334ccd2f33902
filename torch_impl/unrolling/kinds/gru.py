"""The GRUs: z has r, u and n, with the reset gate after the product also that product, m; carry is the part of the
gradient by the state that does not go through the products."""

from __future__ import annotations

from typing import Any

import torch

from torch_impl.cells.gru import GRUCell
from torch_impl.unrolling.kinds.kind import ADDED, EXTRA, ONE, H, Kind, Part, Product, X

_sigmoid_back = torch.ops.aten.sigmoid_backward.grad_input
_tanh_back = torch.ops.aten.tanh_backward


def _after(stage: int, z: Any, old: Any, new: Any) -> None:
    r, u, n, m = z
    r.sigmoid_(), u.sigmoid_()
    n.addcmul_(r, m).tanh_()
    torch.lerp(n, old[0], u, out=new[0])


def _candidate_back(u: Any, n: Any, h: Any, below: Any, carry: Any) -> None:
    """Turn n and u into gradients."""
    by_h = carry.add_(below)
    torch.sub(h, n, out=below).mul_(by_h)
    by_n = torch.addcmul(by_h, by_h, u, value=-1.0)
    n.copy_(_tanh_back(by_n, n))
    carry.mul_(u)
    _sigmoid_back(below, u, grad_input=u)


def _after_back(stage: int, z: Any, old: Any, new: Any, below: Any, carry: Any, middle: Any) -> None:
    r, u, n, m = z
    _candidate_back(u, n, old[0], below, carry)
    by_r = n * m
    torch.mul(n, r, out=m)
    _sigmoid_back(by_r, r, grad_input=r)


def _before(stage: int, z: Any, old: Any, new: Any) -> None:
    r, u, n = z
    if stage == 0:
        r.sigmoid_(), u.sigmoid_()
        torch.mul(r, old[0], out=old[1])
    else:
        torch.lerp(n.tanh_(), old[0], u, out=new[0])


def _before_back(stage: int, z: Any, old: Any, new: Any, below: Any, carry: Any, middle: Any) -> None:
    r, u, n = z
    if stage == 1:
        _candidate_back(u, n, old[0], below, carry)
    else:
        carry.addcmul_(middle, r)
        _sigmoid_back(middle.mul_(old[0]), r, grad_input=r)


_GATES = (Part("gates_ih", X, 0, 2), Part("gates_hh", H, 0, 2), Part("gates_bias", ONE, 0, 2))
_CANDIDATE = (Part("candidate_ih", X, 2, 1), Part("candidate_bias", ONE, 2, 1))

AFTER = Kind(
    "gru_after",
    4,
    (*_GATES, *_CANDIDATE, Part("candidate_hh", H, 3, 1), Part("candidate_bias_hh", ONE, 3, 1)),
    (Product(0, 2, H, X), Product(2, 1, ONE, X), Product(3, 1, H, ONE, 0)),
    _after,
    _after_back,
    ("gru", "after_"),
    ADDED,
)
BEFORE = Kind(
    "gru_before",
    3,
    (*_GATES, *_CANDIDATE, Part("candidate_hh", EXTRA, 2, 1)),
    (Product(0, 2, H, X, 0), Product(2, 1, ONE, EXTRA, 1)),
    _before,
    _before_back,
    ("gru", "before_"),
    ADDED,
    stages=2,
)


def kind_of(cell: GRUCell) -> tuple[Kind, tuple[float, ...]] | None:
    """The kind, of a cell with tanh, and its shifts."""
    kind = AFTER if cell.network.reset_after else BEFORE
    return (kind, (0.0,) * kind.blocks) if cell.network.activation == "tanh" else None
