"""Keras's gated recurrent unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from unrolled.networks.values import ACTIVATIONS, Cell, Weight, Weights, check_choice, check_flag, check_size, glorot


@dataclass(frozen=True)
class KerasGRU(Cell):
    """tf.keras.layers.GRU in a TensorFlow 1 graph, whose gates are hard sigmoids: clip(z / 5 + 1 / 2, 0, 1).

        z, r = gate of the first two thirds of x @ kernel + h @ recurrent_kernel + bias
        n = activation(the last third of x @ kernel + (r * h) @ recurrent_kernel + bias)
        h' = z * h + (1 - z) * n, which is both output and state; gate is the recurrent_activation

    kernel [inputs, 3 units], Glorot uniform; recurrent_kernel [units, 3 units], orthogonal; bias [3 units], zeros. With
    reset_after the bias is [2, 3 units], its first row for x and its second for h, and the candidate is

        n = activation(x @ kernel + bias[0] + r * (h @ recurrent_kernel + bias[1])), the last thirds of each

    Raises ValueError for anything else.
    """

    units: int
    activation: str = "tanh"
    recurrent_activation: str = "hard_sigmoid"
    reset_after: bool = False

    kind: ClassVar[str] = "keras_gru"

    def __post_init__(self) -> None:
        check_size("units", self.units)
        check_choice("activation", self.activation, ACTIVATIONS)
        check_choice("recurrent_activation", self.recurrent_activation, ACTIVATIONS)
        check_flag("reset_after", self.reset_after)

    def weights(self, inputs: int) -> Weights:
        units = self.units
        return {
            "kernel": glorot(inputs, 3 * units),
            "recurrent_kernel": Weight((units, 3 * units), orthogonal=True),
            "bias": Weight((2, 3 * units) if self.reset_after else (3 * units,)),
        }
