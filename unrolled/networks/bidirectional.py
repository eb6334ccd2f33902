"""Two networks that read a sequence in opposite directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from unrolled.networks.values import Masks, Network, Weights, check_network, prefixed


@dataclass(frozen=True)
class Bidirectional:
    """TF1's bidirectional_dynamic_rnn, its two outputs side by side, forward first.

    The backward network reads each row's valid steps in reverse order, and its outputs are turned back. Parts, weights
    and masks are "fw/..." and "bw/...". Of layers, it is two stacks that meet at the top; layers of it are TF1's
    stack_bidirectional_dynamic_rnn. Raises ValueError for what is no network of one direction.
    """

    forward: Network
    backward: Network

    kind: ClassVar[str] = "bidirectional"
    stepwise: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_network("forward", self.forward, stepwise=True)
        check_network("backward", self.backward, stepwise=True)

    @property
    def output_size(self) -> int:
        return self.forward.output_size + self.backward.output_size

    @property
    def state(self) -> dict[str, int]:
        return _both(self.forward.state, self.backward.state)

    @property
    def read_out(self) -> tuple[str, ...]:
        return tuple(_both(dict.fromkeys(self.forward.read_out), dict.fromkeys(self.backward.read_out)))

    def weights(self, inputs: int) -> Weights:
        return _both(self.forward.weights(inputs), self.backward.weights(inputs))

    def masks(self, inputs: int) -> Masks:
        return _both(self.forward.masks(inputs), self.backward.masks(inputs))


def _both(forward: dict[str, Any], backward: dict[str, Any]) -> dict[str, Any]:
    return dict(prefixed("fw/", forward), **prefixed("bw/", backward))
