"""Walking a graph by what operations compute, not by what nodes are called."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from torch_impl.tf1.graphs.evaluate import Evaluator, Unknown
from torch_impl.tf1.graphs.meta import VARIABLES, Graph, Node, Tensor
from torch_impl.tf1.graphs.operations import activated
from unrolled.networks import ACTIVATIONS

__all__ = ["Dropped", "Walk"]

_SAME = {
    "Identity", "Enter", "Switch", "StopGradient", "CheckNumerics", "PreventGradient", "Print", "RefIdentity",
    "EnsureShape", "Snapshot", "PlaceholderWithDefault",
}  # fmt: skip
_RANDOM = ("RandomUniform", "RandomStandardNormal", "TruncatedNormal")
_OF_MASKS = {
    "Cast", "GreaterEqual", "Greater", "Less", "Floor", "Add", "AddV2", "Mul", "Sub", "RealDiv", "Enter", "Identity",
    "Switch", "Select", "Fill", "ZerosLike", "OnesLike",
}  # fmt: skip
_ADD = ("Add", "AddV2", "BiasAdd", "AddN")
_GRID = np.concatenate([np.linspace(-6, 6, 49), [0.3, -0.3]])


class Dropped(NamedTuple):
    """A dropout: what goes in, the share that it keeps (None where it is fed), the placeholder that feeds it, whether
    one mask serves all rows and steps, and what is fed where nothing is to be dropped."""

    data: Tensor
    keep: float | None
    placeholder: str | None
    variational: bool
    off: float = 1.0


class Walk:
    """The graph with what walks of it need. marked: tensors at which `strip` chooses a branch, the outputs of cells."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.marked: set[Tensor] = set()

    def node(self, tensor: Tensor) -> Node:
        return self.graph.nodes.get(tensor.node) or Node(tensor.node, "?", (), (), {})

    def op(self, tensor: Tensor) -> str:
        return self.node(tensor).op

    def is_loop(self, node: Node) -> bool:
        """Whether a Merge is a loop's variable, and not the end of a condition."""
        return node.op == "Merge" and bool(node.inputs) and self.op(node.inputs[0]) == "Enter"

    def loop_of(self, tensor: Tensor) -> Tensor | None:
        """The loop variable that a tensor is, or is a part of: the Merge; None for what is carried by no loop."""
        tensor = self.strip(tensor)
        for _ in range(6):
            node = self.node(tensor)
            if self.is_loop(node):
                return tensor
            if node.op not in ("Split", "SplitV", "StridedSlice", "Slice", "Unpack", "Squeeze"):
                return None
            tensor = self.strip(node.inputs[1 if node.op == "Split" else 0])
        return None

    def strip(self, tensor: Tensor) -> Tensor:
        """What the tensor is, without operations that pass it on, choices by lengths, and conditions."""
        for _ in range(64):
            node = self.node(tensor)
            if tensor in self.marked or tensor in self.dropouts:
                return tensor
            if node.op in _SAME and node.inputs:
                if node.op == "Switch" and self.is_loop(self.node(node.inputs[0])):
                    return node.inputs[0]
                tensor = node.inputs[0]
            elif node.op in ("Select", "SelectV2") and len(node.inputs) == 3:
                # dynamic_rnn: time >= lengths ? old : new; Keras: mask ? new : old.
                tensor = node.inputs[2 if self._past_the_end(node.inputs[0]) else 1]
            elif node.op == "Merge" and not self.is_loop(node) and node.inputs:
                tensor = self._branch(node)
            else:
                return tensor
        return tensor

    def _past_the_end(self, tensor: Tensor) -> bool:
        for _ in range(6):
            node = self.node(tensor)
            if node.op in ("GreaterEqual", "LessEqual", "Less", "Greater"):
                return node.op in ("GreaterEqual", "LessEqual")  # written out, it is lengths <= time
            if not node.inputs:
                return False
            tensor = node.inputs[0]
        return False

    def _branch(self, node: Node) -> Tensor:
        """Of a condition's results the one that computes something: a cell's output, or a dropout."""
        found = [self.strip(tensor) for tensor in node.inputs]
        for tensor in found:
            if tensor in self.marked or tensor in self.dropouts:
                return tensor
        for tensor in found:
            if self.op(tensor) not in ("Const", "Fill", "ZerosLike", "Merge"):
                return tensor
        return found[0]

    @cached_property
    def dropouts(self) -> dict[Tensor, Dropped]:
        """Each product with a drawn mask."""
        self.__dict__["dropouts"] = {}  # while they are looked for, none is known
        found = {}
        for node in self.graph.of("Mul"):
            dropped = self._dropped(node)
            if dropped is not None:
                found[Tensor(node.name)] = dropped
        return found

    def _dropped(self, node: Node) -> Dropped | None:
        for data, mask in (node.inputs, node.inputs[::-1]):
            drawn, outside, keep = self._mask(mask)
            if not drawn or self._mask(data)[0]:
                continue
            inner = self.node(data)
            if inner.op in ("RealDiv", "Div"):
                keep, data = inner.inputs[1], inner.inputs[0]
            elif inner.op == "Mul":
                scale = [
                    k for k in (0, 1) if self.op(self.strip(inner.inputs[k])) in ("RealDiv", "Const", "Reciprocal")
                ]
                data = inner.inputs[1 - scale[0]] if scale else data
            inverted = inner.op not in ("RealDiv", "Div")
            value, fed = self._keep(keep, inverted)
            return Dropped(data, value, fed, outside, 0.0 if fed and self._is_rate(keep, fed, inverted) else 1.0)
        return None

    def _mask(self, tensor: Tensor) -> tuple[bool, bool, Tensor | None]:
        """(whether it is a drawn mask, whether drawn outside of the loop, the rate that it was compared with)."""
        stack, drawn, outside, rate = [(tensor, False)], False, False, None
        seen: set[Tensor] = set()
        while stack and len(seen) < 40:
            current, left = stack.pop()
            node = self.node(current)
            if current in seen:
                continue
            seen.add(current)
            if node.op in _RANDOM:
                drawn, outside = True, outside or left
            elif node.op in _OF_MASKS:
                if node.op in ("GreaterEqual", "Greater"):
                    rate = node.inputs[1]
                stack += [(each, left or node.op == "Enter") for each in node.inputs]
            elif node.op not in ("Const", "Placeholder", "PlaceholderWithDefault", "Shape", "Merge", "?"):
                return False, False, None
        return drawn, outside, rate

    def _keep(self, tensor: Tensor | None, inverted: bool) -> tuple[float | None, str | None]:
        """The share to keep, or the placeholder that feeds it. inverted: the tensor is the rate."""
        if tensor is None:
            return None, None
        value = self.constant(tensor)
        if value is not None:
            share = float(np.float32(1) - np.float32(value)) if inverted else float(value)
            return rounded(share), None
        fed = [name for name in self.ancestors(tensor) if self.graph.nodes[name].op.startswith("Placeholder")]
        return None, fed[0] if fed else None

    def _is_rate(self, tensor: Tensor | None, fed: str, inverted: bool) -> bool:
        """Whether what is fed is the share to drop. inverted: whether the tensor is."""
        assert tensor is not None
        try:
            (drops,) = Evaluator(self.graph, _none).run([tensor], {Tensor(fed): np.float64(0)})
        except Unknown:
            return False
        return bool(np.all(np.equal(drops, 0 if inverted else 1)))

    def dropped_before(self, tensor: Tensor) -> list[str]:
        """The dropouts on the way to a tensor, each as what it keeps by."""
        way = set(self.all_ancestors(tensor))
        found = [each for before, each in self.dropouts.items() if before.node in way]
        constants = [f"a constant, {each.keep:g}" for each in found if each.keep is not None and each.keep < 1]
        return list(dict.fromkeys([*(f"fed by {each.placeholder}" for each in found if each.placeholder), *constants]))

    def constant(self, tensor: Tensor) -> Any:
        """A value that nothing feeds, or None: Const, through operations on constants."""
        for name in (ancestors := self.ancestors(tensor, 40)):
            if self.graph.nodes[name].op in (*VARIABLES, "Merge", *_RANDOM):
                return None
            if self.graph.nodes[name].op.startswith("Placeholder"):
                return None
        if len(ancestors) >= 40:
            return None
        try:
            aliases = {Tensor(n): self.graph.nodes[n].inputs[0] for n in ancestors if self.graph.nodes[n].op == "Enter"}
            (value,) = Evaluator(self.graph, _none, aliases, branches=False).run([tensor])
        except Unknown:
            return None
        return value

    def number(self, tensor: Tensor) -> float | None:
        """A constant that is one number."""
        source = self.node(self.strip(tensor))
        if source.op == "Cast":
            return self.number(source.inputs[0])
        value = source.constant if source.op == "Const" else self.constant(tensor)
        if np.size(value) == 1 and np.asarray(value).dtype == np.float16:
            return float(str(np.ravel(value)[0]))
        if value is None or np.size(value) != 1 or np.asarray(value).dtype.kind not in "fiu":
            return None
        return rounded(float(np.ravel(value)[0]))

    def ancestors(self, tensor: Tensor, most: int = 2000) -> list[str]:
        """The nodes that a tensor depends on, nearest first, itself included."""
        queue, seen = [tensor.node], {tensor.node}
        for name in queue:
            node = self.graph.nodes.get(name)
            for each in node.inputs if node else ():
                if each.node not in seen and len(seen) < most and each.node in self.graph.nodes:
                    seen.add(each.node)
                    queue.append(each.node)
        return [name for name in queue if name in self.graph.nodes]

    def all_ancestors(self, tensor: Tensor) -> list[str]:
        """The same without end: of the largest graphs, too."""
        return self.ancestors(tensor, 1_000_000)

    def users(self, tensor: Tensor, *operations: str) -> list[Node]:
        """Who takes a tensor, through operations that pass it on; all, or those of these operations."""
        found, queue = [], [tensor]
        for current in queue:
            for node, position in self.graph.consumers.get(current, ()):
                if node.op in ("Identity", "StopGradient", "CheckNumerics") or (node.op == "Switch" and position == 0):
                    queue += [Tensor(node.name, k) for k in range(2 if node.op == "Switch" else 1)]
                elif not operations or node.op in operations:
                    found.append(node)
        return found

    def terms(self, tensor: Tensor) -> Iterator[Tensor]:
        """What a sum is a sum of."""
        stack = [tensor]
        while stack:
            current = self.strip(stack.pop())
            if self.op(current) in _ADD:
                stack += self.node(current).inputs
            else:
                yield current

    def sum_to(self, tensor: Tensor, *operations: str) -> Node | None:
        """Up from a tensor through sums to the one node of these operations."""
        for _ in range(6):
            found = self.users(tensor)
            wanted = [node for node in found if node.op in operations]
            if wanted:
                return wanted[0]
            sums = [node for node in found if node.op in _ADD]
            if not sums:
                return None
            tensor = Tensor(sums[0].name)
        return None

    def activation(self, start: Tensor, end: Tensor) -> str | None:
        """The name of what is computed of `start` on the way to `end`, entry by entry; None for what has no name."""
        if self.strip(start) == self.strip(end):
            return "linear"
        aliases = {
            Tensor(node.name): node.inputs[0]
            for name in self.ancestors(end, 60)
            if (node := self.graph.nodes[name]).op in ("Enter",)
        }
        try:
            (found,) = Evaluator(self.graph, _none, aliases).run([end], {start: _GRID.copy()})
        except Unknown:
            return None
        if np.shape(found) != _GRID.shape:
            return None
        near = [name for name, values in curves().items() if np.abs(values - found).max() < 1e-6]
        return near[0] if near else None


def curves() -> dict[str, np.ndarray]:
    """Each activation on the grid."""
    return {name: activated(name, _GRID) for name in ACTIVATIONS}


def rounded(value: float) -> float:
    """The shortest number that float32 holds as it holds this one: .2 for .20000000298."""
    return float(str(np.float32(value))) if np.isfinite(value) else value


def first(found: Iterable[Any]) -> Any:
    return next(iter(found), None)


def _none(name: str) -> np.ndarray:
    raise Unknown(f"variable {name}")
