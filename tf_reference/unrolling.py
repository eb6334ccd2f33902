"""A network over a sequence: statically (program 2), dynamically (3), with lengths (4), and backwards (6).

The length law is TensorFlow's own, by `sequence_length`: outputs past a row's length are zero, its state is copied
through. Two of its manners go without a word: in one direction, a length above the number of steps counts as all of
them, a negative one as 0; and where the padding holds NaN, outputs and state stay finite but gradients become NaN (the
masked branch multiplies it by 0).
"""

from __future__ import annotations

import functools
from typing import Any, Mapping

from tf_reference import build, states
from tf_reference.given import Given
from tf_reference.masks import beside
from tf_reference.structures import STRUCTURES
from tf_reference.tf1 import tf
from unrolled.networks import Network

__all__ = ["dynamic_rnn", "gradients", "static_rnn", "unroll", "variables"]


def static_rnn(
    cell: Any, inputs: list[Any], lengths: Any | None = None, initial_state: Any | None = None, scope: Any = "rnn"
) -> tuple[list[Any], Any]:
    """Program 2: a copy of the cell in the graph for each element of inputs, a list of `steps` tensors [batch, inputs].

    lengths: integers [batch]. initial_state: as the cell has its state. scope: goes before the names of the cell's
    variables. Returns (outputs, state): a list of `steps` tensors [batch, output_size], and the final state.
    """
    return tf.nn.static_rnn(
        cell, inputs, sequence_length=lengths, initial_state=initial_state, dtype=_dtype(inputs), scope=scope
    )


def dynamic_rnn(
    cell: Any, inputs: Any, lengths: Any | None = None, initial_state: Any | None = None, scope: Any = "rnn"
) -> tuple[Any, Any]:
    """Programs 3 and 4: a loop in the graph that runs the one cell over inputs [batch, steps, inputs].

    Arguments as in `static_rnn`. Returns (outputs [batch, steps, output_size], the final state).
    """
    return tf.nn.dynamic_rnn(
        cell, inputs, sequence_length=lengths, initial_state=initial_state, dtype=_dtype(inputs), scope=scope
    )


def _dtype(inputs: Any) -> Any:
    """That of the inputs, before the masks that may go beside them."""
    return tf.nest.flatten(inputs)[0].dtype


def unroll(
    network: Network,
    inputs: Any,
    lengths: Any | None = None,
    initial_state: Mapping[str, Any] | None = None,
    static: bool = False,
    scope: Any | None = None,
    masks: Mapping[str, Any] | None = None,
) -> tuple[Any, dict[str, Any]]:
    """A new network of any kind, over inputs [batch, steps, inputs], or where static, over a list of its steps.

    initial_state: each part [batch, width]. scope: in place of TF1's "rnn", "bidirectional_rnn" or
    "stack_bidirectional_rnn". masks: each [batch, steps, width] or [width], all that the network has, or None: nothing
    is dropped. Returns (outputs, as the inputs are; each part of the final state).
    """
    return _unroll(network, Given(inputs, lengths, initial_state, masks, static), scope)


def _unroll(network: Network, given: Given, scope: Any | None) -> tuple[Any, dict[str, Any]]:
    make = functools.partial(build.cell, dtype=given.dtype)
    if not network.stepwise:
        return STRUCTURES[network.kind].unroll(network, given, make, _unroll, scope)
    cells, inputs = beside({"": network}, make, given)
    repeat = static_rnn if given.static else dynamic_rnn
    initial_state = states.from_parts(cells[""], given.initial_state)
    outputs, state = repeat(cells[""], inputs, given.lengths, initial_state, scope or "rnn")
    return outputs, states.parts(network, state)


def variables(network: Network, scope: str | None = None, static: bool = False) -> dict[str, str]:
    """The names that `unroll` gives its variables, by canonical name."""
    if not network.stepwise:
        return STRUCTURES[network.kind].unrolled_variables(network, build.variables, variables, scope, static)
    return {name: (scope or "rnn") + "/" + variable for name, variable in build.variables(network).items()}


def gradients(
    outputs: Any,
    state: Mapping[str, Any],
    output_gradients: Any,
    state_gradients: Mapping[str, Any],
    sources: list[Any],
) -> list[Any]:
    """Program 6: back-propagation through time, for any cost on any of the outputs and the final state.

    outputs and output_gradients (the cost's derivative by them): [batch, steps, output_size]; state and
    state_gradients: each part [batch, width]. Returns the cost's gradient by each of the sources.
    """
    costs = [output_gradients] + [state_gradients[name] for name in state]
    return tf.gradients([outputs] + list(state.values()), sources, grad_ys=costs)
