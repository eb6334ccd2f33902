"""The gated recurrent unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from unrolled.networks.values import (
    ACTIVATIONS,
    Cell,
    Weight,
    Weights,
    check_choice,
    check_flag,
    check_size,
    glorot,
    prefixed,
)


@dataclass(frozen=True)
class GRU(Cell):
    """TF1's GRUCell, whose reset gate comes before the product, and its CudnnCompatibleGRUCell, where it comes after.

        r, u = split(sigmoid(concat(x, h) @ gates/kernel + gates/bias))
        n = activation(concat(x, r * h) @ candidate/kernel + candidate/bias)
        h' = u * h + (1 - u) * n, which is both output and state

    gates/kernel [inputs + units, 2 units] and candidate/kernel [inputs + units, units], Glorot uniform over the whole
    of each; gates/bias ones, candidate/bias zeros. With reset_after the candidate has two kernels, [inputs, units] and
    [units, units], each with a bias:

        n = activation(x @ candidate/input_projection/kernel + candidate/input_projection/bias
                       + r * (h @ candidate/hidden_projection/kernel + candidate/hidden_projection/bias))

    Raises ValueError for anything else.
    """

    units: int
    activation: str = "tanh"
    reset_after: bool = False

    kind: ClassVar[str] = "gru"

    def __post_init__(self) -> None:
        check_size("units", self.units)
        check_choice("activation", self.activation, ACTIVATIONS)
        check_flag("reset_after", self.reset_after)

    def weights(self, inputs: int) -> Weights:
        units = self.units
        found = {"gates/kernel": glorot(inputs + units, 2 * units), "gates/bias": Weight((2 * units,), value=1.0)}
        rows = {"": inputs + units}
        if self.reset_after:
            rows = {"input_projection/": inputs, "hidden_projection/": units}
        for part, size in rows.items():
            candidate = {"kernel": glorot(size, units), "bias": Weight((units,))}
            found.update(prefixed("candidate/" + part, candidate))
        return found
