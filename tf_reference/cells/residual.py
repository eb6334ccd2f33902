"""A network whose inputs are added to its outputs: TensorFlow's ResidualWrapper, which adds nothing to the names."""

from __future__ import annotations

from typing import Any

from tf_reference import cells
from tf_reference.tf1 import tf
from unrolled.networks import Residual

__all__ = ["cell", "variables"]


def cell(network: Residual, dtype: Any = tf.float32) -> Any:
    return tf.nn.rnn_cell.ResidualWrapper(cells.cell(network.network, dtype))


def variables(network: Residual) -> dict[str, str]:
    return cells.variables(network.network)
