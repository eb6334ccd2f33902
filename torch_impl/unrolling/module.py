"""A cell over sequences as a module."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from torch_impl.cells.basic_rnn import BasicRNNCell
from torch_impl.checks import check_tensor
from torch_impl.unrolling.dynamic import dynamic_rnn


class RNN(nn.Module):
    """A BasicRNNCell over sequences, as a module: a padded tensor or a PackedSequence in, the same kind out.

    A state_dict of a one-layer, one-direction `nn.RNN` loads too, its two biases folded to their sum.
    """

    def __init__(
        self,
        inputs: int,
        units: int,
        activation: str = "tanh",
        batch_first: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """inputs: values per step. activation: "tanh" or "relu". batch_first: padded tensors are [batch, steps, ...]
        (otherwise [steps, batch, ...])."""
        super().__init__()
        self.cell = BasicRNNCell(inputs, units, activation, device=device, dtype=dtype)
        self.batch_first = batch_first

    def forward(
        self,
        inputs: Tensor | PackedSequence,
        lengths: Any = None,
        initial_state: Tensor | None = None,
        outputs: bool = True,
    ) -> tuple[Any, Tensor]:
        """inputs: [batch, steps, inputs], with lengths [batch] or None; or a PackedSequence, which has its own lengths.

        Returns (outputs, state): outputs of the same kind and layout as inputs, with `units` values per step; state
        [batch, units], the last valid one of each row. See dynamic_rnn for the rest, and for what it raises.
        """
        if self.batch_first or isinstance(inputs, PackedSequence):
            return dynamic_rnn(self.cell, inputs, lengths, initial_state, outputs)
        check_tensor("inputs", inputs, ("steps", "batch", self.cell.inputs), self.cell.weight_ih)
        found, state = dynamic_rnn(self.cell, inputs.transpose(0, 1), lengths, initial_state, outputs)
        return found.transpose(0, 1) if outputs else None, state

    def nn_rnn_state_dict(self) -> dict[str, Tensor]:
        """The weights as a state_dict for `nn.RNN(inputs, units, nonlinearity=activation)`; its second bias is zero."""
        cell = self.cell
        return {
            "weight_ih_l0": cell.weight_ih.detach().clone(),
            "weight_hh_l0": cell.weight_hh.detach().clone(),
            "bias_ih_l0": cell.bias.detach().clone(),
            "bias_hh_l0": torch.zeros_like(cell.bias, requires_grad=False),
        }

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        """Rename nn.RNN's keys and fold its biases; whatever is not exactly one plain layer stays, and is reported."""
        assert isinstance(state_dict, dict)  # load_state_dict passes its own copy
        names = [prefix + name + "_l0" for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        if all(name in state_dict for name in names):
            weight_ih, weight_hh, bias_ih, bias_hh = (state_dict.pop(name) for name in names)
            state_dict[prefix + "cell.weight_ih"] = weight_ih
            state_dict[prefix + "cell.weight_hh"] = weight_hh
            state_dict[prefix + "cell.bias"] = bias_ih + bias_hh
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def extra_repr(self) -> str:
        return f"batch_first={self.batch_first}"
