"""The one place that turns a network's value into a cell of TensorFlow's, and into the names of its variables."""

from __future__ import annotations

import functools
from typing import Any

from tf_reference.cells import CELLS
from tf_reference.structures import STRUCTURES
from unrolled.networks import Network

__all__ = ["KINDS", "cell", "variables"]

KINDS = (*CELLS, *STRUCTURES)


def cell(network: Network, dtype: Any, masks: Any | None = None) -> Any:
    """A new cell for a network that is stepwise. masks: a `masks.StepMasks`; None where nothing is dropped."""
    if network.kind in CELLS:
        return CELLS[network.kind].cell(network, dtype, masks)
    return STRUCTURES[network.kind].cell(network, functools.partial(cell, dtype=dtype), masks)


def variables(network: Network) -> dict[str, str]:
    """The names of its variables in the graph, below the scope that its cell is unrolled in, by canonical name."""
    if network.kind in CELLS:
        return CELLS[network.kind].variables(network)
    return STRUCTURES[network.kind].variables(network, variables)
