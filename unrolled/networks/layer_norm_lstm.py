"""The long short-term memory with layer normalisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from unrolled.networks.values import (
    ACTIVATIONS,
    Cell,
    Mask,
    Masks,
    Weight,
    Weights,
    check_choice,
    check_keep,
    check_number,
    check_size,
    glorot,
    prefixed,
)

EPSILON = 1e-12  # contrib/layers/python/layers/layers.py:2322, in float32 and float64
NORMS = ("input", "transform", "forget", "output", "state")


@dataclass(frozen=True)
class LayerNormLSTM(Cell):
    """TF1's LayerNormBasicLSTMCell (contrib): each gate is normalised on its own, and so is the new c.

        i, j, f, o = split(concat(x, h) @ kernel), each normalised, by input, transform, forget, output
        c' = normalised(c * sigmoid(f + forget_bias) + sigmoid(i) * activation(j) * mask / candidate_keep), by state
        h' = activation(c') * sigmoid(o)
        normalised(z) = (z - mean(z)) / sqrt(variance(z) + 1e-12) * gamma + beta, over a row's units; variance biased

    h' is the output too, and c' the normalised one. kernel [inputs + units, 4 units], Glorot uniform over the whole of
    it; there is no bias; input/gamma [units], ones, input/beta [units], zeros, and so on. The mask is "candidate".
    Raises ValueError for anything else. The cell without normalisation is an LSTM.
    """

    units: int
    activation: str = "tanh"
    forget_bias: float = 1.0
    candidate_keep: float = 1.0

    kind: ClassVar[str] = "layer_norm_lstm"

    def __post_init__(self) -> None:
        check_size("units", self.units)
        check_choice("activation", self.activation, ACTIVATIONS)
        check_number("forget_bias", self.forget_bias)
        check_keep("candidate_keep", self.candidate_keep)

    @property
    def state(self) -> dict[str, int]:
        return {"c": self.units, "h": self.units}

    def weights(self, inputs: int) -> Weights:
        found = {"kernel": glorot(inputs + self.units, 4 * self.units)}
        for name in NORMS:
            norm = {"gamma": Weight((self.units,), value=1.0), "beta": Weight((self.units,))}
            found.update(prefixed(name + "/", norm))
        return found

    def masks(self, inputs: int) -> Masks:
        return {"candidate": Mask(self.units, True, self.candidate_keep)} if self.candidate_keep < 1 else {}
