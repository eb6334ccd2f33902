"""Layers and wrappers within a step, from the tensor that leaves them down to what goes in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from torch_impl.tf1.graphs.meta import Node, Tensor
from torch_impl.tf1.graphs.pieces import Cell, Found, Step, Stored, Variables
from torch_impl.tf1.graphs.walk import Walk
from unrolled.networks import Dropout, Layers, Network, Residual, below, prefixed

__all__ = ["Layered", "Part", "Wrapped", "apart", "layered"]


class Wrapped(NamedTuple):
    """An OutputProjectionWrapper: a dense layer inside of the loop, around the whole network."""

    kernel: Stored
    bias: Stored
    activated: Tensor
    start: Tensor


@dataclass
class Part:
    """A network in the graph. inputs: the sequence that it reads, [batch, steps, width], or with time first.
    outputs: all its outputs. time_major: whether inputs have time first.
    cells: which it is made of. reversed: it reads backward, and its outputs are not turned back. steps: its outputs one
    by one, where they are written out. facts: "backward", where its outputs are turned back."""

    found: Found
    inputs: Tensor
    time_major: bool
    cells: list[Cell]
    outputs: Tensor
    outputs_time_major: bool = False
    reversed: bool = False
    wrapped: Wrapped | None = None
    facts: list[str] = field(default_factory=list)
    steps: list[Tensor] = field(default_factory=list)


class Layered:
    """Layers by the tensor within a step that they give."""

    def __init__(self, walk: Walk, variables: Variables, cells: list[Cell]) -> None:
        self.walk, self.variables, self.cells = walk, variables, cells
        self.outputs = {step.output: (cell, step) for cell in cells for step in cell.steps}
        self.fed: list[str] = []  # placeholders that say what dropouts keep

    def stack(self, tensor: Tensor) -> tuple[list[tuple[Found, list[Cell]]], Tensor]:
        """The layers whose output a tensor within a step is, from the lowest up, and what the lowest reads."""
        layers: list[tuple[Found, list[Cell]]] = []
        for _ in range(64):
            layer = self._layer(tensor)
            if layer is None:
                return layers, tensor
            found, cells, tensor = layer
            layers.insert(0, (found, cells))
        return layers, tensor

    def _layer(self, tensor: Tensor) -> tuple[Found, list[Cell], Tensor] | None:
        tensor = self.walk.strip(tensor)
        if tensor in self.outputs:
            cell, step = self.outputs[tensor]
            return self._with_dropouts(cell, step)
        dropped = self.walk.dropouts.get(tensor)
        if dropped is not None:
            below = self._layer(dropped.data)
            if below is None:
                return None
            found, cells, inputs = below
            return (
                self._dropout(found, "output_keep", dropped.keep, dropped.placeholder, dropped.variational),
                cells,
                inputs,
            )
        node = self.walk.node(tensor)
        if node.op in ("Add", "AddV2"):
            return self._residual(node)
        return None

    def _with_dropouts(self, cell: Cell, step: Step) -> tuple[Found, list[Cell], Tensor]:
        found, inputs = cell.found, step.inputs
        if step.state_keep is None or step.state_keep < 1:
            found = self._dropout(found, "state_keep", step.state_keep, step.state_fed, False)
        dropped = self.walk.dropouts.get(self.walk.strip(inputs))
        if dropped is not None and self._layer(dropped.data) is None:
            found = self._dropout(found, "input_keep", dropped.keep, dropped.placeholder, dropped.variational)
            inputs = dropped.data
        return found, [cell], inputs

    def _dropout(self, found: Found, where: str, keep: float | None, fed: str | None, variational: bool) -> Found:
        """A DropoutWrapper, one for all of a cell's shares; none where the share is fed, which no graph tells."""
        if keep is None:
            self.fed.append(fed or "something that is computed")
            return found
        network = found.network
        if isinstance(network, Dropout) and network.variational == variational and getattr(network, where) == 1.0:
            fields = {name: getattr(network, name) for name in ("input_keep", "output_keep", "state_keep")}
            return Found(Dropout(network.network, **{**fields, where: keep}, variational=variational), found.weights)
        return Found(Dropout(network, **{where: keep}, variational=variational), found.weights)

    def _residual(self, node: Node) -> tuple[Found, list[Cell], Tensor] | None:
        """A sum of a network's outputs and its inputs."""
        for one, other in (node.inputs, node.inputs[::-1]):
            layers: list[tuple[Found, list[Cell]]] = []
            tensor, goal = one, self.walk.strip(other)
            while (below := self._layer(tensor)) is not None:
                found, cells, tensor = below
                layers.insert(0, (found, cells))
                if self.walk.strip(tensor) == goal:
                    whole = layered([each for each, _ in layers])
                    return Found(Residual(whole.network), whole.weights), [c for _, own in layers for c in own], tensor
        return None


def layered(found: list[Found]) -> Found:
    """One network as it is, several as layers."""
    if len(found) == 1:
        return found[0]
    weights: dict[str, Stored] = {}
    networks: list[Network] = []
    for number, each in enumerate(found):
        networks.append(each.network)
        weights.update(prefixed(f"cell_{number}/", each.weights))
    return Found(Layers(tuple(networks)), weights)


def apart(found: Found) -> list[Found]:
    """The layers of a network; what is none of layers is one."""
    if not isinstance(found.network, Layers):
        return [found]
    return [
        Found(network, below(f"cell_{number}/", found.weights)) for number, network in enumerate(found.network.layers)
    ]
