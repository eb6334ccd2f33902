"""The long short-term memory: TensorFlow 1's BasicLSTMCell and LSTMCell as a module."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own idiom)
from torch import Tensor, nn

from torch_impl import states
from torch_impl.cells.activations import ACTIVATIONS
from torch_impl.cells.cell import Cell
from torch_impl.checks import bare, check_size, check_tensor
from torch_impl.conversion import Entry
from unrolled.networks import LSTM

GATES = (0, 2, 1, 3)  # TF1's i, j, f, o as PyTorch's i, f, g, o
_PEEPHOLES = ("w_f_diag", "w_i_diag", "w_o_diag")


class LSTMCell(Cell):
    """One step of `unrolled.networks.LSTM`, TF1's BasicLSTMCell and LSTMCell; the state is a named tuple (c, h).

    Parameters: weight_ih [4 units, inputs] and weight_hh [4 units, width of h], their gates in PyTorch's order i, f, g,
    o, and one trained bias [4 units], to which forget_bias is added and not stored; with peepholes w_f_diag, w_i_diag
    and w_o_diag [units]; with a projection weight_hr [projection, units].
    """

    kind = LSTM.kind
    network: LSTM

    def __init__(
        self,
        inputs: int,
        units: int,
        activation: str = "tanh",
        forget_bias: float = 1.0,
        peepholes: bool = False,
        projection: int | None = None,
        cell_clip: float | None = None,
        projection_clip: float | None = None,
        straight_through: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """inputs: values per step. The rest: see `unrolled.networks.LSTM`, which says what raises ValueError."""
        super().__init__()
        self.inputs = check_size("inputs", inputs)
        options = (forget_bias, peepholes, projection, cell_clip, projection_clip, straight_through)
        self.network = LSTM(units, activation, *options)

        def empty(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(shape, device=device, dtype=dtype))

        self.weight_ih = empty(4 * units, inputs)
        self.weight_hh = empty(4 * units, self.network.output_size)
        self.bias = empty(4 * units)
        self.table = (
            Entry("kernel", ("weight_ih", "weight_hh"), True, GATES),
            Entry("bias", ("bias",), False, GATES),
        )
        if peepholes:
            self.w_f_diag, self.w_i_diag, self.w_o_diag = empty(units), empty(units), empty(units)
            self.table += tuple(Entry(name, (name,), False) for name in _PEEPHOLES)
        if projection is not None:
            self.weight_hr = empty(projection, units)
            self.table += (Entry("projection/kernel", ("weight_hr",), True),)
        self.reset_parameters()

    @property
    def native(self) -> bool:
        """Whether it computes what nn.LSTM computes, from other biases."""
        network = self.network
        clipped = network.cell_clip is not None or network.projection_clip is not None
        return network.activation == "tanh" and not network.peepholes and not clipped

    def step(self, inputs: Tensor, state: Any) -> tuple[Tensor, Any]:
        """One step: inputs [batch, inputs], state (c, h) -> (h', (c', h')).

        Raises TypeError for another dtype than the weights', ValueError for another shape or device.
        """
        network, weight_ih = self.network, self.weight_ih
        check_tensor("inputs", inputs, ("batch", self.inputs), weight_ih)
        c, h = states.checked(network, state, inputs.shape[0], weight_ih, "state")
        if bare(weight_ih) and self.native and network.projection is None:  # one call: two thirds of the time
            bias = self.bias.clone()
            bias.narrow(0, network.units, network.units).add_(network.forget_bias)
            h, c = torch.lstm_cell(inputs, (h, c), weight_ih, self.weight_hh, bias)
            return h, states.LSTMState(c, h)
        activation = ACTIVATIONS[network.activation]
        gates = F.linear(inputs, weight_ih, self.bias) + F.linear(h, self.weight_hh)
        i, f, g, o = gates.chunk(4, 1)
        if network.peepholes:
            i, f = i + self.w_i_diag * c, f + self.w_f_diag * c
        c = c * torch.sigmoid(f + network.forget_bias) + torch.sigmoid(i) * activation(g)
        if network.cell_clip is not None:
            clipped = c.clamp(-network.cell_clip, network.cell_clip)
            c = c + (clipped - c).detach() if network.straight_through else clipped
        if network.peepholes:
            o = o + self.w_o_diag * c
        h = activation(c) * torch.sigmoid(o)
        if network.projection is not None:
            h = F.linear(h, self.weight_hr)
        if network.projection_clip is not None:
            h = h.clamp(-network.projection_clip, network.projection_clip)
        return h, states.LSTMState(c, h)

    def from_nn(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        if not self.native:
            raise ValueError(
                "nn.LSTM has tanh, no peepholes and no clip, so its weights do not fit an LSTM with "
                f"{self.network}; load them into one without these options"
            )
        units, bias = self.network.units, weights["bias_ih"] + weights["bias_hh"]
        bias[units : 2 * units] -= self.network.forget_bias  # nn.LSTM's is within its biases
        kept = {name: weight for name, weight in weights.items() if not name.startswith("bias_")}
        return {**kept, "bias": bias}

    def extra_repr(self) -> str:
        return f"inputs={self.inputs}, {self.network}"
