"""Keras's gated recurrent unit, as tf.keras.layers.GRU is in a TensorFlow 1 graph, as a module."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own idiom)
from torch import Tensor, nn

from torch_impl.cells.activations import ACTIVATIONS
from torch_impl.cells.cell import Cell
from torch_impl.checks import check_size, check_tensor
from torch_impl.conversion import Entry
from unrolled.networks import KerasGRU

_GATES = (1, 0, 2)  # Keras's z, r, h as PyTorch's r, z, n


class KerasGRUCell(Cell):
    """One step of `unrolled.networks.KerasGRU`.

    Parameters: weight_ih [3 units, inputs], weight_hh [3 units, units] and one trained bias [3 units], gates in
    PyTorch's order r, z, n; with reset_after bias [2, 3 units], the first row for the inputs, the second for the state.
    """

    kind = KerasGRU.kind
    network: KerasGRU
    table = (
        Entry("kernel", ("weight_ih",), True, _GATES),
        Entry("recurrent_kernel", ("weight_hh",), True, _GATES),
        Entry("bias", ("bias",), False, _GATES),
    )

    def __init__(
        self,
        inputs: int,
        units: int,
        activation: str = "tanh",
        recurrent_activation: str = "hard_sigmoid",
        reset_after: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """inputs: values per step. The rest: see `unrolled.networks.KerasGRU`, which says what raises ValueError."""
        super().__init__()
        self.inputs = check_size("inputs", inputs)
        self.network = KerasGRU(units, activation, recurrent_activation, reset_after)
        self.weight_ih = nn.Parameter(torch.empty(3 * units, inputs, device=device, dtype=dtype))
        self.weight_hh = nn.Parameter(torch.empty(3 * units, units, device=device, dtype=dtype))
        shape = (2, 3 * units) if reset_after else (3 * units,)
        self.bias = nn.Parameter(torch.empty(shape, device=device, dtype=dtype))
        self.reset_parameters()

    @property
    def native(self) -> bool:
        """Whether it computes what nn.GRU computes."""
        network = self.network
        return network.reset_after and (network.activation, network.recurrent_activation) == ("tanh", "sigmoid")

    def step(self, inputs: Tensor, state: Tensor) -> Tensor:
        """One step: inputs [batch, inputs], state [batch, units] -> the new state, which is also the output.

        Raises TypeError for another dtype than the weights', ValueError for another shape or device.
        """
        network, weight_ih, units = self.network, self.weight_ih, self.network.units
        check_tensor("inputs", inputs, ("batch", self.inputs), weight_ih)
        check_tensor("state", state, (inputs.shape[0], units), weight_ih)
        gate, activation = ACTIVATIONS[network.recurrent_activation], ACTIVATIONS[network.activation]
        if network.reset_after:
            given, kept = F.linear(inputs, weight_ih, self.bias[0]), F.linear(state, self.weight_hh, self.bias[1])
            r, z = gate(given[:, : 2 * units] + kept[:, : 2 * units]).chunk(2, 1)
            n = activation(given[:, 2 * units :] + r * kept[:, 2 * units :])
        else:
            given = F.linear(inputs, weight_ih, self.bias)
            r, z = gate(given[:, : 2 * units] + F.linear(state, self.weight_hh[: 2 * units])).chunk(2, 1)
            n = activation(given[:, 2 * units :] + F.linear(r * state, self.weight_hh[2 * units :]))
        return z * state + (1.0 - z) * n

    def from_nn(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        if not self.native:
            raise ValueError(
                "nn.GRU has tanh, sigmoid gates, and its reset gate after the product, so its weights do not fit a "
                f"KerasGRU with {self.network}; load them into one with reset_after=True, "
                "recurrent_activation='sigmoid' and tanh"
            )
        return {
            "weight_ih": weights["weight_ih"],
            "weight_hh": weights["weight_hh"],
            "bias": torch.stack([weights["bias_ih"], weights["bias_hh"]]),
        }

    def extra_repr(self) -> str:
        return f"inputs={self.inputs}, {self.network}"
