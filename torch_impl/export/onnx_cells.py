"""Each kind of cell in ONNX: over a sequence, by the operator that ONNX has for it, and one step in operators.

A graph is an `onnx_model.Graph`, whose values are names; weights are float32 arrays by canonical name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from torch_impl.export.scaled import ExportError
from unrolled.networks import BasicRNN

__all__ = ["OnnxCell", "onnx_cell"]

_ACTIVATIONS = ("tanh", "relu")
Arrays = Mapping[str, np.ndarray]


class OnnxCell(NamedTuple):
    """sequence(graph, network, weights, values [steps, batch, inputs], limits int32 [batch] or "") ->
    (outputs [steps, 1, batch, width], parts of the final state, each [1, batch, width]).

    step(graph, network, weights, values [batch, inputs], parts of the state) -> (output, parts of the new state).
    """

    sequence: Callable[[Any, Any, Arrays, str, str], tuple[str, list[str]]]
    step: Callable[[Any, Any, Arrays, str, list[str]], tuple[str, list[str]]]


def onnx_cell(network: Any) -> OnnxCell:
    """The cell's operators; ExportError for a kind or an activation that has none."""
    if network.kind not in _CELLS:
        raise ExportError(f"export to ONNX knows networks of kind {', '.join(_CELLS)}, not {network.kind}")
    if network.activation not in _ACTIVATIONS:
        raise ExportError(f"export to ONNX knows the activations {', '.join(_ACTIVATIONS)}, not {network.activation}")
    return _CELLS[network.kind]


def _basic_rnn(graph: Any, network: BasicRNN, weights: Arrays, values: str, limits: str) -> tuple[str, list[str]]:
    kernel, bias, units = weights["kernel"], weights["bias"], network.units
    layout = (kernel[:-units].T[None], kernel[-units:].T[None], np.concatenate([bias, np.zeros_like(bias)])[None])
    given = [values, *map(graph.constant, layout), limits]
    activations = [network.activation.capitalize()]
    outputs, state = graph.node("RNN", given, 2, hidden_size=units, activations=activations)
    return outputs, [state]


def _basic_rnn_step(
    graph: Any, network: BasicRNN, weights: Arrays, values: str, state: list[str]
) -> tuple[str, list[str]]:
    product = graph.add("MatMul", graph.add("Concat", values, *state, axis=1), graph.constant(weights["kernel"]))
    new = graph.add(network.activation.capitalize(), graph.add("Add", product, graph.constant(weights["bias"])))
    return new, [new]


_CELLS = {BasicRNN.kind: OnnxCell(_basic_rnn, _basic_rnn_step)}
