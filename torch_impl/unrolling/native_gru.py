"""The GRU over whole sequences: by PyTorch's own kernel, cuDNN on a GPU, where its reset gate is after the product."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from torch_impl.cells.gru import GRUCell
from torch_impl.unrolling.native import kernel_weights, run_always, run_kernel
from torch_impl.unrolling.static import by_steps


def gru(
    cell: GRUCell,
    inputs: Tensor,
    lengths: Tensor | None,
    state: Tensor | None,
    outputs: bool = True,
    batch_sizes: Tensor | None = None,
) -> tuple[Any, Any]:
    """See `by_steps` for arguments and results."""
    if not (cell.network.reset_after and cell.network.activation == "tanh"):
        return by_steps(cell, inputs, lengths, state, outputs, batch_sizes)
    run = partial(run_kernel, torch.gru, _weights(cell))
    return run_always(run, cell, inputs, lengths, state, batch_sizes)


def _weights(cell: GRUCell) -> list[Tensor]:
    """As the kernel takes them: gates and candidate in one; its second bias is the gates' zero, which is not trained,
    and the candidate's within the reset gate."""
    return kernel_weights(
        torch.cat([cell.gates_ih, cell.candidate_ih]),
        torch.cat([cell.gates_hh, cell.candidate_hh]),
        torch.cat([cell.gates_bias, cell.candidate_bias]),
        torch.cat([torch.zeros_like(cell.gates_bias), cell.candidate_bias_hh]),
    )
