"""The dense layers of a graph, what feeds the lowest of them, what embeds the inputs, and the loss on the last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch_impl.tf1.graphs.losses import CROSS
from torch_impl.tf1.graphs.meta import Node, Tensor
from torch_impl.tf1.graphs.pieces import Stored, Variables, biased, shape_of
from torch_impl.tf1.graphs.walk import Walk, first

__all__ = ["LOSS_WORDS", "DenseAt", "Embedded", "dense_layers", "embedding_of", "feeds", "loss_on", "used_by"]

_UNARY = {"Tanh": "tanh", "Relu": "relu", "Sigmoid": "sigmoid", "Softsign": "softsign", "Softplus": "softplus",
          "Elu": "elu", "Selu": "selu"}  # fmt: skip
LOSS_WORDS = {
    "squares": "a mean square", "cross-entropy": "a cross-entropy", "sigmoid": "a sigmoid cross-entropy",
    "absolute": "an absolute difference",
}  # fmt: skip
_SHAPED = ("Reshape", "Squeeze", "ExpandDims", "Transpose")


@dataclass(frozen=True)
class DenseAt:
    """A dense layer in the graph. start: what it reads; linear: its sum; end: that, activated; None: by no name."""

    kernel: Stored
    bias: Stored | None
    start: Tensor
    linear: Tensor
    end: Tensor
    activation: str
    units: int
    inputs: int


class Embedded(NamedTuple):
    """A look-up. tokens: the tensor of the tokens; interleaved: whether rows go round the slices ("mod")."""

    table: Stored
    tokens: Tensor
    interleaved: bool
    rows: int
    width: int


def dense_layers(walk: Walk, variables: Variables, taken: set[str]) -> list[DenseAt]:
    """Every product with a variable that no cell has. taken: the nodes of the cells' variables."""
    found = []
    for node in walk.graph.of("MatMul", "BatchMatMul", "BatchMatMulV2"):
        if len(node.inputs) != 2:
            continue
        names, turned = _whole(walk, variables, node.inputs[1])
        if not names or set(names) & taken or node.attribute("transpose_a"):
            continue
        turned = turned != bool(node.attribute("transpose_b") or node.attribute("adj_y"))
        linear, bias = _biased(walk, variables, Tensor(node.name))
        end, activation = _activated(walk, linear)
        rows, columns = _shape(walk, variables, names)
        if turned:
            rows, columns = columns, rows
        found.append(DenseAt(Stored(names, turned), bias, node.inputs[0], linear, end, activation, columns, rows))
    return found


def _whole(walk: Walk, variables: Variables, tensor: Tensor) -> tuple[tuple[str, ...], bool]:
    """The variable that a matrix is, also through tf.tensordot's reshapes; and whether it is transposed."""
    turned = False
    for _ in range(5):
        names = variables.at(tensor)
        if names:
            return names, turned
        node = walk.node(walk.strip(tensor))
        if node.op == "Transpose":
            order = walk.constant(node.inputs[1])
            if order is None or len(order) != 2:
                return (), False
            turned = turned != (list(order) == [1, 0])
        elif node.op not in ("Reshape", "Identity"):
            return (), False
        tensor = node.inputs[0]
    return (), False


def _biased(walk: Walk, variables: Variables, product: Tensor) -> tuple[Tensor, Stored | None]:
    """The product with its bias, added at once or after a reshape."""
    end, bias = biased(walk, variables, product)
    if bias is None:
        for node in walk.users(product, *_SHAPED):
            end, bias = biased(walk, variables, Tensor(node.name))
            if bias is not None:
                return end, bias
        return product, None
    return end, bias


def _activated(walk: Walk, tensor: Tensor) -> tuple[Tensor, str]:
    """What all that use a sum use it by: one activation, or none."""
    users = walk.users(tensor)
    for _ in range(3):
        shaped = [node for node in users if node.op in _SHAPED]
        if len(users) != 1 or not shaped:
            break
        users = walk.users(Tensor(shaped[0].name))
    users = [node for node in users if node.op not in ("Shape", "ArgMax", "ZerosLike")]
    if len(users) == 1 and users[0].op in _UNARY:
        return Tensor(users[0].name), _UNARY[users[0].op]
    return tensor, "linear"


def _shape(walk: Walk, variables: Variables, names: tuple[str, ...]) -> tuple[int, int]:
    shapes = [shape_of(walk, name) for name in names]
    return sum(shape[0] for shape in shapes), shapes[0][-1]


def feeds(walk: Walk, dense: DenseAt, others: list[DenseAt]) -> tuple[Tensor, DenseAt | None]:
    """What a dense layer reads, without reshapes and dropouts; and the dense layer that gives it, if one does."""
    ends = {each.end: each for each in others} | {each.linear: each for each in others if each.activation == "linear"}
    tensor = dense.start
    for _ in range(16):
        tensor = walk.strip(tensor)
        if tensor in ends:
            return tensor, ends[tensor]
        node = walk.node(tensor)
        if tensor in walk.dropouts:
            tensor = walk.dropouts[tensor].data
        elif node.op in ("Reshape", "Squeeze", "ExpandDims") or (node.op == "Transpose" and _unmoved(walk, node)):
            tensor = node.inputs[0]
        else:
            break
    return tensor, None


def _unmoved(walk: Walk, node: Node) -> bool:
    """Whether a transpose, of tf.tensordot's, leaves the axes as they are."""
    order = walk.constant(node.inputs[1])
    if order is None:  # tensordot computes it where the rank is all that it knows
        return "Tensordot" in node.name or "tensordot" in node.name
    return bool((order == range(len(order))).all())


