"""What is built of cells: layers, directions and wrappers, from the tensor that leaves them down to what goes in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from torch_impl.tf1.graphs.blocks import WHOLE
from torch_impl.tf1.graphs.cells import Cell, Found, Step, Stored, Variables, biased
from torch_impl.tf1.graphs.meta import Node, Tensor
from torch_impl.tf1.graphs.walk import Walk, first
from unrolled.networks import Bidirectional, Dropout, Layers, Network, Residual, prefixed

__all__ = ["Part", "Sequences", "Wrapped"]


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
    cells: which it is made of. reversed: it reads backward, and its outputs are not turned back. steps: its outputs one by
    one, where they are written out. facts: "backward", where its outputs are turned back."""

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


class Sequences:
    """Parts by the tensor that they give."""

    def __init__(self, walk: Walk, variables: Variables, cells: list[Cell]) -> None:
        self.walk, self.variables, self.cells = walk, variables, cells
        self.outputs = {step.output: (cell, step) for cell in cells for step in cell.steps}
        self.fed: list[str] = []  # placeholders that say what dropouts keep

    # Within a step

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
        return Found(Dropout(network, **{where: keep}, variational=variational), found.weights)  # type: ignore[arg-type]

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

    # Over sequences

    def part(self, tensor: Tensor) -> Part | None:
        """The network that gives a tensor as all its outputs, or as its outputs turned round; None for none."""
        tensor, swapped = self._source(tensor)
        node = self.walk.node(tensor)
        found: Part | None = None
        if node.op == "TensorArrayGatherV3":
            found = self._looped(node)
        elif tensor in self.outputs and self.outputs[tensor][0].steps[0].frame == tensor.node:
            found = self._whole(tensor)
        elif node.op == "Mul" and any(self.walk.op(self.walk.strip(each)) == WHOLE for each in node.inputs):
            found = self._whole(first(t for each in node.inputs if self.walk.op(t := self.walk.strip(each)) == WHOLE))
        elif node.op == "ConcatV2" and len(node.inputs) == 3:
            found = self._both(node.inputs[0], node.inputs[1])
        elif node.op in ("Pack", "ConcatV2"):
            found = self._written_out(node)
        elif node.op in ("ReverseSequence", "ReverseV2"):
            found = self._turned(node)
        elif tensor in self.walk.dropouts:
            dropped = self.walk.dropouts[tensor]
            found = self.part(dropped.data)
            if found is not None:
                keep = (dropped.keep, dropped.placeholder, dropped.variational)
                found.found = (
                    self._dropout(found.found, "output_keep", *keep) if found.found.network.stepwise else found.found
                )
        elif node.op in ("Add", "AddV2"):
            found = self._summed(node)
        if found is not None:
            found.outputs, found.outputs_time_major = tensor, found.outputs_time_major
            if swapped:
                found.outputs_time_major = not found.outputs_time_major
        return found

    def _source(self, tensor: Tensor) -> tuple[Tensor, bool]:
        """A tensor without transposes of its first two axes, and whether they were odd."""
        swapped = False
        for _ in range(8):
            tensor = self.walk.strip(tensor)
            node = self.walk.node(tensor)
            together = self._unpacked(node) if node.op == "Pack" else None
            if together is not None:
                tensor, swapped = together[0], swapped != together[1]
            elif node.op == "Transpose":
                tensor, swapped = node.inputs[0], not swapped
            else:
                break
        return tensor, swapped

    def _unpacked(self, pack: Node) -> tuple[Tensor, bool] | None:
        """What was taken apart along an axis and put together again: it, and whether along the other axis."""
        given = [self.walk.strip(tensor) for tensor in pack.inputs]
        apart = self.walk.node(given[0])
        if apart.op != "Unpack" or [(each.node, each.index) for each in given] != [
            (apart.name, k) for k in range(len(given))
        ]:
            return None
        return apart.inputs[0], int(apart.attribute("axis", 0)) != int(pack.attribute("axis", 0))

    def _looped(self, gather: Node) -> Part | None:
        """dynamic_rnn: what the loop writes into the array that is gathered."""
        merge = self._variable(gather.inputs[2])
        if merge is None:
            return None
        write = self.walk.node(self.walk.node(self.walk.node(Tensor(merge)).inputs[1]).inputs[0])
        write = self._written(write)
        if write is None:
            return None
        value, wrapped = write.inputs[2], None
        layers, bottom = self.stack(value)
        if not layers:
            wrapped = self._wrapper(value)
            if wrapped is None:
                return None
            layers, bottom = self.stack(wrapped.start)
            if not layers:
                return None
        read = self.walk.node(self.walk.strip(bottom))
        inputs = self._scattered(read) if read.op == "TensorArrayReadV3" else None
        if inputs is None:
            return None
        return self._made(layers, inputs, True, wrapped)

    def _made(
        self, layers: list[tuple[Found, list[Cell]]], inputs: Tensor, time_major: bool, wrapped: Wrapped | None
    ) -> Part:
        """Layers over a sequence, on the parts below that are recurrent too."""
        cells = [cell for _, own in layers for cell in own]
        tensor, swapped = self._source(inputs)
        found = layered([each for each, _ in layers])
        made = Part(found, tensor, time_major != swapped, cells, tensor, True, False, wrapped)
        turned = self.walk.node(tensor)
        if turned.op in ("ReverseSequence", "ReverseV2"):
            made.reversed, made.inputs = True, turned.inputs[0]
            made.inputs, swapped = self._source(made.inputs)
            made.time_major = made.time_major != swapped
            return made
        below = None if isinstance(found.network, Bidirectional) else self.part(tensor)
        return self._above(below, made) if below is not None and not below.reversed else made

    def _above(self, below: Part, upper: Part) -> Part:
        """Two parts, one on the other, as one of layers."""
        if below.wrapped is not None:
            return upper
        time_major = below.time_major
        if upper.time_major != below.outputs_time_major:
            time_major = below.time_major
        own = [below.found] if not isinstance(below.found.network, Layers) else _apart(below.found)
        top = [upper.found] if not isinstance(upper.found.network, Layers) else _apart(upper.found)
        cells = below.cells + upper.cells
        facts = below.facts + upper.facts
        return Part(
            layered(own + top), below.inputs, time_major, cells, upper.outputs, upper.outputs_time_major, False,
            upper.wrapped, facts,
        )  # fmt: skip

    def _wrapper(self, value: Tensor) -> Wrapped | None:
        """An OutputProjectionWrapper: activation(outputs @ kernel + bias) in the loop."""
        end = self.walk.strip(value)
        node = self.walk.node(end)
        if node.op not in ("BiasAdd", "Add", "AddV2", "MatMul") and len(node.inputs) == 1:
            node = self.walk.node(self.walk.strip(node.inputs[0]))
        result = Tensor(node.name)
        product = (
            node
            if node.op == "MatMul"
            else first(
                each for tensor in node.inputs if (each := self.walk.node(self.walk.strip(tensor))).op == "MatMul"
            )
        )
        kernel = self.variables.at(product.inputs[1]) if product is not None and product.op == "MatMul" else ()
        if not kernel:
            return None
        _, bias = biased(self.walk, self.variables, Tensor(product.name))
        return Wrapped(Stored(kernel), bias or Stored(), end, product.inputs[0]) if result else None

    def _variable(self, flow: Tensor) -> str | None:
        """The loop variable whose last value a tensor is."""
        node = self.walk.node(flow)
        for _ in range(4):
            if node.op == "Exit":
                switch = self.walk.node(node.inputs[0])
                merge = self.walk.node(switch.inputs[0]) if switch.inputs else switch
                return merge.name if self.walk.is_loop(merge) else None
            if node.op != "Identity":
                return None
            node = self.walk.node(node.inputs[0])
        return None

    def _written(self, node: Node) -> Node | None:
        for _ in range(4):
            if node.op == "TensorArrayWriteV3":
                return node
            if node.op not in ("Identity", "Merge", "Switch") or not node.inputs:
                return None
            node = self.walk.node(node.inputs[0])
        return None

    def _scattered(self, read: Node) -> Tensor | None:
        """The sequence that was put into the array that a step reads."""
        node = self.walk.node(self.walk.strip(read.inputs[2]))
        return node.inputs[2] if node.op == "TensorArrayScatterV3" else None

    def _whole(self, output: Tensor) -> Part:
        cell, step = self.outputs[output._replace(index=6)]
        return self._made([(cell.found, [cell])], step.inputs, True, None)

    def _turned(self, node: Node) -> Part | None:
        """A backward direction's outputs, turned back."""
        found = self.part(node.inputs[0])
        if found is None or not found.reversed:
            return None
        found.reversed = False
        found.facts.append("backward")
        return found

    def _both(self, one: Tensor, other: Tensor) -> Part | None:
        """Two directions' outputs side by side."""
        forward, backward = self.part(one), self.part(other)
        if forward is None or backward is None or "backward" not in backward.facts or "backward" in forward.facts:
            return None
        if not self._same(forward.inputs, backward.inputs):
            return self._parted(forward, backward)
        return self._directions(forward, backward)

    def _directions(self, forward: Part, backward: Part) -> Part:
        cells = forward.cells + backward.cells
        weights = {**prefixed("fw/", forward.found.weights), **prefixed("bw/", backward.found.weights)}
        found = Found(Bidirectional(forward.found.network, backward.found.network), weights)
        made = Part(found, forward.inputs, forward.time_major, cells, forward.outputs, forward.outputs_time_major)
        below = self.part(forward.inputs)
        return self._above(below, made) if below is not None and not below.reversed else made

    def _parted(self, forward: Part, backward: Part) -> Part | None:
        """The forward part may have been joined to the layers below, which the backward one reads as well."""
        below = self.part(backward.inputs)
        if below is None or not isinstance(forward.found.network, Layers):
            return None
        under = len(_apart(below.found)) if isinstance(below.found.network, Layers) else 1
        if not self._same(forward.inputs, below.inputs):
            return None
        top = layered(_apart(forward.found)[under:])
        own = [cell for cell in forward.cells if cell not in below.cells]
        weights = {**prefixed("fw/", top.weights), **prefixed("bw/", backward.found.weights)}
        both = Found(Bidirectional(top.network, backward.found.network), weights)
        made = Part(
            both,
            backward.inputs,
            backward.time_major,
            own + backward.cells,
            forward.outputs,
            forward.outputs_time_major,
        )
        return self._above(below, made)

    def _same(self, one: Tensor, other: Tensor) -> bool:
        return self._source(one)[0] == self._source(other)[0]

    def _summed(self, node: Node) -> Part | None:
        """A network's outputs and its inputs, added over the whole sequence."""
        for one, other in (node.inputs, node.inputs[::-1]):
            found = self.part(one)
            if found is not None and self._same(found.inputs, other) and found.found.network.stepwise:
                found.found = Found(Residual(found.found.network), found.found.weights)
                return found
        return None

    def _written_out(self, node: Node) -> Part | None:
        """static_rnn's outputs, put together again."""
        given = node.inputs if node.op == "Pack" else node.inputs[:-1]
        steps = []
        for tensor in given:
            each = self.walk.node(self.walk.strip(tensor))
            steps.append(each.inputs[0] if each.op in ("ExpandDims", "Reshape") else tensor)
        found = self.steps(steps)
        if found is not None:
            found.outputs_time_major = node.op == "Pack" and int(node.attribute("axis", 0)) == 0
        return found

    def steps(self, tensors: list[Tensor]) -> Part | None:
        """The network whose outputs these are, step by step, written out."""
        layers, bottom = self.stack(tensors[0])
        if not layers:
            return self._two_directions(tensors) or self._apart(tensors)
        inputs, _ = self._taken(bottom)
        if inputs is None:
            return None
        made = self._made(layers, inputs, self._axis(bottom) == 0, None)
        lowest = layers[0][1][0].steps
        backward = order_of(self, lowest[0]) > order_of(self, lowest[-1])
        if backward:
            made.facts.append("backward")
        made.steps = list(tensors)
        return made

    def _apart(self, tensors: list[Tensor]) -> Part | None:
        """Steps taken out of a sequence again, as the backward direction's are once they are turned back."""
        given = [self.walk.strip(tensor) for tensor in tensors]
        apart = self.walk.node(given[0])
        if apart.op != "Unpack" or any(each.node != apart.name for each in given):
            return None
        found = self.part(apart.inputs[0])
        if found is not None:
            found.steps = list(tensors)
        return found

    def _two_directions(self, tensors: list[Tensor]) -> Part | None:
        joined = [self.walk.node(self.walk.strip(tensor)) for tensor in tensors]
        if any(node.op != "ConcatV2" or len(node.inputs) != 3 for node in joined):
            return None
        forward, backward = (self.steps([node.inputs[k] for node in joined]) for k in (0, 1))
        if forward is None or backward is None or "backward" not in backward.facts:
            return None
        made = self._directions(forward, backward)
        made.steps = list(tensors)
        return made

    def _taken(self, tensor: Tensor) -> tuple[Tensor | None, int]:
        """The sequence that a written-out step's input is a step of, and which."""
        tensor = self.walk.strip(tensor)
        node = self.walk.node(tensor)
        if node.op == "Unpack":
            return node.inputs[0], tensor.index
        if node.op in ("Squeeze", "Reshape"):
            inner = self.walk.strip(node.inputs[0])
            if self.walk.op(inner) == "Split":
                return self.walk.node(inner).inputs[1], inner.index
            return self._taken(inner)
        if node.op == "Split":
            return node.inputs[1], tensor.index
        if node.op == "StridedSlice":
            begin = self.walk.constant(node.inputs[1])
            return node.inputs[0], 0 if begin is None else int(max(begin.ravel()))
        return None, 0

    def _axis(self, tensor: Tensor) -> int:
        """The axis along which a step was taken: 0 is time first."""
        tensor = self.walk.strip(tensor)
        node = self.walk.node(tensor)
        if node.op == "Unpack":
            return int(node.attribute("axis", 0))
        if node.op in ("Squeeze", "Reshape"):
            return self._axis(node.inputs[0])
        if node.op == "Split":
            axis = self.walk.number(node.inputs[0])
            return int(axis or 0)
        if node.op == "StridedSlice":
            begin = self.walk.constant(node.inputs[1])
            return 1 if begin is not None and len(begin) > 1 else 0
        return 1


def order_of(sequences: Sequences, step: Step) -> int:
    """Which step of its sequence a written-out step reads."""
    tensor = sequences.walk.strip(step.inputs)
    dropped = sequences.walk.dropouts.get(tensor)
    return sequences._taken(tensor if dropped is None else dropped.data)[1]


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


def _apart(found: Found) -> list[Found]:
    """The layers of a network of layers."""
    assert isinstance(found.network, Layers)
    parts = []
    for number, network in enumerate(found.network.layers):
        start = f"cell_{number}/"
        own = {name[len(start) :]: stored for name, stored in found.weights.items() if name.startswith(start)}
        parts.append(Found(network, own))
    return parts
