"""The plain cell: two steps written out by hand, and TensorFlow 1's BasicRNNCell as a module."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own idiom)
from torch import Tensor, nn

from torch_impl.cells.activations import ACTIVATIONS, check_activation
from torch_impl.cells.cell import Cell
from torch_impl.checks import check_size, check_tensor
from torch_impl.conversion import Entry
from unrolled.networks import BasicRNN


def two_step(
    x0: Tensor, x1: Tensor, wx: Tensor, wy: Tensor, b: Tensor, activation: str = "tanh"
) -> tuple[Tensor, Tensor]:
    """Two steps of a recurrent layer by hand, from a zero state.

    x0, x1: [batch, inputs]; wx: [inputs, units]; wy: [units, units]; b: [units] or [1, units], all of one dtype.
    Returns (y0, y1), each [batch, units]: y0 = f(x0 @ wx + b), y1 = f(y0 @ wy + x1 @ wx + b).
    Raises TypeError or ValueError that names the argument.
    """
    f = ACTIVATIONS[check_activation(activation)]
    check_tensor("wx", wx, ("inputs", "units"), wx)
    inputs, units = wx.shape
    check_tensor("wy", wy, (units, units), wx)
    check_tensor("b", b, (1, units) if b.ndim == 2 else (units,), wx)
    check_tensor("x0", x0, ("batch", inputs), wx)
    check_tensor("x1", x1, (len(x0), inputs), wx)
    y0 = f(x0 @ wx + b)
    y1 = f(y0 @ wy + x1 @ wx + b)
    return y0, y1


class BasicRNNCell(Cell):
    """state' = activation(inputs @ weight_ih.T + state @ weight_hh.T + bias), TF1's BasicRNNCell.

    Parameters: weight_ih [units, inputs], weight_hh [units, units], and one trained bias [units]. (`nn.RNNCell` trains
    two biases, whose sum then moves twice as fast.) Their initial values are TF1's: Glorot uniform over the whole
    concatenated kernel (fan-in inputs + units, fan-out units), and a zero bias.
    """

    kind = BasicRNN.kind
    table = (Entry("kernel", ("weight_ih", "weight_hh"), True), Entry("bias", ("bias",), False))

    def __init__(
        self,
        inputs: int,
        units: int,
        activation: str = "tanh",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """inputs: values per step. units: size of the state. activation: one of ACTIVATIONS."""
        super().__init__()
        self.inputs = check_size("inputs", inputs)
        self.network = BasicRNN(check_size("units", units), check_activation(activation))
        self.weight_ih = nn.Parameter(torch.empty(units, inputs, device=device, dtype=dtype))
        self.weight_hh = nn.Parameter(torch.empty(units, units, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(units, device=device, dtype=dtype))
        self.reset_parameters()

    @property
    def units(self) -> int:
        """Size of the state."""
        return self.network.units

    @property
    def activation(self) -> str:
        """One of ACTIVATIONS."""
        return self.network.activation

    def step(self, inputs: Tensor, state: Tensor) -> Tensor:
        """One step: inputs [batch, inputs], state [batch, units] -> the new state, which is also the output.

        Raises TypeError for another dtype than the weights', ValueError for another shape or device.
        """
        weight_ih = self.weight_ih
        check_tensor("inputs", inputs, ("batch", self.inputs), weight_ih)
        check_tensor("state", state, (inputs.shape[0], self.units), weight_ih)
        total = F.linear(inputs, weight_ih, self.bias) + F.linear(state, self.weight_hh)
        return ACTIVATIONS[self.activation](total)

    def from_nn(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        kept = {name: weight for name, weight in weights.items() if not name.startswith("bias_")}
        return {**kept, "bias": weights["bias_ih"] + weights["bias_hh"]}

    def extra_repr(self) -> str:
        return f"inputs={self.inputs}, units={self.units}, activation={self.activation!r}"
