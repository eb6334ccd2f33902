"""Two directions: TensorFlow's bidirectional_dynamic_rnn and static_bidirectional_rnn, their outputs side by side."""

from __future__ import annotations

from typing import Any

from tf_reference import cells, states
from tf_reference.tf1 import tf
from unrolled.networks import Bidirectional, prefixed

__all__ = ["unroll", "unrolled_variables"]


def unroll(
    network: Bidirectional, inputs: Any, lengths: Any | None, initial_state: Any | None, static: bool, scope: Any | None
) -> tuple[Any, dict[str, Any]]:
    """A length out of range is refused here, by reverse_sequence."""
    dtype = tf.nest.flatten(inputs)[0].dtype
    forward, backward = (cells.cell(each, dtype) for each in (network.forward, network.backward))
    given = {
        "sequence_length": lengths,
        "initial_state_fw": states.from_parts(forward, states.below("fw/", initial_state)),
        "initial_state_bw": states.from_parts(backward, states.below("bw/", initial_state)),
        "dtype": dtype,
        "scope": scope,
    }
    if static:
        outputs, last, first = tf.nn.static_bidirectional_rnn(forward, backward, inputs, **given)
    else:
        both, (last, first) = tf.nn.bidirectional_dynamic_rnn(forward, backward, inputs, **given)
        outputs = tf.concat(both, axis=2)
    state = prefixed("fw/", states.parts(network.forward, last))
    return outputs, dict(state, **prefixed("bw/", states.parts(network.backward, first)))


def unrolled_variables(network: Bidirectional, scope: str | None, static: bool) -> dict[str, str]:
    found = {}
    for direction, each in (("fw/", network.forward), ("bw/", network.backward)):
        for name, variable in cells.variables(each).items():
            found[direction + name] = (scope or "bidirectional_rnn") + "/" + direction + variable
    return found
