"""Networks one above the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from unrolled.networks.values import Network, Weights, prefixed

MOST_LAYERS = 256


@dataclass(frozen=True)
class Layers:
    """TF1's MultiRNNCell: each layer reads the outputs of the one below. Parts and weights are "cell_0/...", and so on.

    layers: from the lowest up, at least one. Raises ValueError for none, or for too many.
    """

    layers: tuple[Network, ...]

    kind: ClassVar[str] = "layers"

    def __post_init__(self) -> None:
        if not isinstance(self.layers, tuple) or not 1 <= len(self.layers) <= MOST_LAYERS:
            raise ValueError("layers must be a tuple of 1 to %d networks, got %.60r" % (MOST_LAYERS, self.layers))
        for layer in self.layers:
            if not hasattr(layer, "output_size"):
                raise ValueError("each of the layers must be a network, got %.60r" % (layer,))

    @property
    def output_size(self) -> int:
        return self.layers[-1].output_size

    @property
    def state(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for number, layer in enumerate(self.layers):
            found.update(prefixed("cell_%d/" % number, layer.state))
        return found

    @property
    def read_out(self) -> tuple[str, ...]:
        return tuple("cell_%d/%s" % (len(self.layers) - 1, name) for name in self.layers[-1].read_out)

    def weights(self, inputs: int) -> Weights:
        found: Weights = {}
        for number, layer in enumerate(self.layers):
            found.update(prefixed("cell_%d/" % number, layer.weights(inputs)))
            inputs = layer.output_size
        return found
