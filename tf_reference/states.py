"""A state as TensorFlow's cells have it, a tensor or tuples of tensors, and as everybody else does: parts by name."""

from __future__ import annotations

from typing import Any, Mapping

from tf_reference.tf1 import tf
from unrolled import networks
from unrolled.networks import Network

__all__ = ["below", "from_parts", "parts", "read_out"]


def parts(network: Network, state: Any) -> dict[str, Any]:
    """The parts of a cell's state under the names that the network gives them, each [batch, width]."""
    return dict(zip(network.state, tf.nest.flatten(state)))


def from_parts(cell: Any, parts: Mapping[str, Any] | None) -> Any:
    """The state as the cell has it; of None it is None. parts: in the order of the network's state."""
    return None if parts is None else tf.nest.pack_sequence_as(cell.state_size, list(parts.values()))


def below(prefix: str, parts: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """`unrolled.networks.below`; of None it is None."""
    return None if parts is None else networks.below(prefix, parts)


def read_out(network: Network, parts: Mapping[str, Any]) -> Any:
    """What a classifier's dense layer reads: those parts of the final state, side by side."""
    found = [parts[name] for name in network.read_out]
    return found[0] if len(found) == 1 else tf.concat(found, axis=1)
