"""Keras's layers in a TensorFlow 1 graph: two kernels, cut into gates before or after the product.

tensorflow/python/keras/layers/recurrent.py. The variables are those that lie beside a "recurrent_kernel", which is
Keras's name for nothing else; gates, activations and what is reset are read from what is computed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch_impl.tf1.graphs.meta import VARIABLES, Node, Tensor
from torch_impl.tf1.graphs.pieces import Found, Step, Stored, Unlike, Variables, recurring, shape_of
from torch_impl.tf1.graphs.walk import Walk, first
from unrolled.networks import BasicRNN, KerasGRU, KerasLSTM

__all__ = ["candidates"]

_NAME = "recurrent_kernel"


def candidates(walk: Walk, variables: Variables, doubts: list[str]) -> Iterator[tuple[Found, Step]]:
    """Each Keras layer's cell and its step in a loop."""
    for node in list(walk.graph.nodes.values()):
        if node.op not in VARIABLES or node.name.rpartition("/")[2] != _NAME:
            continue
        try:
            yield from _steps(walk, node)
        except Unlike as error:
            doubts.append(f"{node.name}: {error}")


def _steps(walk: Walk, recurrent: Node) -> Iterator[tuple[Found, Step]]:
    scope = recurrent.name[: -len(_NAME)]
    units, columns = shape_of(walk, recurrent.name)
    gates = columns // units
    if gates not in (1, 3, 4) or scope + "kernel" not in walk.graph.nodes:
        raise Unlike(f"a Keras layer with {columns} columns for {units} units")
    has_bias = scope + "bias" in walk.graph.nodes
    bias = shape_of(walk, scope + "bias") if has_bias else [columns]
    products = [each for each in _products(walk, recurrent.name, units) if _in_loop(walk, each[1])]
    inside = {tensor for _, each, *_ in products for tensor in (each, walk.strip(each))}
    inputs = [
        each for each in _products(walk, scope + "kernel", units) if each[1] not in inside and _in_loop(walk, each[1])
    ]
    if not products or not inputs:
        raise Unlike("a Keras layer whose products are not found")
    weights = {"kernel": Stored((scope + "kernel",)), _NAME: Stored((recurrent.name,))}
    weights["bias"] = Stored((scope + "bias",)) if has_bias else Stored(zeros=tuple(bias))
    sums = _sums(walk, products, gates, units)
    x, h = inputs[0][1], products[0][1]
    if gates == 4:
        found, step = _lstm(walk, sums, units, x, h)
    elif gates == 3:
        found, step = _gru(walk, sums, units, x, h, len(bias) == 2)
    else:
        found, step = _simple(walk, sums, units, x, h)
        weights = {"kernel": Stored((scope + "kernel", recurrent.name)), "bias": weights["bias"]}
    yield Found(found, weights), recurring(walk, step)


def _products(walk: Walk, variable: str, units: int) -> list[tuple[int, Tensor, Tensor, int]]:
    """(first gate, what is multiplied, the product, how many gates) of each product with a variable, or with some
    gates' columns of it. Of one with all columns the first gate is 0 and the number 0."""
    found = []
    for node in walk.graph.of("MatMul"):
        gate, count, tensor = 0, 0, node.inputs[1]
        cut = walk.node(walk.strip(tensor))
        if cut.op == "StridedSlice":
            columns = _columns(walk, cut, units)
            gate, count = columns
            tensor = cut.inputs[0]
        elif cut.op == "Split":
            gate, count, tensor = walk.strip(tensor).index, 1, cut.inputs[1]
        if walk.graph.variable(tensor) == variable:
            found.append((gate, node.inputs[0], Tensor(node.name), count))
    return sorted(found)


def _columns(walk: Walk, cut: Node, units: int) -> tuple[int, int]:
    """(first gate, how many gates; 0 for all that follow) of a slice of columns."""
    begin, end = walk.constant(cut.inputs[1]), walk.constant(cut.inputs[2])
    last = len(begin) - 1 if begin is not None else 0
    if begin is None or end is None:
        raise Unlike("a Keras layer whose kernel is cut in a way that is not constant")
    start = 0 if int(cut.attribute("begin_mask", 0)) >> last & 1 else int(begin[last])
    open_ended = int(cut.attribute("end_mask", 0)) >> last & 1
    return start // units, 0 if open_ended else (int(end[last]) - start) // units


def _in_loop(walk: Walk, tensor: Tensor) -> bool:
    """Whether a tensor is made anew in each round of a loop; Keras builds a first step outside, for its shapes."""
    queue, seen = [tensor.node], {tensor.node}
    for name in queue:
        node = walk.node(Tensor(name))
        if node.op == "Enter":
            return True
        for each in node.inputs if node.op != "Exit" else ():
            if each.node not in seen and len(seen) < 60:
                seen.add(each.node)
                queue.append(each.node)
    return False


