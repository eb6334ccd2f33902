"""Keras's LSTM and GRU over whole sequences by PyTorch's own kernels, where those compute what the cells do."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from torch_impl.cells.keras_gru import KerasGRUCell
from torch_impl.cells.keras_lstm import KerasLSTMCell
from torch_impl.checks import tracing
from torch_impl.states import LSTMState
from torch_impl.unrolling.native import in_one_piece, run_kernel, run_masked
from torch_impl.unrolling.packing import rows, run_packed
from torch_impl.unrolling.static import by_steps


def keras_lstm(
    cell: KerasLSTMCell,
    inputs: Tensor,
    lengths: Tensor | None,
    state: Any,
    outputs: bool = True,
    batch_sizes: Tensor | None = None,
) -> tuple[Any, Any]:
    """See `by_steps` for arguments and results."""
    packable = lengths is None or not (tracing() or not lengths.any())
    if not (cell.native and packable):
        return by_steps(cell, inputs, lengths, state, outputs, batch_sizes)
    if state is None:
        state = cell.zero_state(rows(inputs, batch_sizes))
    weights = _piece(cell.weight_ih, cell.weight_hh, cell.bias, torch.zeros_like(cell.bias))

    def run(inputs: Tensor, state: Any, batch_sizes: Tensor | None = None) -> tuple[Tensor, Any]:
        c, h = state
        found, (h, c) = run_kernel(torch.lstm, weights, inputs, (h, c), batch_sizes)
        return found, LSTMState(c, h)

    return run(inputs, state, batch_sizes) if lengths is None else run_packed(run, inputs, lengths, state)


def keras_gru(
    cell: KerasGRUCell,
    inputs: Tensor,
    lengths: Tensor | None,
    state: Tensor | None,
    outputs: bool = True,
    batch_sizes: Tensor | None = None,
) -> tuple[Any, Any]:
    """See `by_steps` for arguments and results."""
    if not cell.native:
        return by_steps(cell, inputs, lengths, state, outputs, batch_sizes)
    if state is None:
        state = cell.zero_state(rows(inputs, batch_sizes))
    run = partial(run_kernel, torch.gru, _piece(cell.weight_ih, cell.weight_hh, *cell.bias))
    if lengths is None:
        return run(inputs, state, batch_sizes)
    if tracing() or not lengths.any():
        return run_masked(run, inputs, lengths.to(inputs.device), state)
    return run_packed(run, inputs, lengths, state)


def _piece(*weights: Tensor) -> list[Tensor]:
    """cuDNN warns, and copies at every call too, where they are not in one piece."""
    kept = list(weights)
    return in_one_piece(kept, kept[0].dtype) if kept[0].is_cuda and not tracing() else kept
