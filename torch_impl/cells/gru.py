"""The gated recurrent unit: TensorFlow 1's GRUCell, and with `reset_after` cuDNN's and PyTorch's, as a module."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own idiom)
from torch import Tensor, nn

from torch_impl.cells.activations import ACTIVATIONS
from torch_impl.cells.cell import Cell
from torch_impl.checks import bare, check_size, check_tensor
from torch_impl.conversion import Entry, Table
from unrolled.networks import GRU

_GATES: Table = (Entry("gates/kernel", ("gates_ih", "gates_hh"), True), Entry("gates/bias", ("gates_bias",), False))
_BEFORE: Table = (
    Entry("candidate/kernel", ("candidate_ih", "candidate_hh"), True),
    Entry("candidate/bias", ("candidate_bias",), False),
)
_AFTER: Table = (
    Entry("candidate/input_projection/kernel", ("candidate_ih",), True),
    Entry("candidate/input_projection/bias", ("candidate_bias",), False),
    Entry("candidate/hidden_projection/kernel", ("candidate_hh",), True),
    Entry("candidate/hidden_projection/bias", ("candidate_bias_hh",), False),
)


class GRUCell(Cell):
    """One step of `unrolled.networks.GRU`: TF1's GRUCell, or with reset_after its CudnnCompatibleGRUCell.

    Parameters: gates_ih [2 units, inputs], gates_hh [2 units, units] and gates_bias [2 units], reset gate first;
    candidate_ih [units, inputs], candidate_hh [units, units] and candidate_bias [units]; with reset_after also
    candidate_bias_hh [units], within the reset gate.
    """

    kind = GRU.kind
    network: GRU

    def __init__(
        self,
        inputs: int,
        units: int,
        activation: str = "tanh",
        reset_after: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """inputs: values per step. The rest: see `unrolled.networks.GRU`, which says what raises ValueError."""
        super().__init__()
        self.inputs = check_size("inputs", inputs)
        self.network = GRU(units, activation, reset_after)

        def empty(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(shape, device=device, dtype=dtype))

        self.gates_ih, self.gates_hh, self.gates_bias = (
            empty(2 * units, inputs),
            empty(2 * units, units),
            empty(2 * units),
        )
        self.candidate_ih, self.candidate_hh = empty(units, inputs), empty(units, units)
        self.candidate_bias = empty(units)
        if reset_after:
            self.candidate_bias_hh = empty(units)
        self.table = _GATES + (_AFTER if reset_after else _BEFORE)
        self.reset_parameters()

    def step(self, inputs: Tensor, state: Tensor) -> Tensor:
        """One step: inputs [batch, inputs], state [batch, units] -> the new state, which is also the output.

        Raises TypeError for another dtype than the weights', ValueError for another shape or device.
        """
        network, gates_ih = self.network, self.gates_ih
        check_tensor("inputs", inputs, ("batch", self.inputs), gates_ih)
        check_tensor("state", state, (inputs.shape[0], network.units), gates_ih)
        if bare(gates_ih):
            return self._bare_step(inputs, state)
        gates = F.linear(inputs, gates_ih, self.gates_bias) + F.linear(state, self.gates_hh)
        r, u = torch.sigmoid(gates).chunk(2, 1)
        total = F.linear(inputs, self.candidate_ih, self.candidate_bias)
        if network.reset_after:
            total = total + r * F.linear(state, self.candidate_hh, self.candidate_bias_hh)
        else:
            total = total + F.linear(r * state, self.candidate_hh)
        return u * state + (1.0 - u) * ACTIVATIONS[network.activation](total)

    def _bare_step(self, inputs: Tensor, state: Tensor) -> Tensor:
        """The same in few operations, two thirds of the time of one row."""
        gates = torch.addmm(F.linear(inputs, self.gates_ih, self.gates_bias), state, self.gates_hh.t())
        r, u = gates.sigmoid_().chunk(2, 1)
        total = F.linear(inputs, self.candidate_ih, self.candidate_bias)
        if self.network.reset_after:
            total = torch.addcmul(total, r, F.linear(state, self.candidate_hh, self.candidate_bias_hh))
        else:
            total = torch.addmm(total, r * state, self.candidate_hh.t())
        return torch.lerp(ACTIVATIONS[self.network.activation](total), state, u)

    def from_nn(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        network, two = self.network, 2 * self.network.units
        if not network.reset_after or network.activation != "tanh":
            raise ValueError(
                "nn.GRU has tanh, and its reset gate after the product, so its weights do not fit a GRU with "
                f"{network}; load them into one with reset_after=True and tanh"
            )
        bias_ih, bias_hh = weights["bias_ih"], weights["bias_hh"]
        return {
            "gates_ih": weights["weight_ih"][:two],
            "gates_hh": weights["weight_hh"][:two],
            "gates_bias": bias_ih[:two] + bias_hh[:two],
            "candidate_ih": weights["weight_ih"][two:],
            "candidate_hh": weights["weight_hh"][two:],
            "candidate_bias": bias_ih[two:],
            "candidate_bias_hh": bias_hh[two:],
        }

    def extra_repr(self) -> str:
        return f"inputs={self.inputs}, {self.network}"
