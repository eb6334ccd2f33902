"""The loss that a graph was trained by, computed on drawn values and held against the loss of the model here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from torch_impl.tf1.graphs.judge import LIMIT, Judge, Unknown
from torch_impl.tf1.graphs.meta import VARIABLES, Node, Tensor
from torch_impl.tf1.graphs.walk import Walk

__all__ = ["CROSS", "LOSSES", "LossThere"]

CROSS = ("SparseSoftmaxCrossEntropyWithLogits", "SoftmaxCrossEntropyWithLogits")
LOSSES = {
    "classifier": "the cross-entropy's mean over the rows",
    "tagger": "the cross-entropy's mean over the valid steps",
    "regressor": "the square's mean over every step, padding too",
}


class LossThere:
    """The loss of a graph as a function of a model's outputs.

    judge: draws what is fed. outputs: the tensor of the last dense layer's sums, or of a loop's outputs; values: some
    for it, None for a graph that cannot be computed. lengths: the tensor of the lengths, or None.
    """

    def __init__(
        self, walk: Walk, judge: Judge, outputs: Tensor, values: np.ndarray | None, lengths: Tensor | None
    ) -> None:
        self.walk, self.judge, self.outputs, self.values, self.lengths = walk, judge, outputs, values, lengths
        graph, last = walk.graph, outputs.node
        sums = [[term for root in roots for term in walk.terms(Tensor(root))] for roots in graph.losses]
        below = {term: walk.all_ancestors(term) for terms in sums for term in dict.fromkeys(terms)}
        sums = [terms for terms in sums if any(last in below[term] for term in terms)]  # else another model's
        self.terms = [term for terms in sums for term in terms if last in below[term]]
        self.others = [term for terms in sums for term in terms if last not in below[term]]
        self.within = [graph.nodes[name] for name in dict.fromkeys(name for t in self.terms for name in below[t])]

    def beside(self) -> tuple[list[str], list[str]]:
        """(the variables of the loss's penalties, terms of variables and of scalars that are fed; the other terms that
        pull at a variable of the model too), by their nodes."""
        penalized: dict[str, None] = {}
        more: dict[str, None] = {}
        own = {node.name for node in self.within if node.op in VARIABLES}
        for term in self.others:
            below = [self.walk.graph.nodes[name] for name in self.walk.all_ancestors(term)]
            variables = [node.name for node in below if node.op in VARIABLES]
            if all(self._scalar(node) for node in below if node.op.startswith("Placeholder")):
                penalized.update(dict.fromkeys(variables))
            elif own.intersection(variables):
                more[term.node] = None
        return list(penalized), list(more)

    def differs(self, kind: str) -> str:
        """In what the loss is another than that of a model of this kind, "" where both are the same.

        Raises Unknown where that cannot be told.
        """
        if not self.terms or self.values is None:
            raise Unknown("the graph cannot be computed" if self.terms else "the graph does not say what was minimized")
        entries, lengths, total, smoothed = self._computed(kind)
        for each, valid in _by_rows(entries, self.judge.rows, lengths):
            for number, (name, value) in enumerate(_means(kind, each, valid)):
                if abs(value - total) <= LIMIT * max(abs(total), 1e-30):
                    return name if number else ""
        if smoothed:
            return "a cross-entropy with smoothed labels"
        fed = self._fed_besides()
        if fed:
            return f"weighted by what is fed to {', '.join(fed)}"
        return "another function of the outputs, such as one with weights for classes or steps"

    def _computed(self, kind: str) -> tuple[np.ndarray, np.ndarray | None, float, bool]:
        """(the loss of each entry, [entries, outputs]; lengths, None where all are as long; the whole loss; whether
        labels are smoothed)."""
        pairs = list(self._squared() if kind == "regressor" else self._crossed())
        if not pairs:
            raise Unknown("it is put together by hand")
        for _, wanted in pairs:
            self._target(wanted, self.judge.wanted if kind == "regressor" else self.judge.labels)
        limits = [] if self.lengths is None or kind == "classifier" else [self.lengths]
        tensors = [each for pair in pairs for each in pair]
        found, _ = self.judge.values([*tensors, *limits, *self.terms], given={self.outputs: self.values})
        own, rest, whole = found[: len(tensors)], found[len(tensors) :], found[len(tensors) + len(limits) :]
        if any(np.size(each) != 1 for each in whole):
            raise Unknown("what was minimized is no single number")
        made, smoothed = [], False
        for given, wanted in zip(own[::2], own[1::2], strict=True):
            made.append(_squares(given, wanted) if kind == "regressor" else _cross(given, wanted))
            smoothed = smoothed or (kind != "regressor" and _smoothed(wanted))
        lengths = np.ravel(rest[0]) if limits else None
        return np.concatenate(made), lengths, float(sum(np.sum(each) for each in whole)), smoothed

    def _crossed(self) -> Iterator[tuple[Tensor, Tensor]]:
        """(logits, labels) of each cross-entropy."""
        for node in self.within:
            if node.op in CROSS and self._of_outputs(node.inputs[0]):
                yield node.inputs[0], node.inputs[1]

    def _squared(self) -> Iterator[tuple[Tensor, Tensor]]:
        """(outputs, what is wanted) of each difference."""
        for node in self.within:
            if node.op in ("SquaredDifference", "Sub"):
                sides = [self._of_outputs(tensor) for tensor in node.inputs]
                if sides.count(True) == 1:
                    yield node.inputs[sides.index(True)], node.inputs[sides.index(False)]

    def _of_outputs(self, tensor: Tensor) -> bool:
        return self.outputs.node in self.walk.all_ancestors(tensor)

    def _target(self, tensor: Tensor, drawn: dict[str, int]) -> None:
        """Have targets drawn where they are fed: as many classes, or values for each step, as there are outputs."""
        for name in self.walk.ancestors(tensor):
            if self.walk.graph.nodes[name].op == "Placeholder" and name not in self.judge.tokens:
                drawn[name] = 0 if self.values is None else self.values.shape[-1]

    def _scalar(self, placeholder: Node) -> bool:
        """Whether a single number is fed; of an unknown shape that is what feeds no outputs."""
        shape = placeholder.attribute("shape")
        return shape == [] or (shape is None and placeholder.name not in self.walk.all_ancestors(self.outputs))

    def _fed_besides(self) -> list[str]:
        """What feeds the loss and is neither inputs, lengths nor targets."""
        known = {*self.walk.all_ancestors(self.outputs), *self.judge.labels, *self.judge.wanted}
        known |= set() if self.lengths is None else set(self.walk.all_ancestors(self.lengths))
        return [node.name for node in self.within if node.op.startswith("Placeholder") and node.name not in known]


def _squares(outputs: Any, wanted: Any) -> np.ndarray:
    found = np.square(np.asarray(outputs) - wanted)
    return found.reshape(-1, found.shape[-1] if found.ndim > 2 else 1)


def _cross(logits: Any, labels: Any) -> np.ndarray:
    """The cross-entropy of each row, of its likeliest label where labels are shares: [entries, 1]."""
    logits, labels = np.reshape(logits, (-1, np.shape(logits)[-1])), np.asarray(labels)
    chosen = np.ravel(labels) if labels.dtype.kind in "iu" else labels.reshape(logits.shape).argmax(1)
    most = logits.max(1)
    whole = most + np.log(np.exp(logits - most[:, None]).sum(1))
    return np.asarray(whole - logits[np.arange(len(logits)), chosen.astype(np.int64)])[:, None]


def _smoothed(labels: Any) -> bool:
    labels = np.asarray(labels)
    return labels.dtype.kind == "f" and not np.isin(labels, (0, 1)).all()


def _by_rows(entries: np.ndarray, rows: int, lengths: np.ndarray | None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Entries as [batch, steps, outputs], with either first, and which steps are valid: [batch, steps]."""
    count = len(entries)
    if lengths is not None and count == lengths.sum() != rows * lengths.max():  # those of valid steps only
        yield entries[None], np.ones((1, count))
    elif count % rows == 0:
        steps = count // rows
        valid = np.ones((rows, steps)) if lengths is None else (np.arange(steps) < lengths[:, None]) * 1.0
        yield entries.reshape(rows, steps, -1), valid
        yield entries.reshape(steps, rows, -1).swapaxes(0, 1), valid


