"""PyTorch's own kernels: cuDNN on a GPU; on the CPU a C++ loop over the steps, or for some LSTMs oneDNN. The plain RNN
by them.

What runs here can be traced, and but for oneDNN's LSTM is differentiable any number of times.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from torch_impl.checks import autocast_enabled, tracing
from torch_impl.states import State, mapped
from torch_impl.unrolling.packing import padding_mask, rows, run_packed
from torch_impl.unrolling.static import by_steps

__all__ = ["kernel_weights", "packable", "plain_rnn", "run_always", "run_kernel", "run_whole"]

KERNELS = {"tanh": torch.rnn_tanh, "relu": torch.rnn_relu}
_CUDNN_MODES = {"relu": 0, "tanh": 1}  # cudnnRNNMode_t


def plain_rnn(
    cell: Any,
    inputs: Tensor,
    lengths: Tensor | None,
    state: Tensor | None,
    outputs: bool = True,
    batch_sizes: Tensor | None = None,
) -> tuple[Any, Any]:
    """A BasicRNNCell: see `by_steps` for arguments and results."""
    if cell.activation not in KERNELS:
        return by_steps(cell, inputs, lengths, state, outputs, batch_sizes)
    weights = cell.weight_ih, cell.weight_hh, cell.bias  # once: a parametrized weight is computed at every look
    run = partial(run_kernel, KERNELS[cell.activation], _plain_weights(cell, weights))
    return run_always(run, cell, inputs, lengths, state, batch_sizes)


def run_whole(
    run: Callable[..., tuple[Tensor, Any]],
    cell: Any,
    inputs: Tensor,
    lengths: Tensor | None,
    state: Any,
    batch_sizes: Tensor | None,
) -> tuple[Tensor, Any]:
    """Whole sequences by run(inputs, state, batch_sizes), those of different lengths packed. lengths: `packable`. The
    rest: see `by_steps`."""
    if state is None:
        state = cell.zero_state(rows(inputs, batch_sizes))
    return run(inputs, state, batch_sizes) if lengths is None else run_packed(run, inputs, lengths, state)


def run_always(
    run: Callable[..., tuple[Tensor, Any]],
    cell: Any,
    inputs: Tensor,
    lengths: Tensor | None,
    state: Any,
    batch_sizes: Tensor | None,
) -> tuple[Tensor, Any]:
    """As `run_whole`, of a cell whose state is its output: so lengths that are not packable are masked."""
    if lengths is None or packable(lengths):
        return run_whole(run, cell, inputs, lengths, state, batch_sizes)
    state = cell.zero_state(rows(inputs, batch_sizes)) if state is None else state
    return run_masked(run, inputs, lengths.to(inputs.device), state)


def packable(lengths: Tensor | None) -> bool:
    """Whether rows of these lengths can be packed: not while the call is traced, since what is packed depends on their
    values, nor where none is above 0. None, for whole rows, need not be packed at all."""
    return lengths is None or bool(not tracing() and lengths.any())


def last_valid_state(outputs: Tensor, initial_state: Tensor, lengths: Tensor) -> Tensor:
    """Each row's output [batch, units] at its last valid step, or its initial state where the length is 0."""
    last = (lengths - 1).clamp(min=0)[:, None, None].expand(-1, 1, outputs.shape[2])
    return torch.where((lengths > 0)[:, None], outputs.gather(1, last)[:, 0], initial_state)


def run_masked(
    run: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], inputs: Tensor, lengths: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    """Not packed, for a state that is the output: in one direction the padding cannot reach the valid steps."""
    padding = padding_mask(lengths, inputs.shape[1])
    inputs = inputs.masked_fill(padding[:, :, None], 0)
    first = state.masked_fill((lengths == 0)[:, None], 0)
    outputs, _ = run(inputs, first)
    outputs = outputs.masked_fill(padding[:, :, None], 0)
    return outputs, last_valid_state(outputs, state.to(outputs.dtype), lengths)


def run_kernel(
    kernel: Callable[..., tuple[Tensor, ...]],
    weights: list[Tensor],
    inputs: Tensor,
    state: State,
    batch_sizes: Tensor | None = None,
) -> tuple[Tensor, Any]:
    """PyTorch's kernel on inputs [batch, steps, inputs], or on packed values with their batch_sizes.

    state: [batch, width], or a tuple of two, as the kernel takes it. Under autocast the cast is made here: PyTorch's
    own, for cuDNN, goes to float16 whatever dtype was asked for (aten/src/ATen/cudnn/AutocastRNN.cpp).
    """
    # Of the kernel alone: cuDNN has no backward pass in evaluation mode. What is traced may be trained later.
    train = torch.is_grad_enabled() or torch.jit.is_tracing()
    device = inputs.device.type
    with contextlib.ExitStack() as stack:
        if autocast_enabled(device):
            dtype = torch.get_autocast_dtype(device)
            stack.enter_context(torch.autocast(device, enabled=False))
            inputs, weights = inputs.to(dtype), in_one_piece(weights, dtype)
            state = mapped(lambda part: part.to(dtype), state)
        state = mapped(lambda part: part[None], state)
        settings = (weights, True, 1, 0.0, train, False)
        if batch_sizes is None:
            outputs, *last = kernel(inputs, state, *settings, True)
        else:
            outputs, *last = kernel(inputs, batch_sizes, state, *settings)
    return outputs, last[0][0] if len(last) == 1 else tuple(part[0] for part in last)


def in_one_piece(weights: list[Tensor], dtype: torch.dtype) -> list[Tensor]:
    """The weights in that dtype, copied to one piece of memory, as cuDNN wants them."""
    whole = torch.cat([weight.flatten() for weight in weights]).to(dtype)
    parts = whole.split([weight.numel() for weight in weights])
    return [part.view_as(weight) for part, weight in zip(parts, weights, strict=True)]


def kernel_weights(*weights: Tensor) -> list[Tensor]:
    """The weights as a kernel takes them: on a GPU in one piece, or cuDNN would warn, and copy them at every call."""
    kept = list(weights)
    return in_one_piece(kept, kept[0].dtype) if kept[0].is_cuda and not tracing() else kept


def _plain_weights(cell: Any, weights: tuple[Tensor, Tensor, Tensor]) -> list[Tensor]:
    """weight_ih, weight_hh, and the kernel's two biases: the cell's own, and a zero that is not trained.

    cuDNN wants them in one piece of memory (it warns, and copies them at every call, otherwise). As nn.RNN does in
    flatten_parameters, their storage is moved there, here on first use, so that a copied or moved cell is served too.
    Weights that are made anew for every call, by pruning say, are copied.
    """
    *_, bias = weights
    if not bias.is_cuda or tracing() or not torch.backends.cudnn.is_acceptable(bias):
        return [*weights, torch.zeros_like(bias, requires_grad=False)]
    zero = getattr(cell, "_cudnn_zero", None)
    pieces = {weight.untyped_storage().data_ptr() for weight in weights}
    if zero is None or zero.dtype != bias.dtype or pieces != {zero.untyped_storage().data_ptr()}:
        zero = torch.zeros_like(bias, requires_grad=False)
        if not all(weight.is_leaf for weight in weights):
            return in_one_piece([*weights, zero], bias.dtype)
        with torch.no_grad(), torch.cuda.device_of(zero):
            torch._cudnn_rnn_flatten_weight(
                [*weights, zero], 4, cell.inputs, _CUDNN_MODES[cell.activation], cell.units, 0, 1, True, False
            )
        cell._cudnn_zero = zero  # not a buffer: no state_dict or device move need know of it
    return [*weights, zero]
