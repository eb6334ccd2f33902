"""From a graph to a model as a value, with where its weights are, and what else is to be told of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch_impl.checkpoints.errors import CheckpointError
from torch_impl.tf1.bundle import BundleEntry
from torch_impl.tf1.foreign import foreign_cell
from torch_impl.tf1.graphs.heads import LOSS_WORDS, DenseAt, loss_on, used_by
from torch_impl.tf1.graphs.judge import Unknown
from torch_impl.tf1.graphs.layers import Part
from torch_impl.tf1.graphs.meta import Graph, Tensor
from torch_impl.tf1.graphs.optimizers import optimizers
from torch_impl.tf1.graphs.pieces import Stored, Unlike
from torch_impl.tf1.graphs.trained import Trained
from torch_impl.tf1.graphs.weights import Read
from torch_impl.tf1.inferred import Inferred, inputs_of
from torch_impl.tf1.slots import find_slots
from torch_impl.tf1.sources import Source
from unrolled.models import Dense, Model

__all__ = ["infer"]


def infer(
    graph: Graph, entries: Mapping[str, BundleEntry], read: Read, scope: str = "", kind: str | None = None
) -> Inferred:
    """What the graph says of the checkpoint with these variables.

    kind: the model's, where the graph's loss does not tell. scope: of several models, the one whose variables' names
    begin so. Raises CheckpointError where the graph has no recurrent cell that is known, or is another checkpoint's.
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


class _Inference(Trained):
    def result(self) -> Inferred:
        """What the graph says: the model, its optimizer, and what is no part of it."""
        self.optimizers = optimizers(self.walk, self.variable)
        found = self._network()
        found.trained = self._all_trained()
        self._optimized(found)
        slots = find_slots(self.entries)
        found.step = slots.steps[0] if len(slots.steps) == 1 else None
        used = found.used
        found.left = [name for name in self.entries if name not in used and name not in slots.all]
        lost = [name for name in found.left if name in found.trained]
        if lost and found.model is not None:
            found.assumed.append(
                f"{', '.join(lost)}: trained, and not between inputs and outputs (a conditional random field's "
                "transitions, say): what is decoded from the outputs by them is not the model's to do"
            )
        return found

    def _network(self) -> Inferred:
        foreign = foreign_cell(name for name in self.entries if name.startswith(self.scope))
        if not self.cells:
            reason = f": {'; '.join(self.doubts[:3])}" if self.doubts else ""
            raise CheckpointError(foreign or f"the graph has no recurrent cell that is known here{reason}")
        tops = self.tops
        problems = ([foreign] if foreign else []) + self.doubts
        if not tops:
            problems.append("no dense layer is on the network")
        found = []
        for top in tops:
            chain, feature = self._chain(top)
            part = self._part_of(feature)
            if part is None:
                problems.append("what the dense layer reads is no recurrent part that is known here")
                break
            try:
                one = self._model(chain, feature, part, len(tops) > 1)
            except (Unlike, ValueError) as error:
                problems.append(str(error))
                break
            if one.model is None and not one.heads:
                problems.append(one.why)
                break
            found.append(one)
        else:
            if found and (whole := self._together(found, problems)) is not None:
                return whole
        return self._only_parts(problems)

    def _model(self, chain: list[DenseAt], feature: Tensor, part: Part, one_of_many: bool = False) -> Inferred:
        """The model of these dense layers on this part, judged; as a head where no kind of model is it."""
        facts: list[str] = []
        embedding, found = self._front(part, facts)
        weights: dict[str, Source] = {}
        width = inputs_of(found.network, {name: self.shape(stored) for name, stored in found.weights.items()})
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
        outputs = (top.linear, top.end, part.outputs if part.wrapped else top.end)
        loss = loss_on(self.walk, *outputs)
        sliced = loss is None and (loss := loss_on(self.walk, *outputs, sliced=True)) is not None
        wrapped = part.wrapped is not None and part.wrapped.kernel == top.kernel
        sizes = {"inputs": embedding.rows if embedding else width, "embedding": embedding.width if embedding else 0}
        rest: dict[str, Any] = {"hidden": hidden, "activation": top.activation, "outputs": top.units, **sizes}
        judged, reason, form = None, "", None
        arrays = {name: self.array(source) for name, source in weights.items()}
        try:
            form, judged = self._form(part, found, arrays, chain, embedding, wrapped)
        except Unknown as error:
            reason = str(error)
            form = "all" if self.sequences.part(feature) is not None else "final"
        if form is None:
            node = self.walk.node(feature)
            why = self._begins(part) or (
                f"its dense layer reads what {node.op} ({node.name}) makes of the network, which is neither the final "
                "state nor every output"
            )
            return Inferred(None, weights, facts=facts, why=why)
        kind = None if one_of_many else self._kind(form, loss, top.units)
        as_kind = kind or ("classifier" if form == "final" else "regressor" if wrapped else "tagger")
        projection = "wrapped" if wrapped and as_kind == "regressor" else "stacked"
        model = Model(as_kind, found.network, projection=projection, **rest)
        lengths, loud = self._on_lengths(part)
        facts += self._facts() + lengths
        whole = Inferred(
            model, weights, facts=facts, parts=[found.network], judged=judged, unjudged=reason,
            time_major=part.time_major, probes=[self.probe] if self.probe and not reason else [],
            dropped=self.walk.dropped_before(part.outputs if wrapped else top.end),
        )  # fmt: skip
        self.prepared += loud
        if kind is None:
            why = self._why(form, loss, top)
            heads = (model,) if not reason else ()
            return replace(whole, model=None, heads=heads, why=why, assumed=list(self.prepared))
        if sliced:
            differs = ["the loss there is of what is cut out of the outputs; training here is on all"]
        else:
            differs = self._loss_there(model, outputs[-1] if wrapped else top.linear, part, loss)
        differs += _shared(weights)
        return replace(whole, assumed=list(self.prepared), differs=differs)

    def _why(self, form: str, loss: str | None, top: DenseAt) -> str:
        """Why a dense layer makes no run."""
        where, kinds = ("the final state", "classifier") if form == "final" else ("every step", "regressor or tagger")
        goes = f"goes to {', '.join(used_by(self.walk, top.end)[:3]) or 'nothing'}, which is no loss that is known"
        told = f"is trained by {LOSS_WORDS[loss]}, which no run here is" if loss in LOSS_WORDS else goes
        takes = ", which takes its outputs as logits, to predict with" if form == "final" else ""
        return (
            f"its dense layer on {where} {told}: --as-module FILE.py writes it whole; or say what it is with --kind "
            f"{kinds}{takes}"
        )

    def _kind(self, form: str, loss: str | None, units: int) -> str | None:
        """The kind of model by what the dense layer reads and its loss, or as the user says; None for no such kind."""
        if self.kind is not None:
            return self.kind if (self.kind == "classifier") == (form == "final") else None
        if form == "all" and loss is None and self._transitions(units):
            return "tagger"
        if form == "final":
            return "classifier" if loss == "cross-entropy" else None
        return {"cross-entropy": "tagger", "squares": "regressor"}.get(loss or "")
