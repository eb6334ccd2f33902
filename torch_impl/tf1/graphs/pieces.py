"""What the readings of cells share: a cell as it was found, its variables, and steps that recur."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from torch_impl.tf1.graphs.meta import Node, Tensor
from torch_impl.tf1.graphs.walk import Walk, first
from unrolled.networks import Network

__all__ = [
    "Cell",
    "Found",
    "Linear",
    "Step",
    "Stored",
    "Unlike",
    "Variables",
    "biased",
    "carried",
    "clipped",
    "columns_of",
    "other_input",
    "recurring",
    "shape_of",
    "split_parts",
    "width_of",
]


class Stored(NamedTuple):
    """Where a canonical weight is: its variable's parts, one below the other; transposed there or not.

    zeros: there is none, for a model without a bias: zeros of this size.
    """

    parts: tuple[str, ...] = ()
    transposed: bool = False
    zeros: tuple[int, ...] = ()


class Found(NamedTuple):
    """A network and where its weights are, by canonical name."""

    network: Network
    weights: dict[str, Stored]


@dataclass
class Step:
    """One step of a cell in the graph: what it reads, its state before, its output; state: what is carried on, by
    part. frame: the loop that it is in, "" where steps are written out."""

    inputs: Tensor
    h: Tensor
    output: Tensor
    state: dict[str, Tensor]
    before: dict[str, Tensor]
    frame: str = ""
    state_keep: float | None = 1.0
    state_fed: str | None = None


@dataclass
class Cell:
    """A cell: its value, where its weights are, and its steps: one in a loop, or all, in order. units: of h."""

    found: Found
    steps: list[Step]
    scope: str
    doubts: list[str] = field(default_factory=list)


class Unlike(Exception):  # noqa: N818 (what it says is that a cell is)
    """A product that begins like a cell, and is none that is known."""


class Variables:
    """Which tensors are variables, whole ones or slices put together."""

    def __init__(self, walk: Walk, groups: dict[str, tuple[str, ...]]) -> None:
        """groups: a node of a slice -> all slices' nodes of its variable, in order."""
        self.walk, self.groups = walk, groups

    def at(self, tensor: Tensor) -> tuple[str, ...]:
        """The nodes of the variable that a tensor is the whole of; empty for anything else."""
        name = self.walk.graph.variable(tensor)
        if name is not None:
            group = self.groups.get(name, (name,))
            return group if len(group) == 1 else ()
        node = self.walk.node(tensor)
        for _ in range(4):
            if node.op not in ("Identity", "Enter") or not node.inputs:
                break
            node = self.walk.node(node.inputs[0])
        if node.op == "ConcatV2":
            names = [self.walk.graph.variable(each) or "" for each in node.inputs[:-1]]
            if names and self.groups.get(names[0]) == tuple(names):
                return self.groups[names[0]]
        return ()


class Linear:
    """concat(inputs, h) @ kernel + bias. result: the tensor."""

    def __init__(
        self, walk: Walk, variables: Variables, node: Node, kernel: tuple[str, ...], inputs: Tensor, h: Tensor
    ) -> None:
        self.kernel, self.inputs, self.h = Stored(kernel), inputs, h
        self.result, self.bias = biased(walk, variables, Tensor(node.name))


def biased(walk: Walk, variables: Variables, product: Tensor) -> tuple[Tensor, Stored | None]:
    """A product with the bias that is added to it, and that bias; None where there is none."""
    for user in walk.users(product, "BiasAdd", "Add", "AddV2"):
        for position in (0, 1):
            bias = variables.at(user.inputs[position])
            if bias and walk.strip(user.inputs[1 - position]) == walk.strip(product):
                return Tensor(user.name), Stored(bias)
    return product, None


def split_parts(node: Node) -> int:
    return int(node.attribute("num_split", 0))


def other_input(walk: Walk, node: Node, tensor: Tensor) -> Tensor:
    """The other input of a sum or product."""
    same = walk.strip(tensor)
    return node.inputs[1] if walk.strip(node.inputs[0]) == same or node.inputs[0] == tensor else node.inputs[0]


def clipped(walk: Walk, tensor: Tensor) -> tuple[Tensor, float | None]:
    """What becomes of a tensor by clip_by_value, and its limit; the tensor and None where it is not clipped."""
    for node in walk.users(tensor, "Minimum", "ClipByValue"):
        limit = walk.number(node.inputs[1 if node.op == "Minimum" else 2])
        last = node if node.op == "ClipByValue" else first(walk.users(Tensor(node.name), "Maximum"))
        low = None if last is None else walk.number(last.inputs[1])
        if limit is not None and low == -limit and last is not None:
            return Tensor(last.name), limit
    return tensor, None


def carried(walk: Walk, state: Tensor) -> Iterator[Tensor]:
    """What a loop carries on as this part of its state: the tensors that it may be, through dropouts and joins."""
    merge = walk.loop_of(state)
    if merge is None:
        return
    node = walk.node(merge)
    stack = [walk.node(node.inputs[1]).inputs[0]]
    for _ in range(200):
        if not stack:
            return
        current = walk.strip(stack.pop())
        yield current
        dropped = walk.dropouts.get(current)
        if dropped is not None:
            stack.append(dropped.data)
        elif walk.op(current) in ("ConcatV2", "Pack"):
            stack += walk.node(current).inputs


def recurring(walk: Walk, step: Step) -> Step:
    """The step with its loop and its state's dropout; Unlike where its output does not come back as h."""
    walk.marked.update(step.state.values())
    merge = walk.loop_of(step.h)
    if merge is not None:
        step.frame = str(walk.node(walk.node(merge).inputs[0]).attribute("frame_name"))
        found = list(carried(walk, step.h))
        if step.state["h"] not in found:
            raise Unlike("a cell whose h does not come back")
        dropped = [walk.dropouts[each] for each in found if each in walk.dropouts]
        if dropped:
            step.state_keep, step.state_fed = dropped[0].keep, dropped[0].placeholder
    return step


def shape_of(walk: Walk, name: str) -> list[int]:
    """The shape that the graph gives a variable; raises Unlike where it gives none."""
    shape = walk.graph.nodes[name].attribute("shape")
    if not shape or min(shape) < 1:
        raise Unlike("a variable of unknown shape")
    return list(shape)


def columns_of(walk: Walk, stored: Stored) -> int:
    return shape_of(walk, stored.parts[0])[-1]


def width_of(walk: Walk, variables: Variables, kernel: Stored, gates: int) -> int:
    columns = columns_of(walk, kernel)
    if columns % gates:
        raise Unlike(f"{columns} columns for {gates} gates")
    return columns // gates
