"""A cell repeated over a sequence: statically (program 2), dynamically (3), with lengths (4), and backwards (6).

The length law is TensorFlow's own, by `sequence_length`: outputs past a row's length are zero, its state is copied
through. Two of its manners go without a word: a length above the number of steps counts as all of them, a negative one
as 0; and where the padding holds NaN, outputs and state stay finite but gradients become NaN (the masked branch
multiplies it by 0).
"""

from __future__ import annotations

from typing import Any

from tf_reference.tf1 import tf

__all__ = ["dynamic_rnn", "gradients", "static_rnn"]


def static_rnn(
    cell: Any, inputs: list[Any], lengths: Any | None = None, initial_state: Any | None = None
) -> tuple[list[Any], Any]:
    """Program 2: a copy of the cell in the graph for each element of inputs, a list of `steps` tensors [batch, inputs].

    lengths: integers [batch]. initial_state: as the cell has its state. Returns (outputs, state): a list of `steps`
    tensors [batch, output_size], and the final state.
    """
    return tf.nn.static_rnn(
        cell, inputs, sequence_length=lengths, initial_state=initial_state, dtype=inputs[0].dtype, scope="rnn"
    )


def dynamic_rnn(
    cell: Any, inputs: Any, lengths: Any | None = None, initial_state: Any | None = None, scope: str = "rnn"
) -> tuple[Any, Any]:
    """Programs 3 and 4: a loop in the graph that runs the one cell over inputs [batch, steps, inputs].

    lengths: integers [batch]. initial_state: as the cell has its state. scope: goes before the names of the cell's
    variables. Returns (outputs [batch, steps, output_size], state).
    """
    return tf.nn.dynamic_rnn(
        cell, inputs, sequence_length=lengths, initial_state=initial_state, dtype=inputs.dtype, scope=scope
    )


def gradients(outputs: Any, state: Any, output_gradients: Any, state_gradients: Any, sources: list[Any]) -> list[Any]:
    """Program 6: back-propagation through time, for any cost on any of the outputs and the final state.

    outputs and output_gradients (the cost's derivative by them): [batch, steps, output_size]; state and
    state_gradients: as the cell has its state. Returns the cost's gradient by each of the sources.
    """
    costs = [output_gradients] + tf.nest.flatten(state_gradients)
    return tf.gradients([outputs] + tf.nest.flatten(state), sources, grad_ys=costs)
