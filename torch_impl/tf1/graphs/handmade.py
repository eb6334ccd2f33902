"""A plain cell made by hand: activation(inputs @ Wx + h @ Wh + b), each product with a variable of its own."""

from __future__ import annotations

from collections.abc import Iterator

from torch_impl.tf1.graphs.meta import Node, Tensor
from torch_impl.tf1.graphs.pieces import Found, Step, Stored, Unlike, Variables, carried, recurring, shape_of
from torch_impl.tf1.graphs.walk import Walk, first
from unrolled.networks import BasicRNN

__all__ = ["candidates"]

_ADD = ("Add", "AddV2", "BiasAdd", "AddN")


def candidates(walk: Walk, variables: Variables) -> Iterator[tuple[Found, Step]]:
    """Each such cell and its step in a loop."""
    for node in walk.graph.of("MatMul"):
        if node.attribute("transpose_a") or node.attribute("transpose_b") or walk.loop_of(node.inputs[0]) is None:
            continue
        hidden = variables.at(node.inputs[1])
        if len(hidden) != 1 or hidden[0].rpartition("/")[2] == "recurrent_kernel":
            continue
        try:
            found = _read(walk, variables, node, hidden)
        except Unlike:
            continue
        if found is not None:
            yield found


def _read(walk: Walk, variables: Variables, node: Node, hidden: tuple[str, ...]) -> tuple[Found, Step] | None:
    rows, units = shape_of(walk, hidden[0])
    total = Tensor(node.name)
    while (above := first(walk.users(total, *_ADD))) is not None:
        total = Tensor(above.name)
    products, bias = [], None
    for term in walk.terms(total):
        each = walk.node(term)
        if each.op == "MatMul" and len(kernel := variables.at(each.inputs[1])) == 1:
            products.append((each, kernel))
        elif name := variables.at(term):
            bias = name
        else:
            return None
    others = [(each, kernel) for each, kernel in products if each.name != node.name]
    if len(products) != 2 or rows != units:
        return None
    (other, kernel), h = others[0], node.inputs[0]
    end = first(each for each in carried(walk, h) if total.node in walk.ancestors(each, 12))
    activation = None if end is None else walk.activation(total, end)
    if end is None or activation is None:
        return None
    weights = {"kernel": Stored((*kernel, *hidden)), "bias": Stored(bias) if bias else Stored(zeros=(units,))}
    step = Step(other.inputs[0], h, end, {"h": end}, {"h": h})
    return Found(BasicRNN(units, activation), weights), recurring(walk, step)
