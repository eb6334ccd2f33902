"""Networks one above the other: TensorFlow's MultiRNNCell, and where a layer reads in two directions, a loop for each
layer, as in its stack_bidirectional_dynamic_rnn."""

from __future__ import annotations

from typing import Any

from tf_reference import cells, states, unrolling
from tf_reference.tf1 import tf
from unrolled.networks import Layers, prefixed

__all__ = ["cell", "unroll", "unrolled_variables", "variables"]

SCOPE = "stack_bidirectional_rnn"


def cell(network: Layers, dtype: Any = tf.float32) -> Any:
    """TF1's MultiRNNCell."""
    return tf.nn.rnn_cell.MultiRNNCell([cells.cell(layer, dtype) for layer in network.layers])


def variables(network: Layers) -> dict[str, str]:
    found = {}
    for number, layer in enumerate(network.layers):
        for name, variable in cells.variables(layer).items():
            found["cell_%d/%s" % (number, name)] = "multi_rnn_cell/cell_%d/%s" % (number, variable)
    return found


def unroll(
    network: Layers, inputs: Any, lengths: Any | None, initial_state: Any | None, static: bool, scope: str | None
) -> tuple[Any, dict[str, Any]]:
    """As tf.contrib.rnn.stack_bidirectional_dynamic_rnn and stack_bidirectional_rnn (TensorFlow 1.15, contrib/rnn/
    python/ops/rnn.py), which 2.x no longer has. A layer of one direction may stand among them."""
    outputs, state = inputs, {}
    with tf.variable_scope(scope or SCOPE):
        for number, layer in enumerate(network.layers):
            name = "cell_%d" % number
            with tf.variable_scope(name) as layer_scope:
                own = states.below(name + "/", initial_state)
                # Where all is static, TF1 has no scope between the layer's and those of its two directions.
                inner = layer_scope if static else None
                outputs, new = unrolling.unroll(layer, outputs, lengths, own, static, inner)
            state.update(prefixed(name + "/", new))
    return outputs, state


def unrolled_variables(network: Layers, scope: str | None, static: bool) -> dict[str, str]:
    found = {}
    for number, layer in enumerate(network.layers):
        layer_scope = "%s/cell_%d" % (scope or SCOPE, number)
        own = unrolling.variables(layer, layer_scope if static else None, static)
        for name, variable in own.items():
            found["cell_%d/%s" % (number, name)] = variable if static else layer_scope + "/" + variable
    return found
