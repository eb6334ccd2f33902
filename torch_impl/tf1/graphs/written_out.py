"""Recurrent parts whose steps are written out one by one, as tf.nn.static_rnn does."""

from __future__ import annotations

from torch_impl.tf1.graphs.layers import Layered, Part, Wrapped
from torch_impl.tf1.graphs.meta import Node, Tensor
from torch_impl.tf1.graphs.pieces import Cell, Found, Step

__all__ = ["WrittenOut"]


class WrittenOut(Layered):
    """static_rnn's steps, and both directions of them."""

    def part(self, tensor: Tensor) -> Part | None:
        raise NotImplementedError

    def _made(
        self, layers: list[tuple[Found, list[Cell]]], inputs: Tensor, time_major: bool, wrapped: Wrapped | None
    ) -> Part:
        raise NotImplementedError

    def _directions(self, forward: Part, backward: Part) -> Part:
        raise NotImplementedError

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


def order_of(sequences: WrittenOut, step: Step) -> int:
    """Which step of its sequence a written-out step reads."""
    tensor = sequences.walk.strip(step.inputs)
    dropped = sequences.walk.dropouts.get(tensor)
    return sequences._taken(tensor if dropped is None else dropped.data)[1]
