"""A conversion held against the graph that it came from: both computed, on drawn inputs, in float64."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
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

    variables: a variable's node -> its array. tokens: how many tokens each look-up knows, by the node of its tokens.
    """

    walk: Walk
    variables: Callable[[str], np.ndarray]
    tokens: Mapping[str, int]
    lengths: set[str]

    def values(self, wanted: list[Tensor], seed: int = 0) -> tuple[list[Any], dict[str, Any]]:
        """The tensors' values, and what was fed; raises Unknown, which says what of the graph cannot be computed."""
        aliases = {tensor: dropped.data for tensor, dropped in self.walk.dropouts.items()}
        graph, random = self.walk.graph, np.random.default_rng(seed)
        feeds: dict[Tensor, Any] = {}
        for node in self._placeholders(wanted):
            feeds[Tensor(node.name)] = self._drawn(node, random)
        found = Evaluator(graph, self.variables, aliases).run(wanted, feeds)
        return found, {tensor.node: value for tensor, value in feeds.items()}

    def _placeholders(self, wanted: list[Tensor]) -> list[Node]:
        nodes = self.walk.graph.nodes
        names = {name for tensor in wanted for name in self.walk.ancestors(tensor, 1_000_000)}
        return [nodes[name] for name in sorted(names) if nodes[name].op == "Placeholder"]

    def _drawn(self, node: Node, random: np.random.Generator) -> Any:
        """Values of a placeholder's type and rank: what a model of its kind is fed, without dropout."""
        kind, shape = int(node.attribute("dtype", 1)), node.attribute("shape")
        steps = self._steps()
        if kind == 10:
            return np.zeros(shape or (), bool)
        if shape is None:
            raise Unknown(f"placeholder {node.name}, whose shape is not told")
        fed = {dropped.placeholder for dropped in self.walk.dropouts.values()}
        if node.name in fed:
            return np.ones([ROWS if size < 0 else size for size in shape], np.float64)
        rank = len(shape)
        defaults = [ROWS, steps, 5, 5, 5][:rank]
        if rank == 3 and self._time_first(node):
            defaults = [steps, ROWS, 5]
        if rank == 2 and kind != 1 and self._time_first(node):
            defaults = [steps, ROWS]
        sizes = [known if known > 0 else default for known, default in zip(shape, defaults)]
        if kind in (1, 2):
            if rank == 0:
                return np.float64(1)
            return random.normal(size=sizes)
        if node.name in self.lengths or rank == 1:
            return random.permutation(np.linspace(1, steps, sizes[0]).round().astype(np.int32))
        if rank == 0:
            return np.int32(ROWS)
        most = min(self.tokens.values(), default=2)
        return random.integers(0, self.tokens.get(node.name, most), sizes)

    def _steps(self) -> int:
        """The steps of a sequence where the graph fixes them."""
        for node in self.walk.graph.of("Placeholder"):
            shape = node.attribute("shape") or []
            if len(shape) in (2, 3) and shape[1] > 0 and int(node.attribute("dtype", 1)) in (1, 2, 3, 9):
                if len(shape) == 3 or int(node.attribute("dtype", 1)) != 1:
                    return int(shape[1])
        return STEPS

    def _time_first(self, node: Node) -> bool:
        return node.name in self.time_first

    @property
    def time_first(self) -> set[str]:
        return self.__dict__.setdefault("_time_first_names", set())


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
