"""The long short-term memory with layer normalisation: TensorFlow 1's LayerNormBasicLSTMCell (contrib) as a module."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own idiom)
from torch import Tensor, nn

from torch_impl import states
from torch_impl.cells.activations import ACTIVATIONS
from torch_impl.cells.cell import Cell
from torch_impl.cells.lstm import GATES
from torch_impl.checks import check_size, check_tensor
from torch_impl.conversion import Entry
from torch_impl.masks import scaled
from unrolled.networks import LayerNormLSTM
from unrolled.networks.layer_norm_lstm import EPSILON, NORMS


class LayerNormLSTMCell(Cell):
    """One step of `unrolled.networks.LayerNormLSTM`; the state is a named tuple (c, h).

    Parameters: weight_ih [4 units, inputs] and weight_hh [4 units, units], their gates in PyTorch's order i, f, g, o;
    and of each normalisation input_gamma and input_beta [units], and so on: input, transform, forget, output, state.
    """

    kind = LayerNormLSTM.kind
    network: LayerNormLSTM

    def __init__(
        self,
        inputs: int,
        units: int,
        activation: str = "tanh",
        forget_bias: float = 1.0,
        candidate_keep: float = 1.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """inputs: values per step. The rest: see `unrolled.networks.LayerNormLSTM`, which says what raises
        ValueError."""
        super().__init__()
        self.inputs = check_size("inputs", inputs)
        self.network = LayerNormLSTM(units, activation, forget_bias, candidate_keep)

        def empty(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(shape, device=device, dtype=dtype))

        self.weight_ih, self.weight_hh = empty(4 * units, inputs), empty(4 * units, units)
        self.table = (Entry("kernel", ("weight_ih", "weight_hh"), True, GATES),)
        for norm in NORMS:
            for name in ("gamma", "beta"):
                self.register_parameter(f"{norm}_{name}", empty(units))
                self.table += (Entry(f"{norm}/{name}", (f"{norm}_{name}",), False),)
        self.reset_parameters()

    def step(self, inputs: Tensor, state: Any, masks: Mapping[str, Tensor] | None = None) -> tuple[Tensor, Any]:
        """One step: inputs [batch, inputs], state (c, h) -> (h', (c', h')), c' normalised. masks: "candidate" [batch,
        units], or none.

        Raises TypeError for another dtype than the weights', ValueError for another shape or device.
        """
        network, weight_ih = self.network, self.weight_ih
        check_tensor("inputs", inputs, ("batch", self.inputs), weight_ih)
        c, h = states.checked(network, state, inputs.shape[0], weight_ih, "state")
        activation = ACTIVATIONS[network.activation]
        i, f, g, o = (F.linear(inputs, weight_ih) + F.linear(h, self.weight_hh)).chunk(4, 1)
        candidate = activation(self._normalised("transform", g))
        if masks:
            candidate = scaled(candidate, masks["candidate"], network.candidate_keep)
        kept = c * torch.sigmoid(self._normalised("forget", f) + network.forget_bias)
        c = self._normalised("state", kept + torch.sigmoid(self._normalised("input", i)) * candidate)
        h = activation(c) * torch.sigmoid(self._normalised("output", o))
        return h, states.LSTMState(c, h)

    def _normalised(self, norm: str, values: Tensor) -> Tensor:
        """values [batch, units], over the units of a row."""
        gamma, beta = getattr(self, f"{norm}_gamma"), getattr(self, f"{norm}_beta")
        return F.layer_norm(values, gamma.shape, gamma, beta, EPSILON)

    def extra_repr(self) -> str:
        return f"inputs={self.inputs}, {self.network}"
