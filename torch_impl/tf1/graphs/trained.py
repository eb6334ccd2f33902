"""How a graph's model was trained: the optimizer, its settings and its state."""

from __future__ import annotations

from torch_impl.tf1.graphs.heads import LOSS_WORDS, used_by
from torch_impl.tf1.graphs.judge import Unknown
from torch_impl.tf1.graphs.layers import Part
from torch_impl.tf1.graphs.losses import LOSSES, LossThere
from torch_impl.tf1.graphs.meta import Tensor
from torch_impl.tf1.graphs.optimizers import Optimizer
from torch_impl.tf1.graphs.pieces import Stored
from torch_impl.tf1.graphs.tops import Tops
from torch_impl.tf1.inferred import Inferred
from torch_impl.tf1.slots import POWERS
from torch_impl.tf1.sources import Source
from unrolled.models import Model
from unrolled.programs import Adam

__all__ = ["Trained"]


class Trained(Tops):
    """The optimizers of the graph, in `optimizers`, and what they say of a model."""

    optimizers: list[Optimizer]

    def _optimized(self, found: Inferred) -> None:
        """The optimizer's settings, and Adam's moments where it was Adam that trained."""
        found.facts += [each.line for each in self.optimizers]
        if found.model is None:
            return
        adams = [each for each in self.optimizers if each.name == "Adam"]
        parts = {part for stored, _ in self.stored.values() for part in stored.parts}
        adam = max(adams, key=lambda each: len(parts & set(each.slots)), default=None)
        if adam is None or not parts & set(adam.slots):
            best = max(self.optimizers, key=lambda each: len(parts & set(each.slots)), default=None)
            if best is not None:
                found.clip_norm = best.clip
                found.differs.append(f"{best.name} trained it; here Adam does, and starts its state afresh")
            return
        found.clip_norm = adam.clip
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

    def _loss_there(self, model: Model, outputs: Tensor, part: Part, loss: str | None) -> list[str]:
        """In what the loss is another than that of the model, a line each. outputs: of which it is; loss: its kind."""
        after = f"training here is by {LOSSES[model.kind]}: the next step differs"
        of_kind = "squares" if model.kind == "regressor" else "cross-entropy"
        if not self.optimizers:
            return []
        judge = self._judge(part, None)
        lengths = next(iter(self._lengths(part)), None)
        there = LossThere(self.walk, judge, outputs, self.sums, lengths)
        nodes, more = there.beside()
        penalized, lines = [self.saved[node].name for node in nodes if node in self.saved], []
        if penalized:
            lines.append(f"the loss there has penalties on {', '.join(penalized)}, which training here does not have")
        if more:
            terms = f"{len(more)} more term{'s' * (len(more) > 1)} ({', '.join(more)})"
            lines.append(f"the loss there has {terms} by which the same weights are trained, and training here has not")
        if loss is None and model.kind == "tagger" and (field := self._transitions(model.outputs)):
            return [*lines, f"the loss there is a conditional random field's, by {', '.join(field)}; {after}"]
        if loss != of_kind:
            told = LOSS_WORDS.get(loss or "")
            after_it = ", ".join(used_by(self.walk, outputs)[:3]) or "nothing"
            told = told or f"none that is known: its outputs go to {after_it}, which is no part of the model"
            return [*lines, f"the loss there is {told}; {after}"]
        try:
            differs = there.differs(model.kind)
        except Unknown as error:
            return [*lines, f"the loss there was not compared with the one here ({error}): the next step may differ"]
        return [*lines, f"the loss there is {differs}; {after}"] if differs else lines

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

    def _all_trained(self) -> set[str]:
        nodes = {node for optimizer in self.optimizers for node in optimizer.slots}
        for top in self.tops:
            nodes.update(self.walk.all_ancestors(top.end))
        return {self.saved[node].name for node in nodes if node in self.saved}

    def _transitions(self, units: int) -> list[str]:
        """Scores from each class to each that are trained beside the model: a conditional random field's."""
        nodes = {node for optimizer in self.optimizers for node in optimizer.slots}
        known = {part for stored, _ in self.stored.values() for part in stored.parts}
        return [
            self.saved[node].name if node in self.saved else node
            for node in sorted(nodes - known)
            if self.graph.nodes[node].attribute("shape") == [units, units]
        ]
