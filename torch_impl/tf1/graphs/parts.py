"""The recurrent parts of a graph, and which of them a tensor comes from."""

from __future__ import annotations

from functools import cached_property

from torch_impl.tf1.graphs.layers import Part
from torch_impl.tf1.graphs.meta import Tensor
from torch_impl.tf1.graphs.pieces import Cell
from torch_impl.tf1.graphs.weights import Weights

__all__ = ["Parts"]


class Parts(Weights):
    """The recurrent parts of a graph."""

    @cached_property
    def parts(self) -> list[Part]:
        """All that were found, larger ones and those within them."""
        found = []
        for node in self.graph.of(
            "TensorArrayGatherV3", "ConcatV2", "ReverseSequence", "ReverseV2", "Pack", "BlockLSTM", "Add", "AddV2"
        ):
            tensor = Tensor(node.name)
            if node.op == "BlockLSTM":  # with lengths, a product with a mask follows
                masked = self.walk.users(Tensor(node.name, 6), "Mul")
                tensor = Tensor(masked[0].name) if masked else Tensor(node.name, 6)
            part = self.sequences.part(tensor)
            if part is not None:
                found.append(part)
        for cell in self.cells:
            if not cell.steps[0].frame:
                part = self.sequences.steps([step.output for step in cell.steps])
                if part is not None:
                    found.append(part)
        known = {id(cell) for part in found for cell in part.cells}
        for cell in self.cells:
            if cell.steps[0].frame and id(cell) not in known:
                part = self.sequences.ungathered(cell)
                if part is not None:
                    found.append(part)
        return found

    def _leaves(self, tensor: Tensor) -> set[int]:
        """The cells whose states or outputs a tensor is made of, by `id`."""
        by_state: dict[Tensor, list[Cell]] = {}
        for cell in self.cells:
            for step in cell.steps:
                merge = self.walk.loop_of(step.h)
                for before in (merge, *(self.walk.strip(each) for each in step.before.values())):
                    if before is not None:
                        by_state.setdefault(before, []).append(cell)
        queue, seen = [tensor], {tensor}
        found: set[int] = set()
        for current in queue:
            current = self.walk.strip(current)
            node = self.walk.node(current)
            if current in self.sequences.outputs:
                found.add(id(self.sequences.outputs[current][0]))
                continue
            if node.op == "Exit":
                merge = Tensor(self.walk.node(node.inputs[0]).inputs[0].node)
                if merge in by_state:
                    found |= {id(cell) for cell in by_state[merge]}
                    continue
            if node.op == "TensorArrayGatherV3":
                part = self.sequences.part(Tensor(node.name))
                if part is not None:
                    found |= {id(cell) for cell in part.cells}
                    continue
            for each in node.inputs:
                if each not in seen and len(seen) < 3000:
                    seen.add(each)
                    queue.append(each)
        return found

    def _part_of(self, tensor: Tensor) -> Part | None:
        """The recurrent part that a tensor comes from: the smallest that has all of its cells."""
        whole = self.sequences.part(tensor)
        if whole is not None and not whole.reversed:
            return whole
        single = self.sequences.steps([tensor])
        if single is not None and "backward" not in single.facts:
            return single
        wanted = self._leaves(tensor)
        if not wanted:
            return None
        holding = [
            part for part in self.parts
            if wanted <= {id(cell) for cell in part.cells} and not part.reversed and "backward" not in part.facts
        ]  # fmt: skip
        if holding:
            return min(holding, key=lambda part: len(part.cells))
        forward = [p for p in self.parts if "backward" not in p.facts and not p.reversed]
        backward = [p for p in self.parts if "backward" in p.facts or p.reversed]
        for one in forward:
            for other in backward:
                both = {id(cell) for part in (one, other) for cell in part.cells}
                if wanted <= both and self.sequences._same(one.inputs, other.inputs):
                    return self.sequences._directions(one, other)
        return None
