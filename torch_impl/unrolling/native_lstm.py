"""The LSTM over whole sequences by PyTorch's own kernel, cuDNN on a GPU, where that computes what the cell does."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from torch_impl.cells.lstm import LSTMCell
from torch_impl.checks import tracing
from torch_impl.states import LSTMState
from torch_impl.unrolling.native import kernel_weights, packable, run_kernel, run_whole
from torch_impl.unrolling.static import by_steps


def lstm(
    cell: LSTMCell,
    inputs: Tensor,
    lengths: Tensor | None,
    state: Any,
    outputs: bool = True,
    batch_sizes: Tensor | None = None,
) -> tuple[Any, Any]:
    """See `by_steps` for arguments and results."""
    network = cell.network
    # The kernel takes a projection for one by its width alone, which must be less.
    narrower = network.projection is None or network.projection < network.units
    if not (cell.native and narrower and packable(lengths)):
        return by_steps(cell, inputs, lengths, state, outputs, batch_sizes)
    return run_whole(partial(run_lstm, _weights(cell)), cell, inputs, lengths, state, batch_sizes)


def run_lstm(weights: list[Tensor], inputs: Tensor, state: Any, batch_sizes: Tensor | None) -> tuple[Tensor, Any]:
    """The kernel has its state as (h, c)."""
    c, h = state
    shape = inputs.shape[1::-1]  # steps, batch
    # On the CPU PyTorch warns that oneDNN has no projection, though not of packed sequences, which these are then.
    as_packed = len(weights) == 5 and batch_sizes is None and inputs.device.type == "cpu" and not tracing()
    if as_packed:
        inputs, batch_sizes = inputs.transpose(0, 1).flatten(0, 1), torch.full(shape[:1], shape[1])
    outputs, (h, c) = run_kernel(torch.lstm, weights, inputs, (h, c), batch_sizes)
    return outputs.unflatten(0, shape).transpose(0, 1) if as_packed else outputs, LSTMState(c, h)


def _weights(cell: LSTMCell) -> list[Tensor]:
    """As the kernel takes them: its second bias is the forget bias, which is not trained."""
    bias = cell.bias
    zeros = bias.new_zeros(cell.network.units)
    added = torch.cat([zeros, zeros + cell.network.forget_bias, zeros, zeros])
    projection = [] if cell.network.projection is None else [cell.weight_hr]
    return kernel_weights(cell.weight_ih, cell.weight_hh, bias, added, *projection)
