"""A page for each kind of network. Each function is of the network's value.

A kind that goes step by step has a cell of TensorFlow's, for `unrolling` to repeat:

    cell(network, dtype)    its `state_size` has the parts of `network.state`, in that order
    variables(network)      canonical name -> the variable's name, below the scope that the cell is unrolled in

One that reads in two directions has no cell, and is unrolled by its page; `scope`: None is TF1's own:

    unroll(network, inputs, lengths, initial_state, static, scope)    as `unrolling.unroll`
    unrolled_variables(network, scope, static)                        canonical name -> the variable's whole name
"""

from __future__ import annotations

from typing import Any

from tf_reference.cells import basic_rnn, bidirectional, gru, layers, lstm, residual
from unrolled.networks import Network

__all__ = ["PAGES", "cell", "variables"]

PAGES: dict[str, Any] = {
    "basic_rnn": basic_rnn,
    "lstm": lstm,
    "gru": gru,
    "layers": layers,
    "bidirectional": bidirectional,
    "residual": residual,
}


def cell(network: Network, dtype: Any) -> Any:
    """A new cell of TensorFlow's for a network that is stepwise."""
    return PAGES[network.kind].cell(network, dtype)


def variables(network: Network) -> dict[str, str]:
    """The names of its variables in the graph, below the scope that its cell is unrolled in, by canonical name."""
    return PAGES[network.kind].variables(network)
