"""Dropout around a network, whose masks are given: TensorFlow's DropoutWrapper, which adds nothing to the names."""

from __future__ import annotations

from typing import Any, Callable

from tf_reference.masks import CellAround
from tf_reference.tf1 import tf
from unrolled.networks import Dropout

__all__ = ["MaskedDropout", "cell", "variables"]


class MaskedDropout(CellAround):
    """As TF1's DropoutWrapper (python/ops/rnn_cell_wrapper_impl.py and nn_ops.dropout_v2), with masks in place of its
    random draws."""

    def __init__(self, cell: Any, network: Dropout, masks: Any) -> None:
        super().__init__(cell)
        self._network = network
        self._masks = masks

    def __call__(self, inputs: Any, state: Any, scope: Any | None = None) -> Any:
        output, new_state = self._cell(self._dropped("inputs", inputs), state, scope=scope)
        parts = zip(self._network.state, tf.nest.flatten(new_state))
        new_state = tf.nest.pack_sequence_as(new_state, [self._dropped("state/" + name, part) for name, part in parts])
        return self._dropped("outputs", output), new_state

    def _dropped(self, name: str, values: Any) -> Any:
        """The values, where the network has a mask of this name, with what it keeps scaled and the rest dropped."""
        mask = self._network.masks(1).get(name)
        if mask is None:
            return values
        if not mask.per_step:
            return values / mask.keep * self._masks[name]
        rate = tf.constant(1.0 - mask.keep, values.dtype)
        return values * (1 / (1 - rate)) * self._masks[name]


def cell(network: Dropout, make: Callable[..., Any], masks: Any | None = None) -> Any:
    """Without masks, the cell of the network within."""
    if masks is None:
        return make(network.network)
    return MaskedDropout(make(network.network, masks=masks.below("inner/")), network, masks)


def variables(network: Dropout, names: Callable[..., dict[str, str]]) -> dict[str, str]:
    return names(network.network)
