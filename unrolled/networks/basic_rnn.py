"""The plain cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from unrolled.networks.values import ACTIVATIONS, Cell, Weight, Weights, check_choice, check_size, glorot


@dataclass(frozen=True)
class BasicRNN(Cell):
    """TF1's BasicRNNCell: h' = activation(concat(x, h) @ kernel + bias), which is both output and state.

    kernel [inputs + units, units], Glorot uniform over the whole of it; bias [units], zeros.
    activation: one of ACTIVATIONS. Raises ValueError for anything else.
    """

    units: int
    activation: str = "tanh"

    kind: ClassVar[str] = "basic_rnn"

    def __post_init__(self) -> None:
        check_size("units", self.units)
        check_choice("activation", self.activation, ACTIVATIONS)

    def weights(self, inputs: int) -> Weights:
        return {"kernel": glorot(inputs + self.units, self.units), "bias": Weight((self.units,))}
