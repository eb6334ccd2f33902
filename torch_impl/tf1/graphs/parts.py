"""The recurrent parts of a graph, which of them a tensor comes from, the dense layers above and what is below."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

from torch_impl.tf1.graphs.heads import DenseAt, Embedded, embedding_of, feeds
from torch_impl.tf1.graphs.layers import Part
from torch_impl.tf1.graphs.meta import Node, Tensor
from torch_impl.tf1.graphs.pieces import Cell, Found
from torch_impl.tf1.graphs.weights import Weights
from unrolled.networks import Layers

__all__ = ["Parts"]

# What inputs come in by.
_FED = ("Placeholder", "PlaceholderWithDefault", "IteratorGetNext", "QueueDequeueManyV2")


class Parts(Weights):
    """The recurrent parts of a graph."""

    @cached_property
    def joined(self) -> dict[Tensor, Part]:
        """Parts by the tensor of what a dense layer makes of their steps, one by one, put together."""
        return {}

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
        whole = self.joined.get(tensor) or self.sequences.part(tensor)
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
                if wanted <= both and (made := self.sequences._parted(one, other)) is not None:
                    return made
        return None

    @cached_property
    def tops(self) -> list[DenseAt]:
        """The dense layers that depend on a cell, and on which no other one depends."""
        outputs = {tensor.node for tensor in self.sequences.outputs}
        above = {id(each): set(self.walk.all_ancestors(each.start)) for each in self.denses}
        own = [each for each in self.denses if above[id(each)] & outputs]
        under = {id(one) for one in own for other in own if one is not other and one.linear.node in above[id(other)]}
        tops = [each for each in own if id(each) not in under]
        together = self._by_steps(tops)
        return tops if together is None else [together]

    def _by_steps(self, tops: list[DenseAt]) -> DenseAt | None:
        """One dense layer on every step, where the steps are written out; None where these are others."""
        if len({(each.kernel, each.bias, each.activation) for each in tops}) != 1 or len(tops) < 2:
            return None
        ends = [self.walk.strip(each.end) for each in tops]
        for node in self.graph.of("Pack"):
            given = [self.walk.strip(tensor) for tensor in node.inputs]
            if sorted(given) == sorted(ends):
                part = self.sequences.steps([tops[ends.index(tensor)].start for tensor in given])
                if part is not None and "backward" not in part.facts:
                    packed = Tensor(node.name)
                    self.joined[packed] = part
                    return replace(tops[0], start=packed, linear=packed, end=packed)
        return None

    def _chain(self, top: DenseAt) -> tuple[list[DenseAt], Tensor]:
        """Dense layers from the lowest up to `top`, and what the lowest reads."""
        chain, others = [top], [each for each in self.denses if each is not top]
        while True:
            feature, below = feeds(self.walk, chain[0], others)
            if below is None or below in chain:
                return chain, feature
            chain.insert(0, below)

    def _front(self, part: Part, facts: list[str]) -> tuple[Embedded | None, Found]:
        """What the network reads: the embedding, and the network with a dropout of its inputs."""
        found, tensor = part.found, self.walk.strip(part.inputs)
        dropped = self.walk.dropouts.get(tensor)
        if dropped is not None:
            tensor = dropped.data
            if dropped.keep is None:
                self.sequences.fed.append(dropped.placeholder or "something that is computed")
            else:
                found = self._with_inputs_dropped(found, dropped.keep, dropped.variational)
        tensor, _swapped = self.sequences._source(tensor)
        embedding = embedding_of(self.walk, self.variables, tensor)
        if embedding is None:
            node = self._source_of(tensor)
            if node.op not in _FED:
                self.prepared = [f"inputs are what {node.op} ({tensor.node}) gives there: prepare them so"]
            else:
                facts.append(
                    f"inputs: {node.name}" + (", time first there, batch first here" if part.time_major else "")
                )
        else:
            if (source := self._source_of(embedding.tokens)).op not in _FED:
                self.prepared.append(f"tokens are what {source.op} ({source.name}) gives there: prepare them so")
            facts.append(
                f"embedding of {embedding.rows} tokens, width {embedding.width}"
                + (f", in {len(embedding.table.parts)} slices whose rows take turns" if embedding.interleaved else "")
            )
        return embedding, found

    def _source_of(self, tensor: Tensor) -> Node:
        """What gives a tensor, without what only moves or casts it."""
        node = self.walk.node(tensor)
        for _ in range(6):
            if node.op in ("Reshape", "ExpandDims", "Squeeze", "Transpose", "Cast", "Identity") and node.inputs:
                node = self.walk.node(node.inputs[0])
        return node

    def _with_inputs_dropped(self, found: Found, keep: float, variational: bool) -> Found:
        """A dropout of what the lowest layer reads."""
        network = found.network
        if isinstance(network, Layers) and network.layers[0].stepwise:
            lowest = self.sequences._dropout(Found(network.layers[0], {}), "input_keep", keep, None, variational)
            return Found(Layers((lowest.network, *network.layers[1:])), found.weights)
        if network.stepwise:
            return self.sequences._dropout(found, "input_keep", keep, None, variational)
        self.sequences.fed.append(f"a constant, {keep:g}, of both directions' inputs")
        return found
