"""Which training steps may run whole, without autograd and without Python in between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules import module

from torch_impl.cells import CELLS
from torch_impl.cells.dense import Dense
from torch_impl.conversion import table_of
from torch_impl.models import Classifier, Regressor
from torch_impl.training.adam import Adam
from torch_impl.unrolling.kinds import kind_of
from torch_impl.unrolling.module import GRU, LSTM, RNN, Recurrent
from torch_impl.unrolling.paths import chosen_path

__all__ = ["ordinary", "whole_steps"]

# The parts whose steps can be repeated: of exactly these classes, so that no method is another's.
_MODELS = (Classifier, Regressor)
_PARTS = {*_MODELS, Recurrent, RNN, LSTM, GRU, Dense, *CELLS.values()}


def whole_steps(
    model: nn.Module, optimizer: Adam, inputs: Tensor, targets: Tensor, lengths: Tensor | None, batch: int
) -> Callable[[Tensor], np.ndarray] | None:
    """A function from batches, int64 row numbers [iterations, batch], to the losses [iterations], each before its step,
    that runs compiled code for a cell on the CPU; None where only autograd will do.

    inputs [rows, steps, inputs]; targets: labels int64 [rows] or values [rows, steps, outputs]; lengths int64 [rows] or
    None; optimizer: over exactly the model's parameters.
    """
    if not ordinary(model, optimizer) or type(targets) is not Tensor or targets.device.type != "cpu":
        return None
    cell = cast("Classifier | Regressor", model).rnn.cell
    kind = kind_of(cell)
    if kind is None or cell.network.read_out != ("h",) or (lengths is not None and type(model) is Regressor):
        return None
    if targets.dtype != (torch.int64 if targets.ndim == 1 else inputs.dtype):
        return None
    if chosen_path(kind[0], cell.network.units, 0, batch, True, inputs, *model.parameters()) != "compiled":
        return None
    from torch_impl.training.host_steps import HostSteps  # imports Numba

    return HostSteps(model, optimizer, inputs, targets, lengths, batch).run


def ordinary(model: nn.Module, optimizer: Adam) -> bool:
    """Whether nothing but the numbers of a step could be seen from outside: one of this library's models, nothing of it
    hooked, parametrized, frozen or replaced, with an optimizer that has all of its parameters and no other setting."""
    parts = list(model.modules())
    if type(model) not in _MODELS or not all(type(part) in _PARTS for part in parts):
        return False
    names, parameters = zip(*model.named_parameters(), strict=True)
    if set(names) != {name for entry in table_of(model) for name in entry.parameters}:
        return False
    group, *others = optimizer.param_groups
    if others or set(group["params"]) != set(parameters) or group["maximize"]:
        return False
    hooks: list[Any] = [module._global_forward_hooks, module._global_forward_pre_hooks, module._global_backward_hooks]
    hooks += [optimizer._optimizer_step_pre_hooks, optimizer._optimizer_step_post_hooks]
    for part in parts:
        hooks += [part._forward_hooks, part._forward_pre_hooks, part._backward_hooks, part._backward_pre_hooks]
    for p in parameters:
        hooks += [p._backward_hooks, p._post_accumulate_grad_hooks]
    return not any(hooks) and all(p.requires_grad and p.is_contiguous() for p in parameters)
