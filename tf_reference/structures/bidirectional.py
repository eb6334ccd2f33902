"""Two directions: TensorFlow's bidirectional_dynamic_rnn and static_bidirectional_rnn, their outputs side by side."""

from __future__ import annotations

from typing import Any, Callable

from tf_reference import states
from tf_reference.given import Given
from tf_reference.masks import beside
from tf_reference.tf1 import tf
from unrolled.networks import Bidirectional, prefixed

__all__ = ["unroll", "unrolled_variables"]


def unroll(
    network: Bidirectional, given: Given, make: Callable[..., Any], unroll: Callable[..., Any], scope: Any | None
) -> tuple[Any, dict[str, Any]]:
    """A length out of range is refused here, by reverse_sequence."""
    directions = {"fw/": network.forward, "bw/": network.backward}
    cells, inputs = beside(directions, make, given._replace(masks=_turned(given)))
    first, last = (states.from_parts(cell, given.below(name).initial_state) for name, cell in cells.items())
    arguments = {
        "sequence_length": given.lengths,
        "initial_state_fw": first,
        "initial_state_bw": last,
        "dtype": given.dtype,
        "scope": scope,
    }
    if given.static:
        outputs, last, first = tf.nn.static_bidirectional_rnn(cells["fw/"], cells["bw/"], inputs, **arguments)
    else:
        both, (last, first) = tf.nn.bidirectional_dynamic_rnn(cells["fw/"], cells["bw/"], inputs, **arguments)
        outputs = tf.concat(both, axis=2)
    state = prefixed("fw/", states.parts(network.forward, last))
    return outputs, dict(state, **prefixed("bw/", states.parts(network.backward, first)))


def _turned(given: Given) -> dict[str, Any]:
    """The masks with those of the backward network's steps turned: TensorFlow turns them once more with the inputs, so
    that the network gets them in the order in which it reads."""
    found = dict(given.masks or {})
    for name, mask in found.items():
        if name.startswith("bw/") and mask.shape.ndims == 3:
            lengths = given.lengths
            found[name] = tf.reverse(mask, [1]) if lengths is None else tf.reverse_sequence(mask, lengths, 1, 0)
    return found


def unrolled_variables(
    network: Bidirectional,
    names: Callable[..., dict[str, str]],
    unrolled: Callable[..., dict[str, str]],
    scope: str | None,
    static: bool,
) -> dict[str, str]:
    found = {}
    for direction, each in (("fw/", network.forward), ("bw/", network.backward)):
        for name, variable in names(each).items():
            found[direction + name] = (scope or "bidirectional_rnn") + "/" + direction + variable
    return found
