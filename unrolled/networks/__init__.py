"""Recurrent networks as plain values: what is computed, whatever computes it. A file for each kind.

A network answers the same few questions whatever its kind (`values.Network`): the size of its outputs, its weights with
shapes and first values, the parts of its state with widths. It is the same in the contract, over a worker's pipe, in a
run's config.json and in a converted checkpoint: there as `to_plain` writes it.

Weights, inputs and states are always given beside it, as arrays by name. Standard library only.
"""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any, Mapping

from unrolled.networks.basic_rnn import BasicRNN
from unrolled.networks.bidirectional import Bidirectional
from unrolled.networks.dropout import Dropout
from unrolled.networks.gru import GRU
from unrolled.networks.keras_gru import KerasGRU
from unrolled.networks.keras_lstm import KerasLSTM
from unrolled.networks.layer_norm_lstm import LayerNormLSTM
from unrolled.networks.layers import Layers
from unrolled.networks.lstm import LSTM
from unrolled.networks.residual import Residual
from unrolled.networks.values import (
    ACTIVATIONS,
    DEEPEST,
    MOST,
    Mask,
    Masks,
    Network,
    Weight,
    Weights,
    below,
    check_choice,
    check_size,
    glorot,
    prefixed,
)

__all__ = [
    "ACTIVATIONS",
    "DEEPEST",
    "GRU",
    "KINDS",
    "LSTM",
    "MOST",
    "BasicRNN",
    "Bidirectional",
    "Dropout",
    "KerasGRU",
    "KerasLSTM",
    "LayerNormLSTM",
    "Layers",
    "Mask",
    "Masks",
    "Network",
    "Residual",
    "Weight",
    "Weights",
    "below",
    "check_choice",
    "check_size",
    "from_plain",
    "glorot",
    "is_network",
    "prefixed",
    "shapes",
    "to_plain",
    "within",
]

_CELLS = (BasicRNN, LSTM, GRU, LayerNormLSTM, KerasLSTM, KerasGRU)
KINDS: dict[str, Any] = {kind.kind: kind for kind in (*_CELLS, Layers, Bidirectional, Residual, Dropout)}


def is_network(value: Any) -> bool:
    """Whether a value is a network of one of KINDS."""
    return type(value) in KINDS.values()


def within(network: Network) -> list[Network]:
    """The network itself and every network within it, from the outside in."""
    found = [network]
    for field in fields(network):  # type: ignore[arg-type]  # every kind is a dataclass
        value = getattr(network, field.name)
        for each in value if isinstance(value, tuple) else (value,):
            if is_network(each):
                found += within(each)
    return found


def shapes(weights: Weights) -> dict[str, Any]:
    """The shape of each weight, by name."""
    return {name: weight.shape for name, weight in weights.items()}


def to_plain(network: Network) -> dict[str, Any]:
    """The network as JSON can hold it: its "kind" and its fields; `from_plain` is the way back."""
    found: dict[str, Any] = {"kind": network.kind}
    for field in fields(network):  # type: ignore[arg-type]  # every kind is a dataclass
        value = getattr(network, field.name)
        if isinstance(value, tuple):
            found[field.name] = [to_plain(each) for each in value]
        else:
            found[field.name] = to_plain(value) if is_network(value) else value
    return found


def from_plain(plain: Any, depth: int = DEEPEST) -> Network:
    """The network that `to_plain` wrote. Raises ValueError that names the field for anything else."""
    if not isinstance(plain, Mapping) or depth == 0:
        raise ValueError("a network must be an object with a kind, at most %d deep, got %.60r" % (DEEPEST, plain))
    check_choice("network kind", plain.get("kind"), list(KINDS))
    kind = KINDS[plain["kind"]]
    known = {field.name: field for field in fields(kind)}
    for name in plain:
        if name != "kind" and name not in known:
            raise ValueError("network kind %r has no %.60r; it has %s" % (plain["kind"], name, ", ".join(known)))
    given = {}
    for name, value in plain.items():
        if isinstance(value, Mapping):
            value = from_plain(value, depth - 1)
        elif isinstance(value, (list, tuple)):
            value = tuple(from_plain(each, depth - 1) for each in value)
        if name != "kind":
            given[name] = value
    try:
        return kind(**given)
    except TypeError:  # a field without a default is missing
        needed = [name for name, field in known.items() if field.default is MISSING]
        found = ", ".join(given) or "none of them"
        raise ValueError("network kind %r needs %s, got %s" % (plain["kind"], ", ".join(needed), found)) from None
