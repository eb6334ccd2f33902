"""From a graph to a model as a value, with where its weights are, and what else is to be told of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from torch_impl.checkpoints.errors import CheckpointError
from torch_impl.tf1.bundle import BundleEntry
from torch_impl.tf1.graphs.cells import Cell, Found, Stored, Unlike, Variables, find_cells
from torch_impl.tf1.graphs.heads import DenseAt, Embedded, dense_layers, embedding_of, feeds, loss_on
from torch_impl.tf1.graphs.judge import LIMIT, ROWS, Judge, Unknown, computed, nearness
from torch_impl.tf1.graphs.meta import Graph, Tensor
from torch_impl.tf1.graphs.operations import activated
from torch_impl.tf1.graphs.optimizers import Optimizer, optimizers
from torch_impl.tf1.graphs.sequences import Part, Sequences
from torch_impl.tf1.graphs.walk import Walk
from torch_impl.tf1.inferred import Inferred, Probe
from torch_impl.tf1.slots import find_slots
from torch_impl.tf1.sources import Source
from unrolled.models import Dense, Model
from unrolled.networks import Layers, prefixed
from unrolled.programs import Adam

__all__ = ["infer"]

POWERS = ("beta1_power", "beta2_power")

Read = Callable[[str], np.ndarray]


def infer(
    graph: Graph, entries: Mapping[str, BundleEntry], read: Read, scope: str = "", kind: str | None = None
) -> Inferred:
    """What the graph says of the checkpoint with these variables.

    kind: the model's, where the graph's loss does not tell. scope: of several models, the one whose variables' names begin so. Raises CheckpointError where the graph has no
    recurrent cell that is known, or is another checkpoint's.
    """
    return _Inference(graph, entries, read, scope, kind).result()


def _shared(weights: dict[str, Source]) -> list[str]:
    """Weights that are one variable there, and several here, which training moves apart."""
    seen: dict[tuple[str, ...], str] = {}
    lines = []
    for name, source in weights.items():
        if source.names in seen:
            lines.append(f"{name} and {seen[source.names]} are one variable there, two here: training moves them apart")
        elif source.names:
            seen[source.names] = name
    return lines


class _Inference:
    def __init__(
        self, graph: Graph, entries: Mapping[str, BundleEntry], read: Read, scope: str, kind: str | None
    ) -> None:
        self.graph, self.entries, self.read, self.scope, self.kind = graph, entries, read, scope, kind
        self.walk = Walk(graph)
        self.saved = graph.saved(set(entries))
        self.stored: dict[str, tuple[Stored, bool]] = {}
        self.fed: dict[str, np.ndarray] = {}
        self.probe: Probe | None = None
        groups: dict[str, list[tuple[tuple[int, ...], str]]] = {}
        for node, saved in self.saved.items():
            if saved.start is not None:
                groups.setdefault(saved.name, []).append((saved.start, node))
        self.groups = {node: tuple(each for _, each in sorted(own)) for own in groups.values() for _, node in own}
        self.variables = Variables(self.walk, self.groups)
        self.cells, self.doubts = find_cells(self.walk, self.variables)
        self.cells = [cell for cell in self.cells if self._in_scope(cell.found.weights.values())]
        self.sequences = Sequences(self.walk, self.variables, self.cells)
        taken = {name for cell in self.cells for stored in cell.found.weights.values() for name in stored.parts}
        denses = dense_layers(self.walk, self.variables, taken)
        self.denses = [each for each in denses if self._in_scope([each.kernel])]
        self.parts = self._parts()

    def _in_scope(self, weights: Iterable[Stored]) -> bool:
        names = [self.saved[part].name for stored in weights for part in stored.parts if part in self.saved]
        return all(name.startswith(self.scope) for name in names)

    # Weights

    def put(self, weights: dict[str, Source], name: str, stored: Stored, interleaved: bool = False) -> None:
        """Say where a canonical weight is, and so where its slots are."""
        weights[name] = self.source(stored, interleaved)
        self.stored[name] = (stored, interleaved)

    def source(self, stored: Stored, interleaved: bool = False) -> Source:
        """The same by the checkpoint's names."""
        if not stored.parts:
            return Source((), zeros=stored.zeros)
        missing = [name for name in stored.parts if name not in self.saved]
        if missing:
            raise CheckpointError(f"the graph's variable {missing[0]} is not in the checkpoint; it is of another graph")
        names = tuple(dict.fromkeys(self.saved[name].name for name in stored.parts))
        starts = tuple(saved.start[0] for name in stored.parts if (saved := self.saved[name]).start)
        return Source(names, stored.transposed, starts if interleaved else ())

    def array(self, source: Source) -> np.ndarray:
        return source.array(self.read)

    def variable(self, node: str) -> np.ndarray:
        """A variable's value, or its slice's."""
        if node not in self.saved:
            raise Unknown(f"variable {node} is not in the checkpoint")
        saved, array = self.saved[node], self.read(self.saved[node].name)
        if saved.start is None:
            return array
        shape = self.graph.nodes[node].attribute("shape")
        return array[tuple(slice(start, start + size) for start, size in zip(saved.start, shape, strict=False))]

    # Parts

    def _parts(self) -> list[Part]:
        """Every recurrent part, the larger first."""
        found = []
        for node in self.graph.of(
            "TensorArrayGatherV3", "ConcatV2", "ReverseSequence", "ReverseV2", "Pack", "BlockLSTM", "Add", "AddV2"
        ):
            tensor = Tensor(node.name, 6 if node.op == "BlockLSTM" else 0)
            part = self.sequences.part(tensor)
            if part is not None:
                found.append(part)
        for cell in self.cells:
            if not cell.steps[0].frame:
                part = self.sequences.steps([step.output for step in cell.steps])
                if part is not None:
                    found.append(part)
        return found

    def _leaves(self, tensor: Tensor) -> tuple[list[Cell], bool]:
        """The cells whose states or outputs a tensor is made of, and whether only from final states."""
        by_state: dict[Tensor, list[Cell]] = {}
        for cell in self.cells:
            for step in cell.steps:
                merge = self.walk.loop_of(step.h)
                for before in (merge, *(self.walk.strip(each) for each in step.before.values())):
                    if before is not None:
                        by_state.setdefault(before, []).append(cell)
        queue, seen, found, final = [tensor], {tensor}, [], True
        for current in queue:
            current = self.walk.strip(current)
            node = self.walk.node(current)
            if current in self.sequences.outputs:
                found.append(self.sequences.outputs[current][0])
                final = final and node.op != "BlockLSTM"
                continue
            if node.op == "Exit":
                merge = Tensor(self.walk.node(node.inputs[0]).inputs[0].node)
                if merge in by_state:
                    found += by_state[merge]
                    continue
            if node.op == "TensorArrayGatherV3":
                final = False
                part = self.sequences.part(Tensor(node.name))
                if part is not None:
                    found += part.cells
                    continue
            for each in node.inputs:
                if each not in seen and len(seen) < 3000:
                    seen.add(each)
                    queue.append(each)
        return list({id(cell): cell for cell in found}.values()), final

    def _part_of(self, tensor: Tensor) -> Part | None:
        """The recurrent part that a tensor comes from: the smallest that has all of its cells."""
        whole = self.sequences.part(tensor)
        if whole is not None and not whole.reversed:
            return whole
        single = self.sequences.steps([tensor])
        if single is not None and "backward" not in single.facts:
            return single
        cells, _ = self._leaves(tensor)
        wanted = {id(cell) for cell in cells}
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

    # The whole

    def result(self) -> Inferred:
        """What the graph says: the model, its optimizer, and what is no part of it."""
        self.optimizers = optimizers(self.walk, self.variable)
        found = self._network()
        found.trained = self._all_trained()
        self._optimized(found)
        slots = find_slots(self.entries)
        found.step = slots.steps[0] if len(slots.steps) == 1 else None
        used = {name for source in (*found.weights.values(), *found.slots.values()) for name in source.names}
        found.left = [name for name in self.entries if name not in used and name not in slots.all]
        lost = [name for name in found.left if name in found.trained]
        if lost and found.model is not None:
            found.assumed.append(
                f"{', '.join(lost)}: trained, and not between inputs and outputs (a conditional random field's "
                "transitions, say): what is decoded from the outputs by them is not the model's to do"
            )
        return found

    def _all_trained(self) -> set[str]:
        nodes = {node for optimizer in self.optimizers for node in optimizer.slots}
        for top in self._tops():
            nodes.update(self.walk.ancestors(top.end, 1_000_000))
        return {self.saved[node].name for node in nodes if node in self.saved}

    def _optimized(self, found: Inferred) -> None:
        """The optimizer's settings, and Adam's moments where it was Adam that trained."""
        found.facts += [each.line for each in self.optimizers]
        if found.model is None:
            return
        adams = [each for each in self.optimizers if each.name == "Adam"]
        parts = {part for stored, _ in self.stored.values() for part in stored.parts}
        adam = max(adams, key=lambda each: len(parts & set(each.slots)), default=None)
        if adam is None or not parts & set(adam.slots):
            if self.optimizers:
                found.facts.append("its state is not taken along: training here is Adam's, and starts it afresh")
            return
        known = {name: value for name, value in adam.settings.items() if name in Adam._fields}
        found.optimizer = Adam(**known)
        if "learning_rate" in adam.fed:
            found.assumed.append(
                f"the learning rate is {found.optimizer.learning_rate:g}: the graph is fed it (--learning-rate)"
            )
        if len(adam.powers) == 2 and set(adam.powers) <= set(self.saved):
            self._moments(found, adam)
        if not found.slots:
            found.facts.append("Adam's moments are not in the checkpoint: training here starts them afresh")

    def _moments(self, found: Inferred, adam: Optimizer) -> None:
        pattern = [(before, behind) for node, slots in adam.slots.items()
                   for before, _, behind in (slot.partition(node) for slot in slots)][:2]  # fmt: skip
        slots: dict[str, Source] = {}
        still = []
        for name, (stored, interleaved) in self.stored.items():
            for k, slot in enumerate(("Adam", "Adam_1")):
                nodes = tuple(
                    adam.slots[part][k] if part in adam.slots else part.join(pattern[k]) for part in stored.parts
                )
                if nodes and all(node in self.saved for node in nodes):
                    slots[f"{name}/{slot}"] = self.source(Stored(nodes, stored.transposed), interleaved)
                else:
                    still.append(name)
                    slots[f"{name}/{slot}"] = Source((), zeros=found.weights[name].array(self.read).shape)
        if still:
            names = ", ".join(dict.fromkeys(still))
            found.facts.append(f"not trained there: {names}; training here would move it")
        slots.update({name: Source((self.saved[node].name,)) for name, node in zip(POWERS, adam.powers, strict=False)})
        found.slots = slots

    def _network(self) -> Inferred:
        if not self.cells:
            reason = f": {'; '.join(self.doubts[:3])}" if self.doubts else ""
            raise CheckpointError(f"the graph has no recurrent cell that is known here{reason}")
        tops = self._tops()
        problems = list(self.doubts)
        if len(tops) == 1:
            chain, feature = self._chain(tops[0])
            part = self._part_of(feature)
            if part is not None:
                try:
                    found = self._model(chain, feature, part)
                except (Unlike, ValueError) as error:
                    problems.append(str(error))
                else:
                    if found.model is not None and self._trained(found.weights):
                        others = ", ".join(self._trained(found.weights))
                        found = replace(found, model=None, why=f"the output depends on {others} as well")
                    if found.model is not None:
                        return found
                    problems.append(found.why)
            else:
                problems.append("what the dense layer reads is no recurrent part that is known here")
        else:
            problems.append(f"it has {len(tops)} last dense layers" if tops else "no dense layer is on the network")
        return self._only_parts(problems)

    def _trained(self, weights: dict[str, Source]) -> list[str]:
        """Variables between inputs and output that the model does not have, by the checkpoint's names."""
        known = {name for source in weights.values() for name in source.names}
        top = self._tops()[0]
        missing = []
        for name in self.walk.ancestors(top.end, 1_000_000):
            if name in self.saved and self.graph.nodes[name].op in ("Variable", "VariableV2", "VarHandleOp"):
                own = self.saved[name].name
                if own not in known and own not in missing and self.graph.nodes[name].attribute("dtype") in (1, 2, 19):
                    missing.append(own)
        return missing

    def _tops(self) -> list[DenseAt]:
        """The dense layers that depend on a cell, and on which no other one depends."""
        outputs = {tensor.node for tensor in self.sequences.outputs}
        above = {id(each): set(self.walk.ancestors(each.start, 1_000_000)) for each in self.denses}
        own = [each for each in self.denses if above[id(each)] & outputs]
        under = {id(one) for one in own for other in own if one is not other and one.linear.node in above[id(other)]}
        return [each for each in own if id(each) not in under]

    def _chain(self, top: DenseAt) -> tuple[list[DenseAt], Tensor]:
        """Dense layers from the lowest up to `top`, and what the lowest reads."""
        chain, others = [top], [each for each in self.denses if each is not top]
        while True:
            feature, below = feeds(self.walk, chain[0], others)
            if below is None or below in chain:
                return chain, feature
            chain.insert(0, below)

    def _only_parts(self, problems: list[str]) -> Inferred:
        largest: list[Part] = []
        for part in sorted(self.parts, key=lambda each: -len(each.cells)):
            known = {id(cell) for each in largest for cell in each.cells}
            if not part.reversed and "backward" not in part.facts and not known & {id(cell) for cell in part.cells}:
                largest.append(part)
        weights: dict[str, Source] = {}
        judged: list[float] = []
        reason = ""
        kept: list[Part] = []
        for part in largest:
            own: dict[str, Source] = {}
            for name, stored in part.found.weights.items():
                self.put(own, name, stored)
            try:
                near = self._judge_part(part, own)
            except Unknown as error:
                reason = str(error)
            else:
                if near > LIMIT:
                    problems.append(
                        f"{', '.join(each.scope for each in part.cells)}: not understood ({near:.1e} off the graph)"
                    )
                    continue
                judged.append(near)
            weights.update(prefixed(f"part_{len(kept)}/", own))
            kept.append(part)
        return Inferred(
            None,
            weights,
            facts=self._facts(),
            why="; ".join(dict.fromkeys(problems)),
            parts=[part.found.network for part in kept],
            judged=max(judged) if judged and not reason else None,
            unjudged=reason,
        )

    def _model(self, chain: list[DenseAt], feature: Tensor, part: Part) -> Inferred:
        """The model of these dense layers on this part, judged."""
        found = part.found
        facts: list[str] = []
        _inputs, embedding, found = self._front(part, found, facts)
        weights: dict[str, Source] = {}
        width = self._width(part)
        if embedding is not None:
            self.put(weights, "embedding", embedding.table, embedding.interleaved)
        for name, stored in found.weights.items():
            self.put(weights, name, stored)
        hidden = tuple(Dense(each.units, each.activation) for each in chain[:-1])
        for number, each in enumerate(chain):
            name = "dense/" if each is chain[-1] else f"hidden_{number}/"
            self.put(weights, name + "kernel", each.kernel)
            self.put(weights, name + "bias", each.bias or Stored(zeros=(each.units,)))
        top = chain[-1]
        loss = loss_on(self.walk, top.linear, top.end, part.outputs if part.wrapped else top.end)
        wrapped = part.wrapped is not None and part.wrapped.kernel == top.kernel
        sizes = {"inputs": embedding.rows if embedding else width, "embedding": embedding.width if embedding else 0}
        rest = {"hidden": hidden, "activation": top.activation, "outputs": top.units, **sizes}
        judged, reason, form = None, "", None
        arrays = {name: self.array(source) for name, source in weights.items()}
        try:
            form, judged = self._form(part, found, arrays, chain, embedding, wrapped)
        except Unknown as error:
            reason = str(error)
            form = "all" if self.sequences.part(feature) is not None else "final"
        if form is None:
            why = f"its dense layer reads neither the final state nor every output ({judged:.1e} off)"
            return Inferred(None, weights, facts=facts, why=why)
        kind = self._kind(form, loss, top.units)
        if kind is None:
            told = {"squares": "a mean square", "cross-entropy": "a cross-entropy"}.get(loss or "", "no known loss")
            where, kinds = (
                ("the final state", "classifier") if form == "final" else ("every step", "regressor or tagger")
            )
            why = f"it has a dense layer on {where} and {told}: say what it is with --kind {kinds}"
            return Inferred(None, weights, facts=facts, why=why)
        model = Model(
            kind, found.network, projection="wrapped" if wrapped and kind == "regressor" else "stacked", **rest
        )
        facts += self._facts() + self._on_lengths(part) + _shared(weights)
        parts = [found.network]
        return Inferred(
            model, weights, facts=facts, parts=parts, judged=judged, unjudged=reason, time_major=part.time_major,
            probe=self.probe if not reason else None,
        )  # fmt: skip

    def _kind(self, form: str, loss: str | None, units: int) -> str | None:
        """The kind of model by what the dense layer reads and its loss, or as the user says; None for no such kind."""
        if self.kind is not None:
            return self.kind if (self.kind == "classifier") == (form == "final") else None
        if form == "all" and loss is None and self._transitions(units):
            return "tagger"
        if form == "final":
            return "classifier" if loss == "cross-entropy" else None
        return {"cross-entropy": "tagger", "squares": "regressor"}.get(loss or "")

    def _transitions(self, units: int) -> bool:
        """Whether scores from each class to each are trained beside the model: a conditional random field's."""
        nodes = {node for optimizer in self.optimizers for node in optimizer.slots}
        known = {part for stored, _ in self.stored.values() for part in stored.parts}
        return any(self.graph.nodes[node].attribute("shape") == [units, units] for node in nodes - known)

    def _on_lengths(self, part: Part) -> list[str]:
        """Where lengths, and initial states, come from."""
        lines = []
        lengths, masks = self._lengths(part), self._masks(part)
        if lengths:
            source = self.walk.node(self.walk.strip(lengths[0]))
            told = f"fed by {source.name}" if source.op == "Placeholder" else f"computed there ({source.name})"
            lines.append(f"lengths: {told}; give them here")
        elif masks:
            lines.append(f"lengths: those of a mask ({masks[0].node}), whose padding must come last; give them here")
        states = self._initial(part)[0]
        if states:
            lines.append(f"the initial state is fed by {', '.join(sorted(states))}; here it is zeros unless given")
        return lines

    def _facts(self) -> list[str]:
        lines = [
            f"dropout: what it keeps is fed by {name}, and is not known; the model has none there"
            for name in dict.fromkeys(self.sequences.fed)
        ]
        return lines + [f"not known: {each}" for each in self.doubts]

    def _width(self, part: Part) -> int:
        """Values per step of what the network reads, from its first kernel."""
        from unrolled import networks

        shapes = {name: self.array(self.source(stored)).shape for name, stored in part.found.weights.items()}
        first = next(iter(shapes))
        for inputs in (shapes[first][0], *range(1, shapes[first][0] + 1)):
            try:
                if networks.shapes(part.found.network.weights(inputs))[first] == shapes[first]:
                    return int(inputs)
            except ValueError:
                continue
        raise Unlike("a network whose width is not told")

    def _front(self, part: Part, found: Found, facts: list[str]) -> tuple[Tensor, Embedded | None, Found]:
        """What the network reads: the tensor, the embedding, and the network with a dropout of its inputs."""
        tensor = self.walk.strip(part.inputs)
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
            node = self.walk.node(tensor)
            for _ in range(4):
                if node.op in ("Reshape", "ExpandDims", "Squeeze", "Transpose", "Cast", "Identity") and node.inputs:
                    node = self.walk.node(node.inputs[0])
            if node.op not in ("Placeholder", "PlaceholderWithDefault", "IteratorGetNext", "QueueDequeueManyV2"):
                facts.append(f"the network reads what {node.op} ({tensor.node}) gives: prepare its inputs so")
            else:
                facts.append(
                    f"inputs: {node.name}" + (", time first there, batch first here" if part.time_major else "")
                )
        else:
            facts.append(
                f"embedding of {embedding.rows} tokens, width {embedding.width}"
                + (f", in {len(embedding.table.parts)} slices whose rows take turns" if embedding.interleaved else "")
            )
        return tensor, embedding, found

    # Judging

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
        if part.time_major:
            judge.time_first.update(
                name for name in self.walk.ancestors(part.inputs, 300) if self.graph.nodes[name].op == "Placeholder"
            )
        return judge

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
                if self.walk.op(limit) not in ("RandomUniform", "Min", "Max"):
                    found.append(limit)
        for name in frames:
            node = self.graph.nodes.get(name)
            if node is not None and node.op == "BlockLSTM":
                limit = self.walk.node(self.walk.strip(node.inputs[0]))
                while limit.op in ("Cast", "Max", "Identity") and limit.inputs:
                    if limit.op == "Max":
                        found.append(limit.inputs[0])
                    limit = self.walk.node(limit.inputs[0])
        return list(dict.fromkeys(found))

    def _run(self, part: Part, embedding: Embedded | None, wanted: list[Tensor]) -> tuple[list[Any], Any, Any]:
        """(values of what is wanted, what the network read with batch first, lengths)."""
        lengths = (self._lengths(part) or self._masks(part))[:1]
        inputs, _ = self.sequences._source(part.inputs)
        if inputs in self.walk.dropouts:
            inputs, _ = self.sequences._source(self.walk.dropouts[inputs].data)
        values, self.fed = self._judge(part, embedding).values([*wanted, inputs, *lengths])
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
        (expected, *ids), given, lengths = self._run(part, embedding, [end, *tokens])
        own = {name: arrays[name] for name in found.weights}
        if embedding is not None:
            ids_there = np.asarray(ids[0])
            looked_up = np.asarray(arrays["embedding"], np.float64)[ids_there]
            looked_up = looked_up.swapaxes(0, 1) if looked_up.shape != given.shape else looked_up
            if nearness(looked_up, given) > LIMIT:
                raise Unlike("what the network reads is not the embedding's rows")
        self.probe = Probe(self.fed, f"{end.node}:{end.index}", np.asarray(expected),
                           np.asarray(ids[0]) if ids else given, None if lengths is None else np.asarray(lengths))  # fmt: skip
        outputs, final = computed(found.network, own, given, lengths)
        best = float("inf")
        for form, features in (("all", outputs), ("final", final)):
            result = features
            for number, each in enumerate(chain):
                name = "dense/" if each is chain[-1] else f"hidden_{number}/"
                if arrays[name + "kernel"].shape[0] != result.shape[-1]:
                    break
                result = result @ np.asarray(arrays[name + "kernel"], np.float64) + arrays[name + "bias"]
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