def _sums(walk: Walk, products: list[Any], gates: int, units: int) -> dict[int, Tensor]:
    """Gate -> the sum that is activated."""
    sums: dict[int, Tensor] = {}
    for gate, _, product, count in products:
        if count == 1 or gates == 1 or (count == 0 and gate == gates - 1):
            sums[gate] = _total(walk, product)
            continue
        whole = _total(walk, product, cut=True)
        for node in walk.users(whole, "StridedSlice", "Split"):
            if node.op == "Split":
                pieces = {gate + k: Tensor(node.name, k) for k in range(int(node.attribute("num_split", 0)))}
            else:
                pieces = {gate + _columns(walk, node, units)[0]: Tensor(node.name)}
            for k, piece in pieces.items():
                sums[k] = _total(walk, piece)
    return sums


def _total(walk: Walk, tensor: Tensor, cut: bool = False) -> Tensor:
    """Up through sums, and through the product with a reset gate, to the last."""
    for _ in range(4):
        adds = walk.users(tensor, "Add", "AddV2", "BiasAdd")
        if not adds:
            reset = [] if cut else [node for node in walk.users(tensor, "Mul") if _variable(walk, node)]
            if not reset or not walk.users(Tensor(reset[0].name), "Add", "AddV2"):
                break
            adds = walk.users(Tensor(reset[0].name), "Add", "AddV2")
        tensor = Tensor(adds[0].name)
    return tensor


def _variable(walk: Walk, node: Node) -> bool:
    """Whether nothing that a product is of is constant."""
    return all(walk.constant(each) is None for each in node.inputs)


def _end(walk: Walk, tensor: Tensor) -> Tensor:
    """Up through operations whose other inputs are constants: the activated sum."""
    for _ in range(8):
        if any(_variable(walk, node) for node in walk.users(tensor, "Mul")):
            break
        user = first(
            node
            for node in walk.users(tensor)
            if node.op not in ("NextIteration", "Merge", "Exit", "TensorArrayWriteV3", "Pack", "Shape")
            and all(walk.strip(each) == walk.strip(tensor) or walk.constant(each) is not None for each in node.inputs)
        )
        if user is None:
            break
        tensor = Tensor(user.name)
    return tensor


def _activated(walk: Walk, sums: dict[int, Tensor], gate: int) -> tuple[Tensor, str]:
    if gate not in sums:
        raise Unlike("a Keras layer with a gate that is not found")
    end = _end(walk, sums[gate])
    name = walk.activation(sums[gate], end)
    if name is None:
        raise Unlike(f"a Keras layer with an activation that has no name here ({walk.op(end)})")
    return end, name


def _lstm(walk: Walk, sums: dict[int, Tensor], units: int, x: Tensor, h: Tensor) -> tuple[Any, Step]:
    (into, first_name), (_, second), (new, activation), (out, third) = (_activated(walk, sums, k) for k in range(4))
    if not first_name == second == third:
        raise Unlike("a Keras LSTM whose gates differ in activation")
    product = first(node for node in walk.users(into, "Mul") if walk.strip(new) in map(walk.strip, node.inputs))
    total = None if product is None else first(walk.users(Tensor(product.name), "Add", "AddV2"))
    result = first(walk.users(out, "Mul"))
    if total is None or result is None:
        raise Unlike("a Keras LSTM whose state is not found")
    c, end = Tensor(total.name), Tensor(result.name)
    network = KerasLSTM(units, activation, first_name)
    return network, Step(x, h, end, {"c": c, "h": end}, {"h": h})


def _gru(walk: Walk, sums: dict[int, Tensor], units: int, x: Tensor, h: Tensor, after: bool) -> tuple[Any, Step]:
    (update, name), (_, second) = (_activated(walk, sums, k) for k in (0, 1))
    _, activation = _activated(walk, sums, 2)
    if name != second:
        raise Unlike("a Keras GRU whose gates differ in activation")
    for product in walk.users(update, "Mul"):
        total = first(walk.users(Tensor(product.name), "Add", "AddV2"))
        if total is not None:
            end = Tensor(total.name)
            return KerasGRU(units, activation, name, after), Step(x, h, end, {"h": end}, {"h": h})
    raise Unlike("a Keras GRU whose state is not found")


def _simple(walk: Walk, sums: dict[int, Tensor], units: int, x: Tensor, h: Tensor) -> tuple[Any, Step]:
    end, activation = _activated(walk, sums, 0)
    return BasicRNN(units, activation), Step(x, h, end, {"h": end}, {"h": h})
