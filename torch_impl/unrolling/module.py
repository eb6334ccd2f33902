"""A cell over sequences as a module."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, fx
from torch.nn.utils.rnn import PackedSequence

from torch_impl.cells.basic_rnn import BasicRNNCell
from torch_impl.cells.cell import Cell
from torch_impl.conversion import Canonical, Table, effective_weights, prefixed
from torch_impl.unrolling.dynamic import dynamic_rnn
from unrolled.networks import Network

fx.wrap("dynamic_rnn")  # torch.fx takes it whole, as it does PyTorch's own nn.RNN


class Recurrent(Canonical):
    """A cell over sequences, as a module: a padded tensor or a PackedSequence in, the same kind out.

    Hooks on the cell see whole sequences: see `Cell`.
    """

    def __init__(self, cell: Cell, batch_first: bool = True) -> None:
        """batch_first: padded tensors are [batch, steps, ...] (otherwise [steps, batch, ...])."""
        super().__init__()
        self.cell = cell
        self.batch_first = batch_first

    @property
    def inputs(self) -> int:
        """Values per step."""
        return self.cell.inputs

    @property
    def network(self) -> Network:
        """The network as a value: see unrolled.networks."""
        return self.cell.network

    @property
    def table(self) -> Table:  # type: ignore[override]
        """How the parameters map to canonical weights."""
        return prefixed("cell.", self.cell.table)

    def zero_state(self, batch: int) -> Any:
        """Zeros of `batch` rows, in the dtype and on the device of the weights."""
        return self.cell.zero_state(batch)

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """TF1's initial values for every parameter."""
        self.cell.reset_parameters(generator)

    def forward(
        self, inputs: Tensor | PackedSequence, lengths: Any = None, initial_state: Any = None, outputs: bool = True
    ) -> tuple[Any, Any]:
        """inputs: [batch, steps, inputs], with lengths [batch] or None; or a PackedSequence, which has its own lengths.

        Returns (outputs, state): outputs of the same kind and layout as inputs; state: the last valid one of each row.
        See dynamic_rnn for the rest, and for what it raises.
        """
        return dynamic_rnn(self.cell, inputs, lengths, initial_state, outputs, not self.batch_first)

    def extra_repr(self) -> str:
        return f"batch_first={self.batch_first}"


class RNN(Recurrent):
    """A BasicRNNCell over sequences, as a module: a padded tensor or a PackedSequence in, the same kind out.

    A state_dict of a one-layer, one-direction `nn.RNN` loads too, its two biases folded to their sum.
    """

    cell: BasicRNNCell

    def __init__(
        self,
        inputs: int,
        units: int,
        activation: str = "tanh",
        batch_first: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """inputs: values per step. activation: "tanh" or "relu". batch_first: see `Recurrent`."""
        super().__init__(BasicRNNCell(inputs, units, activation, device=device, dtype=dtype), batch_first)

    def nn_rnn_state_dict(self) -> dict[str, Tensor]:
        """The weights as a state_dict for `nn.RNN(inputs, units, nonlinearity=activation)`; its second bias is zero."""
        weights = effective_weights(self.cell)
        found = {_NN_NAMES[name]: weight.detach().clone() for name, weight in weights.items()}
        return {**found, "bias_hh_l0": torch.zeros_like(found["bias_ih_l0"])}

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        """Rename nn.RNN's keys and fold its biases; whatever is not exactly one plain layer stays, and is reported."""
        assert isinstance(state_dict, dict)  # load_state_dict passes its own copy
        if all(prefix + name in state_dict for name in (*_NN_NAMES.values(), "bias_hh_l0")):
            for own, name in _NN_NAMES.items():
                state_dict[f"{prefix}cell.{own}"] = state_dict.pop(prefix + name)
            state_dict[prefix + "cell.bias"] = state_dict[prefix + "cell.bias"] + state_dict.pop(prefix + "bias_hh_l0")
        super()._load_from_state_dict(state_dict, prefix, *rest)


_NN_NAMES = {"weight_ih": "weight_ih_l0", "weight_hh": "weight_hh_l0", "bias": "bias_ih_l0"}
