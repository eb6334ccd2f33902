"""One step: a page for each kind of network that TensorFlow has as a cell.

A page has two functions, each of the network's value:

    cell(network, dtype)    TensorFlow's cell. Its `state_size` has the parts of `network.state`, in that order
    variables(network)      canonical name -> the variable's name, below the scope that the cell is unrolled in
"""

from __future__ import annotations

from typing import Any

from tf_reference.cells import basic_rnn
from unrolled.networks import Network

__all__ = ["CELLS", "cell", "variables"]

CELLS = {"basic_rnn": basic_rnn}


def cell(network: Network, dtype: Any) -> Any:
    """A new cell of TensorFlow's for a network."""
    return CELLS[network.kind].cell(network, dtype)


def variables(network: Network, scope: str) -> dict[str, str]:
    """The names of its variables in the graph, unrolled in a scope, by canonical name."""
    return {name: scope + "/" + variable for name, variable in CELLS[network.kind].variables(network).items()}
