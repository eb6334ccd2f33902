"""A network whose inputs are added to its outputs: TensorFlow's ResidualWrapper, which adds nothing to the names."""

from __future__ import annotations

from typing import Any, Callable

from tf_reference.tf1 import tf
from unrolled.networks import Residual

__all__ = ["cell", "variables"]


def cell(network: Residual, make: Callable[..., Any], masks: Any | None = None) -> Any:
    return tf.nn.rnn_cell.ResidualWrapper(make(network.network, masks=masks))


def variables(network: Residual, names: Callable[..., dict[str, str]]) -> dict[str, str]:
    return names(network.network)
