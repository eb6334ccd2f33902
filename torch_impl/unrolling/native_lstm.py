"""The LSTM over whole sequences by PyTorch's own kernel, cuDNN on a GPU, where that computes what the cell does."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from torch_impl.cells.lstm import LSTMCell
from torch_impl.checks import tracing
from torch_impl.states import LSTMState
from torch_impl.unrolling.native import in_one_piece, run_kernel
from torch_impl.unrolling.packing import rows, run_packed
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
    # The kernel takes a projection for one by its width alone, which must be less. And with lengths while the call is
    # traced, or where none is above 0, nothing can be packed.
    narrower = network.projection is None or network.projection < network.units
    packable = lengths is None or not (tracing() or not lengths.any())
    if not (cell.native and narrower and packable):
        return by_steps(cell, inputs, lengths, state, outputs, batch_sizes)
    if state is None:
        state = cell.zero_state(rows(inputs, batch_sizes))
    run = partial(_run, _weights(cell))
    return run(inputs, state, batch_sizes) if lengths is None else run_packed(run, inputs, lengths, state)


def _run(weights: list[Tensor], inputs: Tensor, state: Any, batch_sizes: Tensor | None) -> tuple[Tensor, Any]:
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
    weights = [cell.weight_ih, cell.weight_hh, bias, added]
    weights += [] if cell.network.projection is None else [cell.weight_hr]
    # cuDNN warns, and copies at every call too, where they are not in one piece.
    return in_one_piece(weights, bias.dtype) if bias.is_cuda and not tracing() else weights