def _means(kind: str, entries: np.ndarray, valid: np.ndarray) -> Iterator[tuple[str, float]]:
    """What may be made of the entries, in words: first the loss of this kind of model."""
    rows, what = len(entries), "square" if kind == "regressor" else "cross-entropy"
    masked = entries * valid[:, :, None]
    count = valid.sum() * entries.shape[2]
    own = masked.sum() / count if kind == "tagger" else entries.mean()
    yield LOSSES[kind], own
    if kind == "classifier":
        yield "the cross-entropy's sum over the rows", entries.sum()
        return
    yield f"the {what}'s mean over every step, padding too", entries.mean()
    yield f"the {what}'s mean over the valid steps", masked.sum() / count
    for values, where in ((entries, "every step, padding too"), (masked, "the valid steps")):
        yield f"the {what}'s sum over {where}, by the number of rows", values.sum() / rows
        yield f"the {what}'s sum over {where}, by the number of all steps, padding too", values.mean()
        yield f"the {what}'s sum over {where}", values.sum()
        yield f"half the {what}'s sum over {where}", values.sum() / 2
    own_means = masked.sum((1, 2)) / np.maximum(valid.sum(1), 1) / entries.shape[2]
    yield f"the mean over the rows of the {what}'s mean over each one's valid steps", own_means.mean()
    yield f"the root of the {what}'s mean", float(np.sqrt(entries.mean()))
