"""A cell over whole sequences by the path that `paths` chooses."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

from torch import Tensor

from torch_impl.cells.cell import Cell
from torch_impl.states import LSTMState
from torch_impl.unrolling.arrangement import Arrangement
from torch_impl.unrolling.bptt import Call, bptt
from torch_impl.unrolling.kinds import Kind, kind_of
from torch_impl.unrolling.packing import rows
from torch_impl.unrolling.paths import chosen_path
from torch_impl.unrolling.static import by_steps


def fast(
    native: Callable[..., tuple[Any, Any]],
    cell: Cell,
    inputs: Tensor,
    lengths: Tensor | None,
    state: Any,
    outputs: bool = True,
    batch_sizes: Tensor | None = None,
) -> tuple[Any, Any]:
    """See `by_steps` for arguments and results. native: the same by PyTorch's kernel, or step by step."""
    found = kind_of(cell)
    if found is None:
        return native(cell, inputs, lengths, state, outputs, batch_sizes)
    kind, shifts = found
    # Once: a parametrized weight is computed at every look.
    weights = tuple(getattr(cell, part.name) for part in kind.parts)
    parts = None if state is None else _parts(state)
    batch = rows(inputs, batch_sizes)
    steps = 0 if batch_sizes is not None else inputs.shape[1]
    with_lengths = lengths is not None or batch_sizes is not None
    tensors = (inputs, *weights, *(parts or ()))
    path = chosen_path(kind, cell.network.units, batch * steps, batch, with_lengths, *tensors)
    if path == "native":
        return native(cell, inputs, lengths, state, outputs, batch_sizes)
    again = partial(_again, cell, kind, lengths, batch_sizes)
    call = Call(kind, shifts, Arrangement(batch, steps, lengths, batch_sizes), again)
    if path == "compiled":
        from torch_impl.unrolling.compiled import compiled

        results, last = compiled(call, inputs, parts, weights, outputs)
    else:
        results, last = bptt(call, inputs, parts, weights, outputs)
    return results, _state(last)


def _parts(state: Any) -> tuple[Tensor, ...]:
    """(h,) or (h, c)."""
    return (state,) if isinstance(state, Tensor) else (state[1], state[0])


def _state(parts: tuple[Tensor, ...]) -> Any:
    """The inverse of `_parts`."""
    return parts[0] if len(parts) == 1 else LSTMState(parts[1], parts[0])


def _again(
    cell: Any,
    kind: Kind,
    lengths: Tensor | None,
    batch_sizes: Tensor | None,
    inputs: Tensor,
    state: tuple[Tensor, ...] | None,
    weights: tuple[Tensor, ...],
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Step by step, with these weights in place of the cell's."""
    own = {part.name: weight for part, weight in zip(kind.parts, weights, strict=True)}
    names = ("inputs", "network", "units", "activation", "zero_state")
    like: Any = SimpleNamespace(**{name: getattr(cell, name) for name in names if hasattr(cell, name)}, **own)
    like.step = partial(type(cell).step, like)
    outputs, last = by_steps(like, inputs, lengths, None if state is None else _state(state), True, batch_sizes)
    return outputs, _parts(last)
