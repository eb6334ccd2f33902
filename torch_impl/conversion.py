"""Weights to and from their canonical form: TensorFlow 1's names and layouts, as NumPy arrays. Of a plain classifier:

    kernel        [inputs + units, units]   weight_ih and weight_hh, each transposed, input rows first
    bias          [units]
    dense/kernel  [units, outputs]          the dense layer's weight, transposed
    dense/bias    [outputs]

The mapping is a table of name, parameters, transpose and order of gates. Everything is checked against it and nothing
is ever reshaped. Whatever has one entry per parameter (weights, gradients, moments of an optimizer) converts by the
same table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize, prune
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from unrolled.networks import Weight, Weights


class Entry(NamedTuple):
    """One canonical weight: the module's `parameters`, each `transposed` or not, stacked along the first axis.

    blocks: where the parameters have parts, such as gates, in another order: block n of the columns (of a bias, of its
    entries) is there the canonical weight's block blocks[n], all of one size. Empty where the order is the same.
    """

    name: str
    parameters: tuple[str, ...]
    transposed: bool
    blocks: tuple[int, ...] = ()

    def shapes(self, tensors: Mapping[str, Tensor]) -> list[tuple[int, ...]]:
        """The shape of each part in canonical layout."""
        shapes = [tuple(tensors[parameter].shape) for parameter in self.parameters]
        return [shape[::-1] for shape in shapes] if self.transposed else shapes


Table = tuple[Entry, ...]

DENSE: Table = (Entry("dense/kernel", ("dense.weight",), True), Entry("dense/bias", ("dense.bias",), False))

EMBEDDING: Table = (Entry("embedding", ("embedding",), False),)


def prefixed(prefix: str, table: Table, name: str = "") -> Table:
    """The table for a module that holds the table's own module under `prefix`; name: put before the canonical names."""
    return tuple(
        entry._replace(name=name + entry.name, parameters=tuple(prefix + own for own in entry.parameters))
        for entry in table
    )


