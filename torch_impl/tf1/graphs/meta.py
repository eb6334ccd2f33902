"""PREFIX.meta, the graph that tf.train.Saver keeps beside a checkpoint, read without TensorFlow.

It is a MetaGraphDef (tensorflow/core/protobuf/meta_graph.proto), whose field 2 is a GraphDef: nodes with a name, an
operation, inputs and attributes (framework/node_def.proto, attr_value.proto, tensor.proto). Of the backward pass, which
tf.gradients puts below "gradients", only what was differentiated is kept; attributes are read when somebody asks.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from torch_impl.checkpoints.errors import CheckpointError, naming
from torch_impl.checkpoints.files import exists, read_whole
from torch_impl.tf1 import protobuf
from torch_impl.tf1.graphs.attributes import message, value_of

__all__ = ["MALFORMED", "VARIABLES", "Graph", "Node", "Saved", "Tensor", "read_graph"]

VARIABLES = ("Variable", "VariableV2", "VarHandleOp")  # the operations that hold one
_MOST_BYTES = 1 << 29  # a real one has under a megabyte for each layer, and more only where constants are large
_MOST_NODES = 400_000
# What comes of fields of other types, and of nodes without the inputs and attributes of their operations.
MALFORMED = (LookupError, ValueError, TypeError, AttributeError, ArithmeticError, RecursionError, AssertionError,
             struct.error)  # fmt: skip
_READING = ("Identity", "ReadVariableOp", "Enter", "Switch", "RefSwitch", "Cast", "StopGradient")
_BACKWARD = re.compile(r"(^|/)gradients(_\d+)?/")
# Where tf.gradients begins, with a one for each loss; and the gradient of a node (python/ops/gradients_util.py).
_ONES = re.compile(r"gradients(_\d+)?/(grad_ys_\d+|Fill(_\d+)?)$")
_GRADIENT = re.compile(r"gradients(?:_\d+)?/(.+?)_grad(_\d+)?/")


class Tensor(NamedTuple):
    """An output of a node."""

    node: str
    index: int = 0  # type: ignore[assignment]  # what it hides, tuple.index, is not used


@dataclass(frozen=True)
class Node:
    """An operation. inputs: data; controls: the nodes that come before it."""

    name: str
    op: str
    inputs: tuple[Tensor, ...]
    controls: tuple[str, ...]
    attributes: dict[str, bytes] = field(repr=False)

    def attribute(self, name: str, default: Any = None) -> Any:
        """An attribute as a plain value; `default` where it is not there, as TensorFlow leaves defaults out."""
        raw = self.attributes.get(name)
        return default if raw is None else value_of(raw)

    @cached_property
    def constant(self) -> np.ndarray:
        """The value of a Const; raises CheckpointError."""
        found = self.attribute("value")
        if not isinstance(found, np.ndarray):
            raise CheckpointError(f"node {self.name}: a constant without a value")
        return found


class Saved(NamedTuple):
    """What a Saver writes for a variable. name: in the checkpoint. start: of a slice of it, by axis; None: all."""

    name: str
    start: tuple[int, ...] | None = None


class Graph:
    """Nodes by name, and who takes what from whom. version: TensorFlow's, as text. losses: each differentiated, as the
    nodes whose sum it is."""

    def __init__(self, nodes: dict[str, Node], version: str = "", losses: Iterable[set[str]] = ()) -> None:
        self.nodes, self.version = nodes, version
        self.losses = [sorted(own) for own in losses if own and own <= set(nodes)]

    def __getitem__(self, tensor: Tensor) -> Node:
        return self.nodes[tensor.node]

    @cached_property
    def consumers(self) -> dict[Tensor, list[tuple[Node, int]]]:
        """Tensor -> (node, position among its inputs) of each that takes it."""
        found: dict[Tensor, list[tuple[Node, int]]] = {}
        for node in self.nodes.values():
            for position, tensor in enumerate(node.inputs):
                found.setdefault(tensor, []).append((node, position))
        return found

    @cached_property
    def _by_operation(self) -> dict[str, list[tuple[int, Node]]]:
        found: dict[str, list[tuple[int, Node]]] = {}
        for place, node in enumerate(self.nodes.values()):
            found.setdefault(node.op, []).append((place, node))
        return found

    def of(self, *operations: str) -> list[Node]:
        """The nodes of these operations, in the graph's order."""
        found = [each for operation in operations for each in self._by_operation.get(operation, [])]
        return [node for _, node in sorted(found, key=lambda each: each[0])]

    def saved(self, names: set[str]) -> dict[str, Saved]:
        """Variable's node -> what it is called in a checkpoint with these names, by the Savers of the graph."""
        found: dict[str, Saved] = {}
        for node in self.of("SaveV2", "SaveSlices"):
            keys, slices = (self._texts(tensor) for tensor in node.inputs[1:3])
            if not keys or not set(keys) <= names:
                continue
            for key, piece, tensor in zip(keys, slices or [""] * len(keys), node.inputs[3:], strict=False):
                variable = self.variable(tensor)
                if variable is not None and variable not in found:
                    found[variable] = Saved(key, _start(piece))
        return found

    def variable(self, tensor: Tensor) -> str | None:
        """The node of the variable whose value this is, or None."""
        for _ in range(8):
            node = self.nodes.get(tensor.node)
            if node is None:
                return None
            if node.op in VARIABLES:
                return node.name
            if node.op not in _READING or not node.inputs:
                return None
            tensor = node.inputs[0]
        return None

    def _texts(self, tensor: Tensor) -> list[str]:
        node = self.nodes.get(tensor.node)
        if node is None or node.op != "Const":
            return []
        return [str(text) for text in np.ravel(node.constant)]


