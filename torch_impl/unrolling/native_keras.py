"""Keras's LSTM and GRU over whole sequences by PyTorch's own kernels, where those compute what the cells do."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from torch_impl.cells.keras_gru import KerasGRUCell
from torch_impl.cells.keras_lstm import KerasLSTMCell
from torch_impl.unrolling.native import kernel_weights, packable, run_always, run_kernel, run_whole
from torch_impl.unrolling.native_lstm import run_lstm
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
    if not (cell.native and packable(lengths)):
        return by_steps(cell, inputs, lengths, state, outputs, batch_sizes)
    weights = kernel_weights(cell.weight_ih, cell.weight_hh, cell.bias, torch.zeros_like(cell.bias))
    return run_whole(partial(run_lstm, weights), cell, inputs, lengths, state, batch_sizes)


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
    run = partial(run_kernel, torch.gru, kernel_weights(cell.weight_ih, cell.weight_hh, *cell.bias))
    return run_always(run, cell, inputs, lengths, state, batch_sizes)
