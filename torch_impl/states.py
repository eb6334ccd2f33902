"""The state of a recurrent network as PyTorch code holds it, and as named parts.

A state is a tensor [batch, width] where it has one part, a named tuple of such tensors where a cell has more (its
fields are the parts' names; that of c and h is `LSTMState`), and a tuple of states for layers and directions.
`network.state` names the same parts in the same order: "h"; "c", "h"; "cell_0/h", "cell_1/h".
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

from torch_impl.checks import check_tensor
from unrolled.networks import Network

__all__ = [
    "LSTMState",
    "State",
    "checked",
    "from_parts",
    "mapped",
    "output_and_state",
    "parts",
    "plain",
    "read_out",
    "rows",
    "where",
]

State: TypeAlias = "Tensor | tuple[State, ...]"


class LSTMState(NamedTuple):
    """The state of an LSTM of any kind: c [batch, units] and h [batch, width], as in TF1's LSTMStateTuple."""

    c: Tensor
    h: Tensor


def parts(network: Network, state: State) -> dict[str, Tensor]:
    """The parts of a state, by name."""
    return dict(zip(network.state, _leaves(state), strict=True))


def from_parts(network: Network, parts: Mapping[str, Tensor]) -> State:
    """The state of these parts, all of them."""
    return _nested({name: parts[name] for name in network.state})


def read_out(network: Network, state: State) -> Tensor:
    """What is the network's output where this is its state: some parts side by side, [batch, width]."""
    found = parts(network, state)
    first, *others = (found[name] for name in network.read_out)
    return torch.cat([first, *others], 1) if others else first


def mapped(function: Callable[..., Tensor], *states: State) -> State:
    """function(part of the first state, the same part of the second, ...) for each part: a state of the same form."""
    first = states[0]
    if isinstance(first, Tensor):
        return function(*states)
    found = (mapped(function, *each) for each in zip(*states, strict=True))
    return first._make(found) if hasattr(first, "_make") else tuple(found)


def plain(state: State) -> State:
    """The same in tuples without names, which is all that PyTorch's scan carries."""
    return state if isinstance(state, Tensor) else tuple(map(plain, state))


def where(valid: Tensor, new: State, old: State) -> State:
    """The new state in the rows that are valid, bool [batch, 1], and the old one in the others."""
    return mapped(lambda one, other: torch.where(valid, one, other), new, old)


def checked(network: Network, state: Any, batch: Any, like: Tensor, name: str = "initial_state") -> Any:
    """The state, if it is one of this network, its parts [batch, width] in dtype and device of `like`.

    batch: its rows, or "batch" for any number of at least 1. Raises TypeError or ValueError that names the part.
    """
    shape = network.state
    found, names = list(_leaves(state)), tuple(shape)
    if len(found) != len(names):
        wanted = f"{name} must have the parts {', '.join(names)}, tensors in tuples nested like {_form_of(names)}"
        raise TypeError(f"{wanted}, got {_form(state) if isinstance(state, tuple) else type(state).__name__}")
    if _form(state) != _form_of(names):
        raise TypeError(f"{name} must be nested as the network is, {_form_of(names)}, got {_form(state)}")
    for part, leaf in zip(names, found, strict=True):
        check_tensor(name if len(names) == 1 else f"{name}/{part}", leaf, (batch, shape[part]), like)
        batch = leaf.shape[0] if batch == "batch" else batch
    return state


def rows(state: State) -> int:
    """How many sequences the state is of."""
    return next(_leaves(state)).shape[0]


def output_and_state(result: Any) -> tuple[Tensor, State]:
    """What a cell's step gives, (output, new state), or one tensor that is both: as a pair."""
    return (result, result) if isinstance(result, Tensor) else result


def _form(state: Any) -> str:
    """How a state is nested: "*" for a part, brackets around what belongs together."""
    return f"({', '.join(map(_form, state))})" if isinstance(state, tuple) else "*"


@lru_cache
def _form_of(names: tuple[str, ...]) -> str:
    """The same of the state whose parts have these names; see `_nested`."""
    if not any("/" in name for name in names):
        return "*" if len(names) == 1 else f"({', '.join('*' for _ in names)})"
    groups: dict[str, list[str]] = {}
    for name in names:
        first, _, rest = name.partition("/")
        groups.setdefault(first, []).append(rest)
    return f"({', '.join(_form_of(tuple(rest)) for rest in groups.values())})"


def _leaves(state: Any) -> Iterator[Any]:
    if isinstance(state, tuple):
        for part in state:
            yield from _leaves(part)
    else:
        yield state


def _nested(parts: Mapping[str, Tensor]) -> State:
    if any("/" in name for name in parts):
        groups: dict[str, dict[str, Tensor]] = {}
        for name, part in parts.items():
            first, _, rest = name.partition("/")
            groups.setdefault(first, {})[rest] = part
        return tuple(map(_nested, groups.values()))
    tensor, *others = parts.values()
    return _named(*parts)(tensor, *others) if others else tensor


@lru_cache
def _named(*names: str) -> Any:
    return LSTMState if names == LSTMState._fields else namedtuple("CellState", names)
