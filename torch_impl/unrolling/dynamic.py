"""Unrolling a cell over time: static_rnn (a Python loop), dynamic_rnn (PyTorch's own kernel), and the module RNN.

The length law: past a row's length its outputs are exactly zero and its state is copied through, so the final state is
the one at the row's last valid step (the initial state for length 0). All steps are kept, and nothing flows back into
the padding, whatever the padding holds: NaN there reaches neither a result nor a gradient.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from torch_impl.cells.basic_rnn import BasicRNNCell
from torch_impl.checks import autocast_enabled, check_lengths, check_tensor
from torch_impl.unrolling.paths import chosen_path, run_path
from torch_impl.unrolling.static import masked_steps

_KERNELS = {"tanh": torch.rnn_tanh, "relu": torch.rnn_relu}
_CUDNN_MODES = {"relu": 0, "tanh": 1}  # cudnnRNNMode_t

# From (cell, inputs, lengths or None, state or None), all checked, to (outputs [batch, steps, units] or, where they are
# not wanted, None; state [batch, units]).
Path = Callable[[BasicRNNCell, Tensor, "Tensor | None", "Tensor | None"], "tuple[Any, Tensor]"]


def dynamic_rnn(
    cell: BasicRNNCell, inputs: Any, lengths: Any = None, initial_state: Tensor | None = None, outputs: bool = True
) -> tuple[Any, Tensor]:
    """The cell over whole sequences: TF1's dynamic_rnn.

    inputs: [batch, steps, inputs], batch and steps at least 1. lengths: integers [batch] from 0 to steps, or None for
    all steps; keep them on the CPU, since on a GPU they cost a transfer. initial_state: [batch, units], or None: zeros.
    Returns (outputs [batch, steps, units], state [batch, units]) under the length law. A PackedSequence, which holds
    its own lengths, gives a PackedSequence packed alike; the states are in the order before packing. outputs: False
    where only the state is wanted: None stands for them then, and the time that they take is spared.
    Raises TypeError or ValueError that names the argument.
    """
    if not isinstance(cell, BasicRNNCell):
        raise TypeError(f"cell must be a BasicRNNCell, got {type(cell).__name__}; static_rnn takes any cell")
    if isinstance(inputs, PackedSequence):
        if lengths is not None:
            raise ValueError("lengths must be None with a PackedSequence, which holds its own lengths")
        check_tensor("inputs.data", inputs.data, ("values", cell.inputs), cell.weight_ih)
        return packed_rnn(cell, inputs, _given_state(cell, int(inputs.batch_sizes[0]), initial_state), outputs)
    check_tensor("inputs", inputs, ("batch", "steps", cell.inputs), cell.weight_ih)
    batch, steps, _ = inputs.shape
    state = _given_state(cell, batch, initial_state)
    if lengths is not None:
        lengths = check_lengths(lengths, batch, steps)
        if int(lengths.min()) == steps:
            lengths = None
    found, state = choose_path(cell, inputs, state, outputs)(cell, inputs, lengths, state)
    return found if outputs else None, state


def choose_path(cell: BasicRNNCell, inputs: Tensor, state: Tensor | None, outputs: bool = True) -> Path:
    """The one place that decides how whole sequences are computed: see torch_impl.unrolling.paths.

    outputs: whether they are wanted; a path may give None for those that are not.
    """
    name = chosen_path(cell.weight_hh, inputs, cell.weight_ih, cell.bias, *(() if state is None else (state,)))
    return kernel_path if name == "native" else partial(_fast_path, name, outputs)


def _fast_path(
    name: str, outputs: bool, cell: BasicRNNCell, inputs: Tensor, lengths: Tensor | None, state: Tensor | None
) -> tuple[Any, Tensor]:
    """The paths for the CPU: "compiled" or "bptt"."""
    return run_path(name, inputs, cell.weight_ih, cell.weight_hh, cell.bias, state, lengths, cell.activation, outputs)


def _given_state(cell: BasicRNNCell, batch: int, initial_state: Tensor | None) -> Tensor | None:
    """A state that was given, checked; None stays, for the paths that need no zeros to begin with."""
    if initial_state is None:
        return None
    return check_tensor("initial_state", initial_state, (batch, cell.units), cell.bias)


def kernel_path(
    cell: BasicRNNCell, inputs: Tensor, lengths: Tensor | None, state: Tensor | None
) -> tuple[Tensor, Tensor]:
    """PyTorch's own kernel (cuDNN on a GPU, a C++ loop on the CPU); different lengths go through packed sequences."""
    state = cell.zero_state(len(inputs)) if state is None else state
    if lengths is None:
        return _run_kernel(cell, inputs, state)
    batch, steps, _ = inputs.shape
    rows = lengths.nonzero()[:, 0]
    if len(rows) == batch:
        return _kernel_packed(cell, inputs, lengths, state)
    if len(rows) == 0:  # one masked step keeps results and gradients zero, and still part of the graph
        (zeros,), state = masked_steps(cell, [inputs[:, 0]], lengths, state)
        return zeros[:, None].repeat(1, steps, 1), state
    # Packing refuses rows of length zero, so they are taken out before it and put back after it.
    lengths, rows = lengths[rows], rows.to(inputs.device, non_blocking=True)
    some, last = _kernel_packed(cell, inputs.index_select(0, rows), lengths, state.index_select(0, rows))
    outputs = some.new_zeros(batch, steps, cell.units).index_copy(0, rows, some)
    return outputs, state.to(last.dtype).index_copy(0, rows, last)


