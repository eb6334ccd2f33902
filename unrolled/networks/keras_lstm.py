"""Keras's long short-term memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from unrolled.networks.values import ACTIVATIONS, Cell, Weight, Weights, check_choice, check_size, glorot


@dataclass(frozen=True)
class KerasLSTM(Cell):
    """tf.keras.layers.LSTM in a TensorFlow 1 graph, whose gates are hard sigmoids: clip(z / 5 + 1 / 2, 0, 1).

        i, f, z, o = split(x @ kernel + h @ recurrent_kernel + bias)
        c' = c * gate(f) + gate(i) * activation(z)
        h' = activation(c') * gate(o), with gate the recurrent_activation

    h' is the output too. kernel [inputs, 4 units], Glorot uniform; recurrent_kernel [units, 4 units], orthogonal; bias
    [4 units], zeros but for the forget gate's ones: here the forget bias is stored (unit_forget_bias). In Keras the
    state is [h, c]. Raises ValueError for anything else.
    """

    units: int
    activation: str = "tanh"
    recurrent_activation: str = "hard_sigmoid"

    kind: ClassVar[str] = "keras_lstm"

    def __post_init__(self) -> None:
        check_size("units", self.units)
        check_choice("activation", self.activation, ACTIVATIONS)
        check_choice("recurrent_activation", self.recurrent_activation, ACTIVATIONS)

    @property
    def state(self) -> dict[str, int]:
        return {"c": self.units, "h": self.units}

    def weights(self, inputs: int) -> Weights:
        units = self.units
        return {
            "kernel": glorot(inputs, 4 * units),
            "recurrent_kernel": Weight((units, 4 * units), orthogonal=True),
            "bias": Weight((4 * units,), value=(0.0, 1.0, 0.0, 0.0)),
        }
