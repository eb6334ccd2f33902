"""A conversion held against the graph that it came from: both computed, on drawn inputs, in float64."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from torch_impl import build, states
from torch_impl.conversion import load_canonical
from torch_impl.tf1.graphs.evaluate import Evaluator, Unknown
from torch_impl.tf1.graphs.meta import Node, Tensor
from torch_impl.tf1.graphs.walk import Walk
from unrolled.networks import Bidirectional, Dropout, Layers, Network, Residual

__all__ = ["Judge", "Unknown", "computed", "nearness"]

ROWS, STEPS = 3, 7
LIMIT = 1e-6  # of the largest


@dataclass
class Judge:
    """The graph's values at drawn inputs.

    variables: a variable's node -> its array. By the placeholder's node, tokens: how many there are; lengths: of rows;
    states: initial states, which are fed zeros; time_first: those whose first axis is time; labels: of how many
    classes, as numbers, or as rows of which one is hot; wanted: how many values for each step. padded: token 0 is
    padding. inner: neither the first token nor the last is drawn.
    """

    walk: Walk
    variables: Callable[[str], np.ndarray]
    tokens: Mapping[str, int]
    lengths: set[str]
    states: set[str] = field(default_factory=set)
    time_first: set[str] = field(default_factory=set)
    labels: dict[str, int] = field(default_factory=dict)
    wanted: dict[str, int] = field(default_factory=dict)
    padded: bool = False
    inner: bool = False
    rows: int = ROWS

    def values(
        self, wanted: list[Tensor], seed: int = 0, given: Mapping[Tensor, Any] | None = None
    ) -> tuple[list[Any], dict[str, Any]]:
        """The tensors' values, and what was fed; raises Unknown, which says what of the graph cannot be computed.

        given: tensors that have these values, and are not computed.
        """
        aliases = {tensor: dropped.data for tensor, dropped in self.walk.dropouts.items()}
        graph, random = self.walk.graph, np.random.default_rng(seed)
        feeds: dict[Tensor, Any] = {}
        for node in self._placeholders(wanted):
            feeds[Tensor(node.name)] = self._drawn(node, random)
        found = Evaluator(graph, self.variables, aliases).run(wanted, {**feeds, **(given or {})})
        return found, {tensor.node: value for tensor, value in feeds.items()}

    def _placeholders(self, wanted: list[Tensor]) -> list[Node]:
        nodes = self.walk.graph.nodes
        names = {name for tensor in wanted for name in self.walk.all_ancestors(tensor)}
        fed = {dropped.placeholder for dropped in self.walk.dropouts.values()}
        of_dropouts = [name for name in fed if name in nodes and nodes[name].op == "PlaceholderWithDefault"]
        return [nodes[name] for name in sorted(names) if nodes[name].op == "Placeholder" or name in of_dropouts]

    def _drawn(self, node: Node, random: np.random.Generator) -> Any:
        """Values of a placeholder's type and rank: what a model of its kind is fed, without dropout."""
        kind, shape = int(node.attribute("dtype", 1)), node.attribute("shape")
        steps = self._steps()
        if kind == 10:
            return np.zeros(shape or (), bool)
        if shape is None:
            raise Unknown(f"placeholder {node.name}, whose shape is not told")
        fed = {dropped.placeholder: dropped.off for dropped in self.walk.dropouts.values()}
        if node.name in fed:
            return np.full([self.rows if size < 0 else size for size in shape], fed[node.name], np.float64)
        rank = len(shape)
        defaults = [self.rows, steps, 5, 5, 5][:rank]
        if rank == 3 and node.name in self.time_first:
            defaults = [steps, self.rows, 5]
        if node.name in self.wanted and rank > 2:
            defaults = [*([steps, self.rows] if self.time_first else [self.rows, steps]), self.wanted[node.name]]
        if rank == 2 and kind != 1 and (node.name in self.time_first or (node.name in self.labels and self.time_first)):
            defaults = [steps, self.rows]
        sizes = [known if known > 0 else default for known, default in zip(shape, defaults, strict=False)]
        if node.name in self.labels:
            classes = self.labels[node.name]
            if kind not in (1, 2):
                return random.integers(0, classes, sizes)
            return np.equal(random.integers(0, classes, [*sizes[:-1], 1]), np.arange(classes)).astype(np.float64)
        if kind in (1, 2):
            if rank == 0:
                return np.float64(1)
            return np.zeros(sizes) if node.name in self.states else random.normal(size=sizes)
        if node.name in self.lengths or rank == 1:
            return random.permutation(np.linspace(1, steps, sizes[0]).round().astype(np.int32))
        if rank == 0:
            return np.int32(self.rows)
        most = self.tokens.get(node.name, min(self.tokens.values(), default=2))
        inner = self.inner and most > 3
        drawn = random.integers(1 if self.padded or inner else 0, most - inner, sizes)
        if self.padded and rank == 2:  # a mask's padding comes after all other tokens
            lengths = np.linspace(1, sizes[1], sizes[0]).round()
            drawn[np.arange(sizes[1]) >= lengths[:, None]] = 0
        return drawn

    def _steps(self) -> int:
        """The steps of a sequence where the graph fixes them."""
        for node in self.walk.graph.of("Placeholder"):
            shape = node.attribute("shape") or []
            kinds = {2: (2, 3, 9), 3: (1, 2, 3, 9)}.get(len(shape), ())  # floats in one row may be cut into steps
            if shape and int(node.attribute("dtype", 1)) in kinds and shape[1] > 0:
                return int(shape[1])
        return STEPS


@torch.no_grad()
def computed(network: Network, weights: Mapping[str, np.ndarray], inputs: np.ndarray, lengths: Any) -> tuple[Any, Any]:
    """(outputs, read-out of the final state) of a network here, in float64. Dropouts draw nothing."""
    network = undropped(network)
    module = build.recurrent(network, inputs.shape[-1], dtype=torch.float64)
    load_canonical(module, {name: np.asarray(array, np.float64) for name, array in weights.items()})
    module.eval()
    limits = None if lengths is None else torch.from_numpy(np.asarray(lengths, np.int64))
    outputs, state = module(torch.from_numpy(np.ascontiguousarray(inputs, np.float64)), limits)
    return outputs.numpy(), states.read_out(network, state).numpy()


def undropped(network: Network) -> Network:
    """The network without its dropouts, which draw nothing when it predicts."""
    if isinstance(network, Dropout):
        return undropped(network.network)
    if isinstance(network, Layers):
        return Layers(tuple(map(undropped, network.layers)))
    if isinstance(network, Bidirectional):
        return Bidirectional(undropped(network.forward), undropped(network.backward))
    return Residual(undropped(network.network)) if isinstance(network, Residual) else network


def nearness(found: Any, expected: Any) -> float:
    """The largest difference, by the largest size of what is expected; infinity where shapes differ."""
    found, expected = np.asarray(found), np.asarray(expected)
    if found.shape != expected.shape or not np.isfinite(found).all() or not np.isfinite(expected).all():
        return float("inf")
    return float(np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-30)) if found.size else 0.0