def to_canonical(table: Table, tensors: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """Tensors by parameter name -> fresh arrays by canonical name, in the tensors' dtype."""
    arrays = {}
    for entry in table:
        parts = [tensors[parameter].detach() for parameter in entry.parameters]
        parts = [part.T for part in parts] if entry.transposed else parts
        joined = torch.cat(parts) if len(parts) > 1 else parts[0]
        order = [entry.blocks.index(n) for n in range(len(entry.blocks))]
        arrays[entry.name] = np.array(_in_order(joined.cpu().numpy(), order), order="C")
    return arrays


def from_canonical(table: Table, arrays: Mapping[str, Any], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Arrays by canonical name -> fresh tensors by parameter name, in dtype and device of the parameters in `like`.

    Raises ValueError that names the weight which is missing, unknown, misshapen or of another dtype.
    """
    check_names(table, arrays, "weights")
    tensors = {}
    for entry in table:
        shapes = entry.shapes(like)
        whole = shapes[0] if len(shapes) == 1 else (sum(shape[0] for shape in shapes), *shapes[0][1:])
        array = _checked(entry.name, arrays[entry.name], whole, like[entry.parameters[0]].dtype)
        array, start = _in_order(array, entry.blocks), 0
        for parameter, shape in zip(entry.parameters, shapes, strict=True):
            part = array if len(shapes) == 1 else array[start : start + shape[0]]
            start += shape[0] if shape else 0
            part = np.array(part.T if entry.transposed else part, order="C")
            tensors[parameter] = torch.from_numpy(part).to(like[parameter].device)
    return tensors


def _in_order(array: np.ndarray, blocks: Sequence[int]) -> np.ndarray:
    """The array with the blocks of its last axis, all of one size, in this order; none: as it is."""
    if not blocks:
        return array
    parts = np.split(array, len(blocks), axis=-1)
    return np.concatenate([parts[block] for block in blocks], axis=-1)


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


def table_of(module: nn.Module) -> Table:
    """The module's own `table`, or for any other module each parameter under its own name, with "/" for "."."""
    table = getattr(module, "table", None)
    if isinstance(table, tuple) and all(isinstance(entry, Entry) for entry in table):
        return table
    return tuple(Entry(name.replace(".", "/"), (name,), False) for name, _ in module.named_parameters())


def canonical_weights(module: nn.Module) -> dict[str, np.ndarray]:
    """A copy of the weights in canonical form, in the module's dtype.

    Each is what the module computes with: also where it is made of other parameters, by pruning, by weight_norm or
    spectral_norm, or by torch.nn.utils.parametrize.
    """
    return to_canonical(table_of(module), effective_weights(module))


@torch.no_grad()
def load_canonical(module: nn.Module, weights: Mapping[str, Any]) -> None:
    """Set every weight from canonical arrays of the module's dtype; raises ValueError, and then sets nothing.

    A parametrized weight is set by the right_inverse of its parametrizations, and refused where that is missing or does
    not give the weight back. One that is made anew at every call, by pruning say, is refused.
    """
    set_weights(module, from_canonical(table_of(module), weights, effective_weights(module)))


@torch.no_grad()
def draw(module: nn.Module, weights: Weights, generator: torch.Generator | None = None) -> None:
    """Set every weight of the module's table to first values, in the table's order: see `draw_`."""
    tensors = {}
    for entry in table_of(module):
        for name in entry.parameters:
            tensors[name] = draw_(torch.empty_like(effective_weight(module, name)), weights[entry.name], generator)
    set_weights(module, tensors)


@torch.no_grad()
def draw_(tensor: Tensor, first: Weight, generator: torch.Generator | None = None) -> Tensor:
    """Fill a tensor, the weight or a slice of it, with its first values: see `Weight`. A limit of 0 draws nothing."""
    if first.orthogonal:
        return nn.init.orthogonal_(tensor, generator=generator)
    if isinstance(first.value, tuple):
        values = tensor.new_tensor(first.value).repeat_interleave(first.shape[-1] // len(first.value))
        return tensor.uniform_(-first.limit, first.limit, generator=generator).add_(values)
    if first.limit == 0.0:
        return tensor.fill_(first.value)
    return tensor.uniform_(first.value - first.limit, first.value + first.limit, generator=generator)


def effective_weights(module: nn.Module) -> dict[str, Tensor]:
    """The tensors that the module computes with, by the parameter names of its table."""
    return {name: effective_weight(module, name) for entry in table_of(module) for name in entry.parameters}


def effective_weight(module: nn.Module, name: str) -> Tensor:
    """The tensor that the module computes with under a parameter's name."""
    owner, own = _owner(module, name)
    if parametrize.is_parametrized(owner, own):
        made = owner.parametrizations[own]
        training = made.training
        made.eval()  # in training a spectral norm would move its estimate at every look
        try:
            return getattr(owner, own)
        finally:
            made.train(training)
    hook = _hook_that_makes(owner, own)
    if isinstance(hook, prune.BasePruningMethod):
        return hook.apply_mask(owner)
    if isinstance(hook, SpectralNorm):
        return hook.compute_weight(owner, do_power_iteration=False)
    return getattr(owner, own) if hook is None else hook.compute_weight(owner)


def set_weights(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Set the weights that `effective_weights` gives; raises ValueError, and then sets nothing."""
    plain, parametrized = {}, []
    for name in tensors:
        owner, own = _owner(module, name)
        if parametrize.is_parametrized(owner, own):
            parametrized.append(name)
        elif own in owner._parameters:
            plain[name] = owner._parameters[own]
        else:
            maker = type(_hook_that_makes(owner, own)).__name__
            raise ValueError(
                f"{name} cannot be set: {maker} makes it anew at every call; remove that (torch.nn.utils) first"
            )
    before = {key: value.clone() for key, value in module.state_dict().items()} if parametrized else {}
    for name in parametrized:
        owner, own = _owner(module, name)
        try:
            setattr(owner, own, tensors[name].clone())
            torch.testing.assert_close(effective_weight(module, name), tensors[name])
        except (AssertionError, RuntimeError, ValueError):
            module.load_state_dict(before)
            makers = ", ".join(type(made).__name__ for made in owner.parametrizations[own])
            raise ValueError(
                f"{name} cannot be set to the weights given, which its parametrization ({makers}) cannot give"
            ) from None
    for name, parameter in plain.items():
        parameter.copy_(tensors[name])


def _owner(module: nn.Module, name: str) -> tuple[Any, str]:
    """The module that has the parameter, and the parameter's name there."""
    path, _, own = name.rpartition(".")
    return module.get_submodule(path), own


def _hook_that_makes(owner: nn.Module, own: str) -> Any:
    """What makes a weight anew before every call: a method of pruning, a WeightNorm or a SpectralNorm; or None."""
    for hook in owner._forward_pre_hooks.values():
        if isinstance(hook, prune.BasePruningMethod) and hook._tensor_name == own:
            return hook
        if isinstance(hook, (WeightNorm, SpectralNorm)) and hook.name == own:
            return hook
    return None


class Canonical(nn.Module):
    """A module whose parameters have a canonical form; `table` says how they map."""

    table: Table

    def canonical_weights(self) -> dict[str, np.ndarray]:
        """See `torch_impl.conversion.canonical_weights`."""
        return canonical_weights(self)

    def canonical_gradients(self) -> dict[str, np.ndarray]:
        """A copy of the parameters' gradients under the weights' canonical names; zeros for a parameter without one.

        Raises ValueError where a weight is made of other parameters, which have the gradients then.
        """
        parameters, gradients = dict(self.named_parameters()), {}
        for entry in self.table:
            for name in entry.parameters:
                if name not in parameters:
                    raise ValueError(f"{name} has no gradient of its own: it is made of other parameters")
                parameter = parameters[name]
                gradients[name] = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        return to_canonical(self.table, gradients)

    def load_canonical(self, weights: Mapping[str, Any]) -> None:
        """See `torch_impl.conversion.load_canonical`."""
        load_canonical(self, weights)
