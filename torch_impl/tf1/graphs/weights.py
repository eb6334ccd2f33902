"""A graph beside its checkpoint: which variables are cells, and where canonical weights are stored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from torch_impl.checkpoints.errors import CheckpointError
from torch_impl.tf1.bundle import BundleEntry
from torch_impl.tf1.graphs.cells import find_cells
from torch_impl.tf1.graphs.heads import dense_layers
from torch_impl.tf1.graphs.judge import Unknown
from torch_impl.tf1.graphs.meta import Graph
from torch_impl.tf1.graphs.pieces import Stored, Variables
from torch_impl.tf1.graphs.sequences import Sequences
from torch_impl.tf1.graphs.walk import Walk
from torch_impl.tf1.inferred import Probe
from torch_impl.tf1.sources import Source

Read = Callable[[str], np.ndarray]

__all__ = ["Weights"]


class Weights:
    """The cells and dense layers of a graph, and the checkpoint's variables that their weights are.

    See `infer` for the arguments. cells, denses: those in the scope. stored: canonical name -> where it is.
    """

    def __init__(
        self, graph: Graph, entries: Mapping[str, BundleEntry], read: Read, scope: str, kind: str | None
    ) -> None:
        self.graph, self.entries, self.read, self.scope, self.kind = graph, entries, read, scope, kind
        self.walk = Walk(graph)
        self.saved = graph.saved(set(entries))
        self.stored: dict[str, tuple[Stored, bool]] = {}
        self.fed: dict[str, np.ndarray] = {}
        self.probe: Probe | None = None
        self.prepared: list[str] = []  # what a user is to do with inputs, a line
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

    def _in_scope(self, weights: Iterable[Stored]) -> bool:
        names = [self.saved[part].name for stored in weights for part in stored.parts if part in self.saved]
        return all(name.startswith(self.scope) for name in names)

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

    def shape(self, stored: Stored) -> tuple[int, ...]:
        """A canonical weight's."""
        source = self.source(stored)
        return source.shape({name: self.entries[name].shape for name in source.names})

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
