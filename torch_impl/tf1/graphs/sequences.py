"""What is built of cells: layers, directions and wrappers, from the tensor that leaves them down to what goes in."""

from __future__ import annotations

from torch_impl.tf1.graphs.blocks import WHOLE
from torch_impl.tf1.graphs.layers import Part, Wrapped, apart, layered
from torch_impl.tf1.graphs.meta import Node, Tensor
from torch_impl.tf1.graphs.pieces import Cell, Found, Stored, biased
from torch_impl.tf1.graphs.walk import first
from torch_impl.tf1.graphs.written_out import WrittenOut
from unrolled.networks import Bidirectional, Layers, Residual, prefixed

__all__ = ["Sequences"]


class Sequences(WrittenOut):
    """Parts by the tensor that they give."""

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
            found.outputs = tensor
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
        write = self._written(self.walk.node(self.walk.node(self.walk.node(Tensor(merge)).inputs[1]).inputs[0]))
        if write is None:
            return None
        value, wrapped = write.inputs[2], None
        layers, bottom = self.stack(value)
        if not layers:
            wrapped = self._wrapper(value)
            if wrapped is None:
                return None
            layers, bottom = self.stack(wrapped.start)
        return self._read(layers, bottom, wrapped)

    def ungathered(self, cell: Cell) -> Part | None:
        """A cell in a loop whose outputs nobody gathers, and what is below it there: of a graph that was cut down to
        what its final state needs."""
        found = self._read(*self.stack(cell.steps[0].output), None)
        if found is not None:
            found.outputs = found.inputs  # for there are none
        return found

    def _read(self, layers: list[tuple[Found, list[Cell]]], bottom: Tensor, wrapped: Wrapped | None) -> Part | None:
        """Layers within a loop, the lowest of which reads step after step of a sequence."""
        read = self.walk.node(self.walk.strip(bottom))
        inputs = self._scattered(read) if read.op == "TensorArrayReadV3" else None
        if not layers or inputs is None:
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
        cells = below.cells + upper.cells
        facts = below.facts + upper.facts
        found = layered(apart(below.found) + apart(upper.found))
        return Part(
            found, below.inputs, below.time_major, cells, upper.outputs, upper.outputs_time_major, False, upper.wrapped,
            facts,
        )  # fmt: skip

    def _wrapper(self, value: Tensor) -> Wrapped | None:
        """An OutputProjectionWrapper: activation(outputs @ kernel + bias) in the loop."""
        end = self.walk.strip(value)
        node = self.walk.node(end)
        if node.op not in ("BiasAdd", "Add", "AddV2", "MatMul") and len(node.inputs) == 1:
            node = self.walk.node(self.walk.strip(node.inputs[0]))
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
        return Wrapped(Stored(kernel), bias or Stored(), end, product.inputs[0])

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
        if not self._same(forward.inputs, below.inputs):
            return None
        top = layered(apart(forward.found)[len(apart(below.found)) :])
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