def _start(piece: str) -> tuple[int, ...] | None:
    """Where a slice "rows columns start,length:start,length" of a partitioned variable begins."""
    last = piece.split(" ")[-1]
    if not last:
        return None
    return tuple(int(part.split(",")[0]) if part != "-" else 0 for part in last.split(":"))


def read_graph(path: Path) -> Graph | None:
    """The graph in PREFIX.meta; None where there is no such file. Raises CheckpointError, one sentence."""
    if not exists(path):
        return None
    data = read_whole(path, _MOST_BYTES)
    with naming(path):
        try:
            return _graph(data)
        except (CheckpointError, *MALFORMED) as error:
            raise CheckpointError(
                f"not a MetaGraphDef, or altered ({error}); get the file again, or move it away to go by names alone"
            ) from None


def _graph(data: bytes) -> Graph:
    whole = message(data)
    info = message(whole[1][0]) if 1 in whole else {}
    version = info[5][0].decode("utf-8", "replace") if 5 in info else ""
    if 2 not in whole:
        raise CheckpointError("it holds no graph")
    nodes: dict[str, Node] = {}
    losses: dict[str, set[str]] = {}
    count = 0
    for number, _, value in protobuf.fields(whole[2][0]):
        if number != 1:
            continue
        count += 1
        if count > _MOST_NODES or not isinstance(value, bytes):
            raise CheckpointError(f"more than {_MOST_NODES} nodes")
        node = _node(value)
        backward = _BACKWARD.search(node.name)
        if backward is None:
            nodes[node.name] = node
        elif (own := _GRADIENT.search(node.name)) and any(
            _ONES.search(name) for name in (*(each.node for each in node.inputs), *node.controls)
        ):
            losses.setdefault(node.name[: backward.end()], set()).add(own[1])
    if not nodes:
        raise CheckpointError("its graph is empty")
    return Graph(nodes, version, losses.values())


def _node(data: bytes) -> Node:
    """A NodeDef."""
    name, op, attributes = "", "", {}
    inputs, controls = [], []
    for number, kind, value in protobuf.fields(data):
        if kind != protobuf.BYTES:
            raise CheckpointError("a node holds a number")
        assert isinstance(value, bytes)
        if number == 1:
            name = value.decode("utf-8")
        elif number == 2:
            op = value.decode("utf-8")
        elif number == 3:
            text = value.decode("utf-8")
            if text.startswith("^"):
                controls.append(text[1:])
            else:
                node, _, index = text.partition(":")
                inputs.append(Tensor(node, int(index or 0)))
        elif number == 5:
            pair = message(value)
            attributes[pair[1][0].decode("utf-8")] = pair[2][0] if 2 in pair else b""
    return Node(name, op, tuple(inputs), tuple(controls), attributes)
