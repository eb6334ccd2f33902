"""The plain RNN over whole sequences: a BasicRNNCell by the path that `paths` chooses."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from torch_impl.cells.basic_rnn import BasicRNNCell
from torch_impl.unrolling.native import KERNELS, run_native
from torch_impl.unrolling.packing import pack, padded, rows
from torch_impl.unrolling.paths import chosen_path
from torch_impl.unrolling.static import by_steps


def plain_rnn(
    cell: BasicRNNCell,
    inputs: Tensor,
    lengths: Tensor | None,
    state: Tensor | None,
    outputs: bool = True,
    batch_sizes: Tensor | None = None,
) -> tuple[Any, Any]:
    """See `by_steps` for arguments and results."""
    if cell.activation not in KERNELS:
        return by_steps(cell, inputs, lengths, state, outputs, batch_sizes)
    weights = cell.weight_ih, cell.weight_hh, cell.bias  # once: a parametrized weight is computed at every look
    tensors = (inputs, *weights) if state is None else (inputs, *weights, state)
    batch = rows(inputs, batch_sizes)
    path = chosen_path(cell.units, batch, *tensors)
    if path == "native":
        return run_native(
            cell, weights, inputs, lengths, cell.zero_state(batch) if state is None else state, batch_sizes
        )
    if batch_sizes is not None:  # the other paths skip the padding by the lengths: to pad costs them two copies
        inputs, lengths = padded(inputs, batch_sizes)
    if path == "compiled":
        from torch_impl.unrolling.compiled import compiled_rnn

        found, state = compiled_rnn(inputs, *weights, state, lengths, cell.activation, outputs)
    else:
        from torch_impl.unrolling.bptt import bptt_rnn

        found, state = bptt_rnn(inputs, *weights, state, lengths, cell.activation)
    return found if batch_sizes is None or not outputs else pack(found, lengths), state