def embedding_of(walk: Walk, variables: Variables, tensor: Tensor) -> Embedded | None:
    """The look-up that a sequence comes from."""
    node = walk.node(walk.strip(tensor))
    if node.op == "Reshape" and walk.op(walk.strip(node.inputs[0])) in ("ParallelDynamicStitch", "DynamicStitch"):
        node = walk.node(walk.strip(node.inputs[0]))
    if node.op in ("GatherV2", "Gather", "ResourceGather"):
        names = variables.at(node.inputs[0])
        if not names:
            return None
        rows, width = _shape(walk, variables, names)
        return Embedded(Stored(names), node.inputs[1], False, rows, width)
    if node.op in ("ParallelDynamicStitch", "DynamicStitch"):
        return _stitched(walk, variables, node)
    return None


def _stitched(walk: Walk, variables: Variables, stitch: Node) -> Embedded | None:
    """A look-up in slices: id k is row k // n of slice k mod n, unless another strategy was asked for."""
    gathers = [
        walk.graph.nodes[name]
        for name in walk.ancestors(Tensor(stitch.name), 200)
        if walk.graph.nodes[name].op in ("GatherV2", "Gather", "ResourceGather")
    ]
    slices = [walk.graph.variable(node.inputs[0]) for node in gathers]
    group = first(variables.groups.get(name or "", ()) for name in slices)
    partition = first(
        walk.graph.nodes[name]
        for name in walk.ancestors(Tensor(stitch.name), 200)
        if walk.graph.nodes[name].op in ("FloorMod", "FloorDiv")
    )
    if not group or set(slices) != set(group) or partition is None:
        return None
    tokens = walk.strip(partition.inputs[0])
    if walk.op(tokens) == "Reshape":
        tokens = walk.node(tokens).inputs[0]
    rows, width = _shape(walk, variables, group)
    interleaved = any(walk.graph.nodes[name].op == "FloorMod" for name in walk.ancestors(Tensor(stitch.name), 200))
    return Embedded(Stored(group), tokens, interleaved, rows, width)


def loss_on(walk: Walk, *tensors: Tensor, sliced: bool = False) -> str | None:
    """What the graph makes of a model's outputs, these tensors, a key of LOSS_WORDS, or None for none of them.

    sliced: also of what is cut out of them. Outputs that something is added to, or that are multiplied, are not the
    model's any more.
    """
    queue, seen = list(tensors), set()
    for tensor in queue:
        for node in walk.users(tensor):
            if node.op in CROSS or (node.op in ("Softmax", "LogSoftmax") and _logged(walk, node)):
                return "cross-entropy"
            if node.op == "SquaredDifference":
                return "squares"
            if node.op in ("Sub", "Square") and any(
                each.op in ("Square", "Mul", "L2Loss", "Pow") or node.op == "Square"
                for each in walk.users(Tensor(node.name))
            ):
                return "squares"
            if node.op == "Sub" and any(_averaged(walk, each) for each in walk.users(Tensor(node.name), "Abs")):
                return "absolute"
            if node.op in ("GreaterEqual", "Sigmoid") and _of_each(walk, node):
                return "sigmoid"
            through = (*_SHAPED, "Cast", "ConcatV2", "Pack", *(["StridedSlice"] if sliced else []))
            if node.op in through and node.name not in seen:
                seen.add(node.name)
                if len(seen) < 50:
                    queue.append(Tensor(node.name))
    return None


def _averaged(walk: Walk, node: Node) -> bool:
    """Whether nothing but a sum is made of a node's values, weighted or not."""
    return all(each.op in ("Mean", "Sum", "Mul") for each in walk.users(Tensor(node.name)))


def _of_each(walk: Walk, node: Node) -> bool:
    """Whether a cross-entropy is taken of each value by itself: max(x, 0) - x z + log(1 + exp(-|x|)), as the graph
    begins it with x >= 0 (python/ops/nn_impl.py), or a logarithm of sigmoid(x), by hand."""
    through = ("Select", "SelectV2", "Neg", "Exp", "Sub", "Maximum", "Minimum", "ClipByValue", "Add", "AddV2")
    queue = [Tensor(node.name)]
    for tensor in queue:
        for user in walk.users(tensor):
            if user.op == ("Log1p" if node.op == "GreaterEqual" else "Log"):
                return True
            if user.op in (*through, *_SHAPED) and len(queue) < 20:
                queue.append(Tensor(user.name))
    return False


def used_by(walk: Walk, tensor: Tensor) -> list[str]:
    """What the graph does with a tensor, reshapes left out, gradients too: operations and their nodes' names."""
    queue, found = [tensor], []
    for each in queue:
        for node in walk.users(each):
            if node.op in (*_SHAPED, "Identity", "Cast") and len(queue) < 20:
                queue.append(Tensor(node.name))
            elif node.op not in ("Shape", "ArgMax", "ZerosLike") and "gradients" not in node.name.split("/")[0]:
                found.append(f"{node.op} ({node.name})")
    return found


def _logged(walk: Walk, softmax: Node) -> bool:
    """Whether a softmax's logarithm is taken, as a cross-entropy by hand does; or, where nothing was trained in the
    graph, whether there is a softmax at all."""
    if softmax.op == "LogSoftmax" or not any("Apply" in node.op for node in walk.graph.nodes.values()):
        return True
    queue = [Tensor(softmax.name)]
    for tensor in queue:
        for node in walk.users(tensor):
            if node.op == "Log":
                return True
            if node.op in ("Maximum", "Minimum", "ClipByValue", "Add", "AddV2", *_SHAPED) and len(queue) < 10:
                queue.append(Tensor(node.name))
    return False
