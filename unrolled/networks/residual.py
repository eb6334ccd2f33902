"""A network whose inputs are added to its outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from unrolled.networks.values import Network, Weights, Wrapper


@dataclass(frozen=True)
class Residual(Wrapper):
    """TF1's ResidualWrapper: outputs = inputs + network's outputs; the state is the network's, with nothing added.

    Its parts, weights and masks are the network's. Raises ValueError for a network that is none, or that reads in two
    directions; and when it is asked for its weights for another number of inputs than the network's outputs.
    """

    network: Network

    kind: ClassVar[str] = "residual"

    def weights(self, inputs: int) -> Weights:
        if inputs != self.output_size:
            raise ValueError(
                "a residual network adds its inputs to its outputs, so they must be as many; got %d inputs and %d "
                "outputs per step" % (inputs, self.output_size)
            )
        return self.network.weights(inputs)
