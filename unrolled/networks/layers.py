"""Networks one above the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Iterator

from unrolled.networks.values import Masks, Network, Weights, check_network, prefixed

MOST_LAYERS = 256


@dataclass(frozen=True)
class Layers:
    """TF1's MultiRNNCell, and of two directions its stack_bidirectional_dynamic_rnn: each layer reads the outputs of
    the one below. Parts, weights and masks are "cell_0/...", and so on.

    layers: from the lowest up, at least one. Raises ValueError for none, or for too many.
    """

    layers: tuple[Network, ...]

    kind: ClassVar[str] = "layers"

    def __post_init__(self) -> None:
        if not isinstance(self.layers, tuple) or not 1 <= len(self.layers) <= MOST_LAYERS:
            raise ValueError("layers must be a tuple of 1 to %d networks, got %.60r" % (MOST_LAYERS, self.layers))
        for layer in self.layers:
            check_network("each of the layers", layer)

    @property
    def output_size(self) -> int:
        return self.layers[-1].output_size

    @property
    def state(self) -> dict[str, int]:
        return _together(layer.state for layer in self.layers)

    @property
    def read_out(self) -> tuple[str, ...]:
        return tuple("cell_%d/%s" % (len(self.layers) - 1, name) for name in self.layers[-1].read_out)

    @property
    def stepwise(self) -> bool:
        return all(layer.stepwise for layer in self.layers)

    def weights(self, inputs: int) -> Weights:
        return _together(layer.weights(size) for layer, size in self._with_inputs(inputs))

    def masks(self, inputs: int) -> Masks:
        return _together(layer.masks(size) for layer, size in self._with_inputs(inputs))

    def _with_inputs(self, inputs: int) -> Iterator[tuple[Network, int]]:
        """Each layer with the values per step that it reads."""
        for layer in self.layers:
            yield layer, inputs
            inputs = layer.output_size


def _together(answers: Iterator[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number, answer in enumerate(answers):
        found.update(prefixed("cell_%d/" % number, answer))
    return found
