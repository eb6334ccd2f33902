"""NumPy arrays to tensors and back: always copies, and always ValueError. And rows, some at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torch_impl import states
from torch_impl.cells import Cell
from torch_impl.checks import check_lengths, check_tensor
from torch_impl.masks import checked
from torch_impl.models import AnyModel
from torch_impl.training.protocol import check_targets
from torch_impl.types import Lengths
from unrolled.networks import Network

_DTYPES = {np.dtype(np.float32): torch.float32, np.dtype(np.float64): torch.float64}


def dtype_of(weights: Mapping[str, Any], name: str) -> torch.dtype:
    """The dtype of a call: that of the weight of this name, float32 or float64."""
    array = weights.get(name)
    if not isinstance(array, np.ndarray) or array.dtype not in _DTYPES:
        found = array.dtype if isinstance(array, np.ndarray) else "none" if array is None else type(array).__name__
        raise ValueError(f"weight {name!r} must be a float32 or float64 array, got {found}")
    return _DTYPES[array.dtype]


def floats(name: str, array: Any, device: torch.device) -> Tensor:
    """A float32 or float64 array as a fresh tensor on a device."""
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{name} must be a NumPy array, got {type(array).__name__}")
    if array.dtype not in _DTYPES:
        raise ValueError(f"{name} must be a float32 or float64 array, got {array.dtype} {list(array.shape)}")
    return torch.from_numpy(np.array(array, order="C")).to(device)


def floats_like(name: str, array: Any, like: Tensor, shape: tuple[int | str, ...]) -> Tensor:
    """The same, of a given shape (a string names a size that is free but at least 1), in dtype and device of `like`."""
    try:
        return check_tensor(name, floats(name, array, like.device), shape, like)
    except TypeError as error:
        raise ValueError(str(error)) from None


def integers(name: str, array: Any) -> Tensor:
    """Integers as a fresh int64 tensor on the CPU."""
    found = np.asarray(array)
    if found.dtype.kind not in "iu":
        raise ValueError(f"{name} must be an array of integers, got {found.dtype} {list(found.shape)}")
    if found.dtype == np.uint64 and found.size and found.max() > np.iinfo(np.int64).max:
        raise ValueError(f"{name} must hold integers below 2**63, got {found.max()}")
    return torch.from_numpy(np.array(found, np.int64, order="C"))


def optional_lengths(lengths: Any) -> Tensor | None:
    """Lengths as integers; None stays None."""
    return None if lengths is None else integers("lengths", lengths)


def inputs_of(model: AnyModel, inputs: Any) -> Tensor:
    """The rows that a model reads, [batch, steps, inputs] or tokens [batch, steps], as a tensor for it."""
    like = next(model.parameters())
    if model.embedding is not None:
        return model.check_inputs(integers("inputs", inputs).to(like.device))
    return floats_like("inputs", inputs, like, ("batch", "steps", model.inputs))


def targets_of(model: AnyModel, targets: Any, inputs: Tensor, lengths: Tensor | None) -> Tensor:
    """What a model shall predict for inputs [batch, steps, ...], as a tensor for it; checked by the model."""
    if np.asarray(targets).dtype.kind == "f":
        found = floats("targets", targets, inputs.device)
    else:
        found = integers("targets", targets).to(inputs.device)
    try:
        return check_targets(model, found, inputs, lengths)
    except TypeError as error:
        raise ValueError(str(error)) from None


def state_of(network: Network, state: Any, batch: int | str, like: Tensor, name: str = "initial_state") -> states.State:
    """A state, given as arrays [batch, width] by the name of the part, all of them, in dtype and device of `like`."""
    wanted = network.state
    if not isinstance(state, Mapping) or set(state) != set(wanted):
        found = ", ".join(map(str, state)) or "none" if isinstance(state, Mapping) else type(state).__name__
        raise ValueError(f"{name} must have exactly the parts {', '.join(wanted)}, got {found}")
    parts: dict[str, Tensor] = {}
    for part, width in wanted.items():
        parts[part] = floats_like(f"{name}/{part}", state[part], like, (batch, width))
        batch = len(parts[part])
    return states.from_parts(network, parts)


def masks_of(cell: Cell, masks: Any, batch: int, steps: int) -> dict[str, Tensor] | None:
    """A call's masks of dropouts, given as arrays by name, as tensors for the cell; None stays None."""
    if masks is None:
        return None
    if not isinstance(masks, Mapping):
        raise ValueError(f"masks must be a dict of arrays by name, got {type(masks).__name__}")
    like = cell.reference
    given = {name: floats(f"masks[{name!r}]", mask, like.device) for name, mask in masks.items()}
    try:
        return checked(cell.network, cell.inputs, given, batch, steps, like)
    except TypeError as error:
        raise ValueError(str(error)) from None


def in_chunks(
    function: Callable[[Tensor, Lengths], Tensor], inputs: Tensor, lengths: Lengths = None, rows: int = 5000
) -> Tensor:
    """function(inputs, lengths) of `rows` rows at a time, joined. lengths: integers [batch] or None, checked here."""
    if lengths is not None:
        lengths = check_lengths(lengths, *inputs.shape[:2])
    parts = [slice(start, start + rows) for start in range(0, len(inputs), rows)]
    return torch.cat([function(inputs[part], None if lengths is None else lengths[part]) for part in parts])


def to_numpy(tensor: Tensor) -> np.ndarray:
    """A tensor's values, without its graph."""
    return tensor.detach().cpu().numpy()
