"""Two networks that read a sequence in opposite directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from unrolled.networks.values import Network, Weights, prefixed


@dataclass(frozen=True)
class Bidirectional:
    """TF1's bidirectional_dynamic_rnn, its two outputs side by side, forward first.

    The backward network reads each row's valid steps in reverse order, and its outputs are turned back. Parts and
    weights are "fw/..." and "bw/...". Raises ValueError for what is no network.
    """

    forward: Network
    backward: Network

    kind: ClassVar[str] = "bidirectional"

    def __post_init__(self) -> None:
        for name, network in (("forward", self.forward), ("backward", self.backward)):
            if not hasattr(network, "output_size"):
                raise ValueError("%s must be a network, got %.60r" % (name, network))

    @property
    def output_size(self) -> int:
        return self.forward.output_size + self.backward.output_size

    @property
    def state(self) -> dict[str, int]:
        return dict(prefixed("fw/", self.forward.state), **prefixed("bw/", self.backward.state))

    @property
    def read_out(self) -> tuple[str, ...]:
        names = ["fw/" + name for name in self.forward.read_out]
        return tuple(names + ["bw/" + name for name in self.backward.read_out])

    def weights(self, inputs: int) -> Weights:
        return dict(prefixed("fw/", self.forward.weights(inputs)), **prefixed("bw/", self.backward.weights(inputs)))
