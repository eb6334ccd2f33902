"""What a graph gives at drawn inputs, held against what is computed of the model that it was taken for."""

from __future__ import annotations

from typing import Any

import numpy as np

from torch_impl.tf1.graphs.heads import DenseAt, Embedded
from torch_impl.tf1.graphs.judge import LIMIT, ROWS, Judge, Unknown, computed, nearness
from torch_impl.tf1.graphs.layers import Part
from torch_impl.tf1.graphs.meta import VARIABLES, Tensor
from torch_impl.tf1.graphs.operations import activated, product
from torch_impl.tf1.graphs.parts import Parts
from torch_impl.tf1.graphs.pieces import Found, Unlike
from torch_impl.tf1.inferred import Probe
from torch_impl.tf1.sources import Source

__all__ = ["Compared"]


class Compared(Parts):
    """Comparisons of a graph's values with the model's. probe: what the last was made with. sums: those of the
    last dense layer, before its activation; None where they cannot be computed."""

    sums: np.ndarray | None = None

    def _judge(self, part: Part, embedding: Embedded | None) -> Judge:
        tokens = {}
        if embedding is not None:
            for name in self.walk.ancestors(embedding.tokens, 200):
                if self.graph.nodes[name].op == "Placeholder":
                    tokens[name] = embedding.rows
        lengths = {
            name for tensor in self._lengths(part) for name in self.walk.ancestors(tensor, 50)
            if self.graph.nodes[name].op == "Placeholder" and len(self.graph.nodes[name].attribute("shape") or []) == 1
        }  # fmt: skip
        states, rows = self._initial(part)
        judge = Judge(self.walk, self.variable, tokens, lengths, states, padded=bool(self._masks(part)), rows=rows)
        judge.time_first.update(self._time_first(part))
        return judge

    def _time_first(self, part: Part) -> list[str]:
        """The placeholders that are fed with time first, by the transposes between them and what the network reads."""
        turned = {part.inputs.node: part.time_major}
        for name in (queue := [part.inputs.node]):
            node = self.graph.nodes[name]
            order = self.walk.constant(node.inputs[1]) if node.op == "Transpose" else None
            swapped = turned[name] != (order is not None and list(order[:2]) == [1, 0])
            for each in node.inputs[: 1 if node.op == "Reshape" else None]:
                if each.node in self.graph.nodes and each.node not in turned and len(turned) < 300:
                    turned[each.node] = swapped
                    queue.append(each.node)
        return [name for name in queue if turned[name] and self.graph.nodes[name].op == "Placeholder"]

    def _initial(self, part: Part) -> tuple[set[str], int]:
        """The placeholders of initial states, and how many rows the states are fixed to, if they are."""
        states, rows = set(), ROWS
        for cell in part.cells:
            step = cell.steps[0]
            for before in {*step.before.values(), step.h}:
                merge = self.walk.loop_of(before)
                start = before if merge is None else self.walk.node(self.walk.node(merge).inputs[0]).inputs[0]
                source = self.walk.node(self.walk.strip(start))
                if source.op == "Placeholder":
                    states.add(source.name)
                    shape = source.attribute("shape") or [-1]
                    rows = shape[0] if shape[0] > 0 else rows
                value = self.walk.constant(start)
                if value is not None and np.ndim(value) == 2:
                    rows = len(value)
        return states, rows

    def _begins(self, part: Part) -> str:
        """Why a part's state does not begin with zeros or with what is fed, "" where it does."""
        for cell in part.cells:
            for before in {*cell.steps[0].before.values(), cell.steps[0].h}:
                merge = self.walk.loop_of(before)
                if merge is None:
                    continue
                queue = [self.walk.node(self.walk.node(merge).inputs[0]).inputs[0].node]
                for name in queue:
                    node = self.graph.nodes[name]
                    if node.op in VARIABLES:
                        return f"its state begins with the variable {name}, and here with zeros"
                    if node.op not in ("Shape", "Size", "ZerosLike") and len(queue) < 60:
                        queue += [each.node for each in node.inputs if each.node in self.graph.nodes]
        return ""

    def _masks(self, part: Part) -> list[Tensor]:
        """Sequences of truth by which a Keras layer's loop chooses: valid steps, [batch, steps] or with time first."""
        found = []
        frames = {step.frame for cell in part.cells for step in cell.steps} - {""}
        for node in self.graph.of("TensorArrayReadV3"):
            if int(node.attribute("dtype", 0)) != 10:
                continue
            handle = self.walk.node(node.inputs[2])
            if handle.op == "Enter" and str(handle.attribute("frame_name")) in frames:
                sequence = self.sequences._scattered(node)
                if sequence is not None:
                    found.append(sequence)
        return found

    def _lengths(self, part: Part) -> list[Tensor]:
        """The lengths that the part's loops compare the time with."""
        found: list[Tensor] = []
        frames = {step.frame for cell in part.cells for step in cell.steps}
        for node in self.graph.of("GreaterEqual", "LessEqual"):
            sides = node.inputs if node.op == "GreaterEqual" else node.inputs[::-1]
            time, limit = self.walk.node(self.walk.strip(sides[0])), self.walk.strip(sides[1])
            if self.walk.is_loop(time):
                frame = str(self.walk.node(time.inputs[0]).attribute("frame_name"))
                if frame in frames and self.walk.constant(limit) is None:
                    found.append(limit)
            elif "" in frames and time.op == "Const" and self.walk.constant(limit) is None:
                found += [limit] if self.walk.op(limit) not in ("RandomUniform", "Min", "Max") else []
        for name in frames:
            block = self.walk.node(Tensor(name))
            if block.op == "BlockLSTM":
                most = self.walk.node(self.walk.strip(block.inputs[0]))
                for _ in range(4):
                    if most.op not in ("Cast", "Max", "Identity"):
                        break
                    found += most.inputs[:1] if most.op == "Max" else ()
                    most = self.walk.node(most.inputs[0])
        return list(dict.fromkeys(found))

    def _run(self, part: Part, embedding: Embedded | None, wanted: list[Tensor]) -> tuple[list[Any], Any, Any]:
        """(values of what is wanted, what the network read with batch first, lengths)."""
        lengths = (self._lengths(part) or self._masks(part))[:1]
        inputs, _ = self.sequences._source(part.inputs)
        if inputs in self.walk.dropouts:
            inputs, _ = self.sequences._source(self.walk.dropouts[inputs].data)
        judge, tensors = self._judge(part, embedding), [*wanted, inputs, *lengths]
        try:
            values, self.fed = judge.values(tensors)
        except Unknown:
            if embedding is None:
                raise
            judge.inner = True  # tokens may be shifted before they are looked up
            values, self.fed = judge.values(tensors)
        given = np.asarray(values[len(wanted)])
        if given.ndim != 3:
            raise Unknown(f"what the network reads has shape {list(given.shape)}")
        given = given.swapaxes(0, 1) if part.time_major else given
        limits = np.asarray(values[-1]) if lengths else None
        if limits is not None and limits.dtype == bool:
            time = next((axis for axis, size in enumerate(limits.shape) if size == given.shape[1]), 0)
            limits = limits.sum(axis=time).reshape(-1)
        return values[: len(wanted)], given, limits

    def _judge_part(self, part: Part, weights: dict[str, Source]) -> float:
        if part.outputs == part.inputs:
            raise Unknown("the graph has no outputs of its loop, but for the final state")
        values, given, lengths = self._run(part, None, part.steps or [part.outputs])
        expected = np.stack(values, 1) if part.steps else values[0]
        arrays = {name: self.array(source) for name, source in weights.items()}
        outputs, _ = computed(part.found.network, arrays, given, lengths)
        return min(nearness(outputs, expected), nearness(outputs.swapaxes(0, 1), expected))

    def _form(
        self, part: Part, found: Found, arrays: dict[str, np.ndarray], chain: list[DenseAt], embedding: Embedded | None,
        wrapped: bool,
    ) -> tuple[str | None, float]:  # fmt: skip
        """("final", "all", or None for neither, the difference): what the dense layers read, by what comes out."""
        end = part.outputs if wrapped else chain[-1].end
        tokens = [] if embedding is None else [embedding.tokens]
        (expected, sums, *ids), given, lengths = self._run(
            part, embedding, [end, end if wrapped else chain[-1].linear, *tokens]
        )
        self.sums = np.asarray(sums)
        own = {name: arrays[name] for name in found.weights}
        if embedding is not None:
            ids_there = np.asarray(ids[0])
            looked_up = arrays["embedding"][ids_there].astype(np.float64)
            looked_up = looked_up.swapaxes(0, 1) if looked_up.shape != given.shape else looked_up
            if nearness(looked_up, given) > LIMIT:
                raise Unlike("what the network reads is not the embedding's rows")
        self.probe = Probe(self.fed, f"{end.node}:{end.index}", np.asarray(expected),
                           np.asarray(ids[0]) if ids else given,
                           None if lengths is None else np.asarray(lengths))  # fmt: skip
        outputs, final = computed(found.network, own, given, lengths)
        best = float("inf")
        for form, features in (("all", outputs), ("final", final)):
            result = features
            for number, each in enumerate(chain):
                name = "dense/" if each is chain[-1] else f"hidden_{number}/"
                if arrays[name + "kernel"].shape[0] != result.shape[-1]:
                    break
                result = product(result, arrays[name + "kernel"]) + arrays[name + "bias"]
                result = activated(each.activation, result)
            else:
                if wrapped and lengths is not None and form == "all":
                    result = np.where((np.arange(result.shape[1]) < np.asarray(lengths)[:, None])[..., None], result, 0)
                turned = [result.swapaxes(0, 1)] if form == "all" else []
                for values in (result, *turned):
                    flat = values.reshape(-1, values.shape[-1])
                    near = nearness(flat, np.reshape(expected, (-1, np.shape(expected)[-1])))
                    if near <= LIMIT:
                        return form, near
                    best = min(best, near)
        return None, best

    def _on_lengths(self, part: Part) -> tuple[list[str], list[str]]:
        """Where lengths, and initial states, come from; and of lengths that are not what is fed, that they are not."""
        lines, loud = [], []
        lengths, masks = self._lengths(part), self._masks(part)
        if lengths:
            source = self.walk.node(self.walk.strip(lengths[0]))
            if source.op.startswith("Placeholder"):
                lines.append(f"lengths: fed by {source.name}; give them here")
            else:
                below = self.walk.ancestors(lengths[0], 50)
                of = [name for name in below if self.graph.nodes[name].op == "Placeholder"]
                told = f"of {', '.join(of)} " if of else ""
                loud.append(f"lengths are computed {told}there ({source.op}, {source.name}): give them here so")
        elif masks:
            loud.append(f"lengths: those of a mask ({masks[0].node}), whose padding must come last; give them here")
        states = self._initial(part)[0]
        if states:
            lines.append(f"the initial state is fed by {', '.join(sorted(states))}; here it is zeros unless given")
        return lines, loud
