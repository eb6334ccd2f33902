"""Networks one above the other: TensorFlow's MultiRNNCell, and where a layer reads in two directions, a loop for each
layer, as in its stack_bidirectional_dynamic_rnn."""

from __future__ import annotations

from typing import Any, Callable

from tf_reference.given import Given
from tf_reference.tf1 import tf
from unrolled.networks import Layers, prefixed

__all__ = ["cell", "unroll", "unrolled_variables", "variables"]

SCOPE = "stack_bidirectional_rnn"


def cell(network: Layers, make: Callable[..., Any], masks: Any | None = None) -> Any:
    """TF1's MultiRNNCell."""
    own = [masks and masks.below("cell_%d/" % number) for number in range(len(network.layers))]
    return tf.nn.rnn_cell.MultiRNNCell([make(layer, masks=each) for layer, each in zip(network.layers, own)])


def variables(network: Layers, names: Callable[..., dict[str, str]]) -> dict[str, str]:
    found = {}
    for number, layer in enumerate(network.layers):
        for name, variable in names(layer).items():
            found["cell_%d/%s" % (number, name)] = "multi_rnn_cell/cell_%d/%s" % (number, variable)
    return found


def unroll(
    network: Layers, given: Given, make: Callable[..., Any], unroll: Callable[..., Any], scope: str | None
) -> tuple[Any, dict[str, Any]]:
    """As tf.contrib.rnn.stack_bidirectional_dynamic_rnn and stack_bidirectional_rnn (TensorFlow 1.15, contrib/rnn/
    python/ops/rnn.py), which 2.x no longer has. A layer of one direction may stand among them."""
    outputs, state = given.inputs, {}
    with tf.variable_scope(scope or SCOPE):
        for number, layer in enumerate(network.layers):
            name = "cell_%d" % number
            with tf.variable_scope(name) as layer_scope:
                own = given.below(name + "/")._replace(inputs=outputs)
                # Where all is static, TF1 has no scope between the layer's and those of its two directions.
                outputs, new = unroll(layer, own, layer_scope if given.static else None)
            state.update(prefixed(name + "/", new))
    return outputs, state


def unrolled_variables(
    network: Layers,
    names: Callable[..., dict[str, str]],
    unrolled: Callable[..., dict[str, str]],
    scope: str | None,
    static: bool,
) -> dict[str, str]:
    found = {}
    for number, layer in enumerate(network.layers):
        layer_scope = "%s/cell_%d" % (scope or SCOPE, number)
        own = unrolled(layer, layer_scope if static else None, static)
        for name, variable in own.items():
            found["cell_%d/%s" % (number, name)] = variable if static else layer_scope + "/" + variable
    return found
