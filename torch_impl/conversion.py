"""Weights to and from their canonical form: TensorFlow 1's names and layouts, as NumPy arrays.

    kernel        [inputs + units, units]   weight_ih and weight_hh, each transposed, input rows first
    bias          [units]
    dense/kernel  [units, outputs]          the dense layer's weight, transposed
    dense/bias    [outputs]
    embedding     [vocabulary, inputs]

The mapping is a table of name, parameters and transpose. Everything is checked against it and nothing is ever reshaped.
Whatever has one entry per parameter (weights, gradients, moments of an optimizer) converts by the same table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn


class Entry(NamedTuple):
    """One canonical weight: the module's `parameters`, each `transposed` or not, stacked along the first axis."""

    name: str
    parameters: tuple[str, ...]
    transposed: bool

    def shapes(self, tensors: Mapping[str, Tensor]) -> list[tuple[int, ...]]:
        """The shape of each part in canonical layout."""
        shapes = [tuple(tensors[parameter].shape) for parameter in self.parameters]
        return [shape[::-1] for shape in shapes] if self.transposed else shapes


Table = tuple[Entry, ...]

CELL: Table = (Entry("kernel", ("weight_ih", "weight_hh"), True), Entry("bias", ("bias",), False))
DENSE: Table = (Entry("dense/kernel", ("dense.weight",), True), Entry("dense/bias", ("dense.bias",), False))

EMBEDDING: Table = (Entry("embedding", ("embedding",), False),)


def prefixed(prefix: str, table: Table, name: str = "") -> Table:
    """The table for a module that holds the table's own module under `prefix`; name: put before the canonical names."""
    return tuple(
        Entry(name + entry.name, tuple(prefix + own for own in entry.parameters), entry.transposed) for entry in table
    )


def to_canonical(table: Table, tensors: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """Tensors by parameter name -> fresh arrays by canonical name, in the tensors' dtype."""
    arrays = {}
    for entry in table:
        parts = [tensors[parameter].detach() for parameter in entry.parameters]
        joined = torch.cat([part.T for part in parts]) if entry.transposed else torch.cat(parts)
        arrays[entry.name] = joined.contiguous().cpu().numpy()
    return arrays


def from_canonical(table: Table, arrays: Mapping[str, Any], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Arrays by canonical name -> fresh tensors by parameter name, in dtype and device of the parameters in `like`.

    Raises ValueError that names the weight which is missing, unknown, misshapen or of another dtype.
    """
    check_names(table, arrays, "weights")
    tensors = {}
    for entry in table:
        shapes = entry.shapes(like)
        total = (sum(shape[0] for shape in shapes), *shapes[0][1:])
        array = _checked(entry.name, arrays[entry.name], total, like[entry.parameters[0]].dtype)
        start = 0
        for parameter, shape in zip(entry.parameters, shapes, strict=True):
            part = array[start : start + shape[0]]
            start += shape[0]
            part = np.array(part.T if entry.transposed else part, order="C")
            tensors[parameter] = torch.from_numpy(part).to(like[parameter].device)
    return tensors


def check_names(table: Sequence[Entry], arrays: Mapping[str, Any], what: str) -> None:
    """Raise ValueError unless arrays has exactly the names of the table."""
    names = [entry.name for entry in table]
    missing, unknown = [n for n in names if n not in arrays], [n for n in arrays if n not in names]
    if missing or unknown:
        raise ValueError(
            f"{what} must be exactly {', '.join(names)}; missing: {', '.join(missing) or 'none'}, "
            f"unknown: {', '.join(map(str, unknown)) or 'none'}"
        )


def _checked(name: str, array: Any, shape: tuple[int, ...], dtype: torch.dtype) -> np.ndarray:
    wanted = f"weight {name!r} must be a NumPy array {str(dtype)[6:]} {list(shape)}"
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{wanted}, got {type(array).__name__}")
    if array.shape != shape or array.dtype.name != str(dtype)[6:] or not array.dtype.isnative:
        raise ValueError(f"{wanted}, got {array.dtype} {list(array.shape)}")
    return array


class Canonical(nn.Module):
    """A module whose parameters have a canonical form; `table` says how they map."""

    table: Table

    def canonical_weights(self) -> dict[str, np.ndarray]:
        """A copy of the parameters in canonical form, in the module's dtype."""
        return to_canonical(self.table, dict(self.named_parameters()))

    def canonical_gradients(self) -> dict[str, np.ndarray]:
        """A copy of the parameters' gradients under the weights' canonical names; zeros for a parameter without one."""
        gradients = {
            name: torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            for name, parameter in self.named_parameters()
        }
        return to_canonical(self.table, gradients)

    @torch.no_grad()
    def load_canonical(self, weights: Mapping[str, Any]) -> None:
        """Set every parameter from canonical arrays of the module's dtype; raises ValueError, and then sets nothing."""
        parameters = dict(self.named_parameters())
        for name, tensor in from_canonical(self.table, weights, parameters).items():
            parameters[name].copy_(tensor)
