"""The long short-term memory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from unrolled.networks.values import (
    ACTIVATIONS,
    Cell,
    Weight,
    Weights,
    check_choice,
    check_flag,
    check_limit,
    check_number,
    check_size,
    glorot,
)


@dataclass(frozen=True)
class LSTM(Cell):
    """TF1's BasicLSTMCell and LSTMCell, and with the options set so, its LSTMBlockCell and CudnnCompatibleLSTMCell.

        i, j, f, o = split(concat(x, h) @ kernel + bias)
        c' = clip(c * sigmoid(f + forget_bias + w_f_diag * c) + sigmoid(i + w_i_diag * c) * activation(j))
        h' = clip((activation(c') * sigmoid(o + w_o_diag * c')) @ projection/kernel)

    h' is the output too. kernel [inputs + width of h, 4 units], Glorot uniform over the whole of it; bias [4 units],
    zeros. What an option leaves out is left out of the law.

    forget_bias: added, and not stored. peepholes: the vectors w_*_diag [units]. projection: the width of h, by
    projection/kernel [units, projection], without bias; without it h has units. cell_clip, projection_clip: the largest
    size of each entry of c', and of a projected h'; None leaves them as they are. straight_through: the gradient takes
    no notice of the cell's clip, as in TF1's block cells. Raises ValueError for anything else.
    """

    units: int
    activation: str = "tanh"
    forget_bias: float = 1.0
    peepholes: bool = False
    projection: int | None = None
    cell_clip: float | None = None
    projection_clip: float | None = None
    straight_through: bool = False

    kind: ClassVar[str] = "lstm"

    def __post_init__(self) -> None:
        check_size("units", self.units)
        check_choice("activation", self.activation, ACTIVATIONS)
        check_number("forget_bias", self.forget_bias)
        check_flag("peepholes", self.peepholes)
        if self.projection is not None:
            check_size("projection", self.projection)
        check_limit("cell_clip", self.cell_clip)
        check_limit("projection_clip", self.projection_clip)
        check_flag("straight_through", self.straight_through)
        if self.projection is None and self.projection_clip is not None:
            raise ValueError("projection_clip needs a projection, got %r and None" % self.projection_clip)
        if self.straight_through and self.cell_clip is None:
            raise ValueError("straight_through needs a cell_clip, got True and None")

    @property
    def output_size(self) -> int:
        return self.units if self.projection is None else self.projection

    @property
    def state(self) -> dict[str, int]:
        return {"c": self.units, "h": self.output_size}

    def weights(self, inputs: int) -> Weights:
        found = {"kernel": glorot(inputs + self.output_size, 4 * self.units), "bias": Weight((4 * self.units,))}
        if self.peepholes:
            limit = math.sqrt(3.0 / self.units)  # Glorot of a vector: fan_in and fan_out are both its size
            found.update((name, Weight((self.units,), limit)) for name in ("w_f_diag", "w_i_diag", "w_o_diag"))
        if self.projection is not None:
            found["projection/kernel"] = glorot(self.units, self.projection)
        return found
