"""Keras's long short-term memory, as tf.keras.layers.LSTM is in a TensorFlow 1 graph, as a module."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own idiom)
from torch import Tensor, nn

from torch_impl import states
from torch_impl.cells.activations import ACTIVATIONS
from torch_impl.cells.cell import Cell
from torch_impl.checks import check_size, check_tensor
from torch_impl.conversion import Entry
from unrolled.networks import KerasLSTM


class KerasLSTMCell(Cell):
    """One step of `unrolled.networks.KerasLSTM`; the state is a named tuple (c, h), which Keras has as [h, c].

    Parameters: weight_ih [4 units, inputs], weight_hh [4 units, units] and one trained bias [4 units], gates in Keras's
    order i, f, c, o, which is PyTorch's too.
    """

    kind = KerasLSTM.kind
    network: KerasLSTM
    table = (
        Entry("kernel", ("weight_ih",), True),
        Entry("recurrent_kernel", ("weight_hh",), True),
        Entry("bias", ("bias",), False),
    )

    def __init__(
        self,
        inputs: int,
        units: int,
        activation: str = "tanh",
        recurrent_activation: str = "hard_sigmoid",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """inputs: values per step. The rest: see `unrolled.networks.KerasLSTM`, which says what raises ValueError."""
        super().__init__()
        self.inputs = check_size("inputs", inputs)
        self.network = KerasLSTM(units, activation, recurrent_activation)
        self.weight_ih = nn.Parameter(torch.empty(4 * units, inputs, device=device, dtype=dtype))
        self.weight_hh = nn.Parameter(torch.empty(4 * units, units, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(4 * units, device=device, dtype=dtype))
        self.reset_parameters()

    @property
    def native(self) -> bool:
        """Whether it computes what nn.LSTM computes."""
        return (self.network.activation, self.network.recurrent_activation) == ("tanh", "sigmoid")

    def step(self, inputs: Tensor, state: Any) -> tuple[Tensor, Any]:
        """One step: inputs [batch, inputs], state (c, h) -> (h', (c', h')).

        Raises TypeError for another dtype than the weights', ValueError for another shape or device.
        """
        network, weight_ih = self.network, self.weight_ih
        check_tensor("inputs", inputs, ("batch", self.inputs), weight_ih)
        c, h = states.checked(network, state, inputs.shape[0], weight_ih, "state")
        activation, gate = ACTIVATIONS[network.activation], ACTIVATIONS[network.recurrent_activation]
        i, f, g, o = (F.linear(inputs, weight_ih, self.bias) + F.linear(h, self.weight_hh)).chunk(4, 1)
        c = c * gate(f) + gate(i) * activation(g)
        h = activation(c) * gate(o)
        return h, states.LSTMState(c, h)

    def from_nn(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        if not self.native:
            raise ValueError(
                f"nn.LSTM has tanh, and sigmoid gates, so its weights do not fit a KerasLSTM with {self.network}; load "
                "them into one with recurrent_activation='sigmoid' and tanh"
            )
        return {
            "weight_ih": weights["weight_ih"],
            "weight_hh": weights["weight_hh"],
            "bias": weights["bias_ih"] + weights["bias_hh"],
        }

    def extra_repr(self) -> str:
        return f"inputs={self.inputs}, {self.network}"
