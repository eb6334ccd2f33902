"""GRUCell and CudnnCompatibleGRUCell, found by what they compute."""

from __future__ import annotations

from typing import Any

from torch_impl.tf1.graphs.meta import Node, Tensor
from torch_impl.tf1.graphs.pieces import (
    Found,
    Linear,
    Step,
    Stored,
    Unlike,
    Variables,
    biased,
    other_input,
    recurring,
    split_parts,
    width_of,
)
from torch_impl.tf1.graphs.walk import Walk, first
from unrolled.networks import GRU

__all__ = ["read_gru"]


def read_gru(walk: Walk, variables: Variables, linear: Linear) -> tuple[Found, Step] | None:
    """GRUCell, and CudnnCompatibleGRUCell, whose reset gate comes after the product."""
    gates = None
    for sigmoid in walk.users(linear.result, "Sigmoid"):
        gates = first(node for node in walk.users(Tensor(sigmoid.name), "Split", "SplitV") if split_parts(node) == 2)
    if gates is not None:
        reset, update = Tensor(gates.name, 0), Tensor(gates.name, 1)
    else:
        split = first(node for node in walk.users(linear.result, "Split", "SplitV") if split_parts(node) == 2)
        both = [] if split is None else [first(walk.users(Tensor(split.name, k), "Sigmoid")) for k in (0, 1)]
        if not both or None in both:
            return None
        reset, update = (Tensor(node.name) for node in both)
    units = width_of(walk, variables, linear.kernel, 2)
    own = {"gates/kernel": linear.kernel, "gates/bias": linear.bias or Stored(zeros=(2 * units,))}
    for product in walk.users(reset, "Mul"):
        other = walk.strip(other_input(walk, product, reset))
        found = _reset_before(walk, variables, product, units) or _reset_after(walk, variables, product, other, units)
        if found is None:
            continue
        candidate, weights, after, start = found
        end = _updated(walk, update, candidate)
        if end is None:
            raise Unlike("a GRU whose update gate is not TensorFlow 1's")
        new, last = end
        activation = walk.activation(start, new)
        if activation is None:
            raise Unlike(f"a GRU whose activation {walk.op(walk.strip(new))} has no name here")
        step = Step(linear.inputs, linear.h, last, {"h": last}, {"h": linear.h})
        return Found(GRU(units, activation, after), {**own, **weights}), recurring(walk, step)
    raise Unlike("two gates that are not a GRU's")


def _reset_before(walk: Walk, variables: Variables, product: Node, units: int) -> Any:
    """(candidate's last tensor, weights, False, the tensor that is activated)."""
    for joined in walk.users(Tensor(product.name), "ConcatV2"):
        for node in walk.users(Tensor(joined.name), "MatMul"):
            kernel = variables.at(node.inputs[1])
            if kernel:
                start, bias = biased(walk, variables, Tensor(node.name))
                weights = {"candidate/kernel": Stored(kernel), "candidate/bias": bias or Stored(zeros=(units,))}
                return start, weights, False, start
    return None


def _reset_after(walk: Walk, variables: Variables, product: Node, hidden: Tensor, units: int) -> Any:
    total = first(walk.users(Tensor(product.name), "Add", "AddV2"))
    if total is None:
        return None
    sides = (
        ("input_projection", walk.strip(other_input(walk, total, Tensor(product.name)))),
        ("hidden_projection", hidden),
    )
    weights = {}
    for name, tensor in sides:
        node = walk.node(tensor)
        bias: tuple[str, ...] = ()
        if node.op in ("BiasAdd", "Add", "AddV2"):
            bias, node = variables.at(node.inputs[1]), walk.node(walk.strip(node.inputs[0]))
        kernel = variables.at(node.inputs[1]) if node.op == "MatMul" else ()
        if not kernel:
            return None
        weights[f"candidate/{name}/kernel"] = Stored(kernel)
        weights[f"candidate/{name}/bias"] = Stored(bias) if bias else Stored(zeros=(units,))
    return Tensor(total.name), weights, True, Tensor(total.name)


def _updated(walk: Walk, update: Tensor, start: Tensor) -> tuple[Tensor, Tensor] | None:
    """(the activated candidate, h') of u * h + (1 - u) * n."""
    for product in walk.users(update, "Mul"):
        total = first(walk.users(Tensor(product.name), "Add", "AddV2"))
        if total is None:
            continue
        new = walk.node(walk.strip(other_input(walk, total, Tensor(product.name))))
        if new.op != "Mul":
            continue
        for inverse, candidate in (new.inputs, new.inputs[::-1]):
            node = walk.node(walk.strip(inverse))
            if (
                node.op == "Sub"
                and walk.number(node.inputs[0]) == 1
                and walk.strip(node.inputs[1]) == walk.strip(update)
            ):
                return candidate, Tensor(total.name)
    return None