def _kernel_packed(cell: BasicRNNCell, inputs: Tensor, lengths: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """lengths: at least 1 each."""
    packed = pack_padded_sequence(inputs, lengths, batch_first=True, enforce_sorted=False)
    packed_outputs, state = packed_rnn(cell, packed, state)
    # total_length: without it the padding would end at the longest row.
    outputs, _ = pad_packed_sequence(packed_outputs, batch_first=True, total_length=inputs.shape[1])
    return outputs, state


def packed_rnn(
    cell: BasicRNNCell, packed: PackedSequence, state: Tensor | None, outputs: bool = True
) -> tuple[Any, Tensor]:
    """A PackedSequence through the cell; state [batch, units], before (or None) and after, in the order before packing.

    outputs: whether they are wanted; None stands for them where they are not.
    """
    data, batch_sizes, order, inverse = packed
    values: Any
    batch = int(batch_sizes[0])
    first = state if order is None or state is None else state.index_select(0, order)
    like = cell.bias.new_empty(batch, 0) if first is None else first  # what has the batch first
    name = chosen_path(cell.weight_hh, like, data, cell.weight_ih, cell.bias)
    if name == "native":
        first = cell.zero_state(batch) if first is None else first
        values, last = _run_kernel(cell, data, first, batch_sizes)
    else:  # the other paths skip the padding by the lengths: to pad costs them two copies
        inputs, lengths = pad_packed_sequence(PackedSequence(data, batch_sizes), batch_first=True)
        padded, last = _fast_path(name, outputs, cell, inputs, lengths, first)
        values = pack_padded_sequence(padded, lengths, batch_first=True).data if outputs else None
    state = last if inverse is None else last.index_select(0, inverse)
    return PackedSequence(values, batch_sizes, order, inverse) if outputs else None, state


def _run_kernel(
    cell: BasicRNNCell, inputs: Tensor, state: Tensor, batch_sizes: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """PyTorch's kernel on inputs [batch, steps, inputs], or on packed values with their batch_sizes.

    Under autocast the cast is made here: PyTorch's own, for cuDNN, goes to float16 whatever dtype was asked for
    (aten/src/ATen/cudnn/AutocastRNN.cpp).
    """
    kernel, weights = _KERNELS[cell.activation], _kernel_weights(cell)
    train = torch.is_grad_enabled()  # of the kernel alone: cuDNN has no backward pass in evaluation mode
    device = inputs.device.type
    with contextlib.ExitStack() as stack:
        if autocast_enabled(device):
            dtype = torch.get_autocast_dtype(device)
            stack.enter_context(torch.autocast(device, enabled=False))
            inputs, state, weights = inputs.to(dtype), state.to(dtype), _cast(weights, dtype)
        settings = (weights, True, 1, 0.0, train, False)
        if batch_sizes is None:
            outputs, last = kernel(inputs, state[None], *settings, True)
        else:
            outputs, last = kernel(inputs, batch_sizes, state[None], *settings)
    return outputs, last[0]


def _cast(weights: list[Tensor], dtype: torch.dtype) -> list[Tensor]:
    """The weights in another dtype, in one piece of memory, as cuDNN wants them."""
    whole = torch.cat([weight.flatten() for weight in weights]).to(dtype)
    parts = whole.split([weight.numel() for weight in weights])
    return [part.view_as(weight) for part, weight in zip(parts, weights, strict=True)]


def _kernel_weights(cell: BasicRNNCell) -> list[Tensor]:
    """weight_ih, weight_hh, and the kernel's two biases: the cell's own, and a zero that is not trained.

    cuDNN wants them in one piece of memory (it warns, and copies them at every call, otherwise). As nn.RNN does in
    flatten_parameters, their storage is moved there, here on first use, so that a copied or moved cell is served too.
    """
    weights = [cell.weight_ih, cell.weight_hh, cell.bias]
    if not cell.bias.is_cuda or torch.compiler.is_compiling() or not torch.backends.cudnn.is_acceptable(cell.bias):
        return [*weights, torch.zeros_like(cell.bias, requires_grad=False)]
    zero = getattr(cell, "_cudnn_zero", None)
    pieces = {weight.untyped_storage().data_ptr() for weight in weights}
    if zero is None or zero.dtype != cell.bias.dtype or pieces != {zero.untyped_storage().data_ptr()}:
        zero = torch.zeros_like(cell.bias, requires_grad=False)
        if all(weight.is_leaf for weight in weights):
            with torch.no_grad(), torch.cuda.device_of(zero):
                torch._cudnn_rnn_flatten_weight(
                    [*weights, zero], 4, cell.inputs, _CUDNN_MODES[cell.activation], cell.units, 0, 1, True, False
                )
        cell._cudnn_zero = zero  # not a buffer: no state_dict or device move need know of it
    return [*weights, zero]
