"""A TensorFlow 1 graph computed in NumPy: what a conversion is held against, without TensorFlow.

Loops are TensorFlow's own (Enter, Merge, Switch, NextIteration, Exit), and so are conditions, whose branch not taken is
DEAD and makes DEAD whatever depends on it. Floats are float64 throughout, so that what is left of a difference is a
difference. See `operations` for what each operation does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from torch_impl.tf1.graphs.meta import VARIABLES, Graph, Node, Tensor
from torch_impl.tf1.graphs.operations import OPERATIONS, Unknown

__all__ = ["Evaluator", "Unknown"]

DEAD: Any = object()
_MOST_ROUNDS = 10_000  # of a loop, over the few steps that are drawn
_DEPTH = 16  # loops within loops
_LARGE = 1 << 22  # entries of a float32 array that stays one: a table, of which some rows are looked up

Values = dict[str, list[Any]]


class Evaluator:
    """A graph with the values of its variables.

    variables: the variable's node -> its array. aliases: tensors that are computed as others, as a dropout is as what
    goes into it. branches: whether a constant in a condition's branch
    is dead where that is not taken. Raises Unknown, which names the operation, where the graph holds one that is not
    known here.
    """

    def __init__(
        self,
        graph: Graph,
        variables: Callable[[str], np.ndarray],
        aliases: Mapping[Tensor, Tensor] | None = None,
        branches: bool = True,
    ) -> None:
        self.graph, self.variables, self.aliases, self.branches = graph, variables, aliases or {}, branches
        self.frames: dict[str, list[Node]] = {}
        for node in graph.of("Merge"):
            enter = graph.nodes.get(node.inputs[0].node) if node.inputs else None
            if enter is not None and enter.op == "Enter":
                self.frames.setdefault(str(enter.attribute("frame_name")), []).append(node)

    def run(self, wanted: Iterable[Tensor], feeds: Mapping[Tensor, Any] | None = None) -> list[Any]:
        """The values of the tensors, where those in `feeds` have these values."""
        scope = _Scope(self, {tensor: _double(value) for tensor, value in (feeds or {}).items()}, None, None)
        with np.errstate(all="ignore"):
            try:
                found = [scope.value(tensor) for tensor in wanted]
            except (ValueError, IndexError, TypeError, KeyError, AttributeError, MemoryError, ArithmeticError) as error:
                raise Unknown(f"the graph cannot be computed here ({error})") from None
        if any(each is DEAD for each in found):
            raise Unknown("the graph's branch that is wanted is not taken")
        return found


class _Scope:
    """The values of one round of a loop, or of the whole graph outside of loops."""

    def __init__(self, owner: Evaluator, feeds: Mapping[Tensor, Any], frame: str | None, parent: _Scope | None) -> None:
        self.owner, self.feeds, self.frame, self.parent = owner, feeds, frame, parent
        self.values: Values = {}

    def value(self, tensor: Tensor) -> Any:
        """The tensor's value, with whatever it needs computed first; no recursion, for graphs are deep."""
        tensor = self._alias(tensor)
        stack = [tensor]
        while stack:
            current = stack[-1]
            if current in self.feeds or current.node in self.values:
                stack.pop()
                continue
            node = self.owner.graph.nodes[current.node]
            missing = [each for each in self._needs(node) if each not in self.feeds and each.node not in self.values]
            if missing:
                if len(stack) > 200_000:
                    raise Unknown("the graph goes in circles")
                stack += missing
                continue
            self.values[node.name] = self._compute(node)
            stack.pop()
        return self._known(tensor)

    def _alias(self, tensor: Tensor) -> Tensor:
        while tensor in self.owner.aliases and tensor not in self.feeds:
            tensor = self.owner.aliases[tensor]
        return tensor

    def _known(self, tensor: Tensor) -> Any:
        tensor = self._alias(tensor)
        return self.feeds[tensor] if tensor in self.feeds else self.values[tensor.node][tensor.index]

    def _needs(self, node: Node) -> list[Tensor]:
        if node.op in ("Enter", "Exit") or (node.op == "Merge" and node.name in self.values):
            return []
        pivots = [Tensor(name) for name in node.controls if self._is_pivot(name)]
        return [*map(self._alias, node.inputs), *pivots]

    def _is_pivot(self, name: str) -> bool:
        """Whether a control input says which branch of a condition the node is in."""
        nodes = self.owner.graph.nodes
        node = nodes.get(name) if self.owner.branches else None
        if node is None or node.op != "Identity" or not node.inputs:
            return False
        switch = nodes.get(node.inputs[0].node)
        return switch is not None and switch.op == "Switch" and switch.inputs[0] == switch.inputs[1]

    def _compute(self, node: Node) -> list[Any]:
        if node.op == "Exit":
            return [self._loop(node)]
        if node.op == "Enter":
            if self.parent is None or node.attribute("frame_name") != self.frame:
                raise Unknown(f"{node.name} enters a loop from outside of it")
            return [self.parent.value(node.inputs[0])]
        given = [self._known(tensor) for tensor in node.inputs]
        if node.op == "Merge":
            alive = [each for each in given if each is not DEAD]
            return [alive[0] if alive else DEAD, 0]
        if any(each is DEAD for each in given) or any(
            self._known(Tensor(name)) is DEAD for name in node.controls if self._is_pivot(name)
        ):
            return [DEAD] * 64
        if node.op in ("Switch", "RefSwitch"):
            return [DEAD, given[0]] if given[1] else [given[0], DEAD]
        if node.op in VARIABLES:
            values = self.owner.variables(node.name)
            return [_double(values)]
        if node.op not in OPERATIONS:
            raise Unknown(f"operation {node.op} ({node.name})")
        found = OPERATIONS[node.op](node, *given)
        return [_double(each) for each in found] if isinstance(found, list) else [_double(found)]

    def _loop(self, exit_: Node) -> Any:
        """The loop that ends in `exit_`, run to its end."""
        nodes = self.owner.graph.nodes
        switch = nodes[exit_.inputs[0].node]
        frame = str(nodes[nodes[switch.inputs[0].node].inputs[0].node].attribute("frame_name"))
        merges = self.owner.frames[frame]
        depth, scope = 0, self
        while scope.parent is not None:
            depth, scope = depth + 1, scope.parent
        if depth > _DEPTH:
            raise Unknown("loops within too many loops")
        state: Values = {each.name: [self.value(nodes[each.inputs[0].node].inputs[0]), 0] for each in merges}
        for _ in range(_MOST_ROUNDS):
            inner = _Scope(self.owner, self.feeds, frame, self)
            inner.values.update(state)
            if not inner.value(switch.inputs[1]):
                break
            state = {each.name: [inner.value(nodes[each.inputs[1].node].inputs[0]), 1] for each in merges}
        else:
            raise Unknown("a loop that does not end")
        for node in self.owner.graph.of("Exit"):
            merge = nodes[node.inputs[0].node].inputs[0].node
            if merge in state:
                self.values[node.name] = state[merge]
        return state[switch.inputs[0].node][0]


def _double(value: Any) -> Any:
    """Floats as float64, unless it is a large table; what else is there as it is."""
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind == "f" and value.size <= _LARGE:
        return np.asarray(value, np.float64)
    return value
