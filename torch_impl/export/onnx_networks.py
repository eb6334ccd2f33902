"""Each kind of network in ONNX, over a sequence and one step of it, whatever is in it.

A cell over a sequence is ONNX's own operator where that has the cell's law, and else a Scan of its step. Dropout does
nothing in a model that is used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from torch_impl.export.onnx_cells import CELLS, Arrays, Operator, State
from torch_impl.export.onnx_graph import Graph
from torch_impl.export.scaled import ExportError
from unrolled.networks import Bidirectional, Dropout, Layers, Residual, below, prefixed

__all__ = ["sequence", "step", "valid_steps"]


def sequence(graph: Graph, network: Any, weights: Arrays, values: str, limits: str) -> tuple[str, State]:
    """Whole sequences from zeros, under the length law: values [steps, batch, inputs], limits int64 [batch] or "" for
    all steps -> (outputs [steps, batch, width], parts of the final state [batch, width]).

    Raises ExportError for a kind that it does not know.
    """
    return _of(network).sequence(graph, network, weights, values, limits)


def step(graph: Graph, network: Any, weights: Arrays, values: str, state: State) -> tuple[str, State]:
    """One step: values [batch, inputs], parts of the state [batch, width] -> (output [batch, width], new state)."""
    return _of(network).step(graph, network, weights, values, state)


def valid_steps(graph: Graph, values: str, limits: str) -> str:
    """Which steps of values [steps, batch, ...] are within the limits: bool [steps, batch, 1]."""
    count = graph.add("Gather", graph.add("Shape", values), graph.constant(np.array(0)))
    steps = graph.add("Range", graph.constant(np.array(0)), count, graph.constant(np.array(1)))
    before = graph.add("Less", graph.add("Unsqueeze", steps, graph.constant(np.array([1]))), limits)
    return graph.add("Unsqueeze", before, graph.constant(np.array([2])))


class _Kind(NamedTuple):
    sequence: Callable[[Graph, Any, Arrays, str, str], tuple[str, State]]
    step: Callable[[Graph, Any, Arrays, str, State], tuple[str, State]]


def _of(network: Any) -> _Kind:
    if network.kind in CELLS:
        return _Kind(_cell, CELLS[network.kind].step)
    if network.kind not in _STRUCTURES:
        known = ", ".join([*CELLS, *_STRUCTURES])
        raise ExportError(f"export to ONNX knows networks of kind {known}, not {network.kind}")
    return _STRUCTURES[network.kind]


def _cell(graph: Graph, network: Any, weights: Arrays, values: str, limits: str) -> tuple[str, State]:
    operator = CELLS[network.kind].operator(network, weights)
    if operator is None:
        return _scanned(graph, network, weights, values, limits)
    return _operated(graph, network, operator, values, limits)


def _operated(graph: Graph, network: Any, operator: Operator, values: str, limits: str) -> tuple[str, State]:
    limits = graph.add("Cast", limits, to=graph.types[np.int32]) if limits else ""
    given = [values, *(graph.constant(array[None]) for array in operator[1:4]), limits]
    if operator.peepholes is not None:
        given += ["", "", graph.constant(operator.peepholes[None])]
    count = 1 + len(network.state)
    outputs, *parts = graph.node(operator.name, given, count, hidden_size=network.units, **operator.attributes)
    # The operators have one direction here, and give zeros for a row of length 0, which is the initial state.
    outputs = graph.add("Squeeze", outputs, graph.constant(np.array([1])))
    parts = [graph.add("Squeeze", part, graph.constant(np.array([0]))) for part in parts]
    found = dict(zip(("h", "c"), parts, strict=False))  # ONNX's order
    return outputs, {name: found[name] for name in network.state}


def _scanned(graph: Graph, network: Any, weights: Arrays, values: str, limits: str) -> tuple[str, State]:
    body = graph.body("step")
    before = {name: body.input(f"old_{name}", np.float32, ["batch", width]) for name, width in network.state.items()}
    here = body.input("values", np.float32, ["batch", "inputs"])
    valid = body.input("valid", np.bool_, ["batch", 1]) if limits else ""
    output, after = step(body, network, weights, here, before)
    if limits:
        after = {name: body.add("Where", valid, after[name], old) for name, old in before.items()}
        output = body.add("Where", valid, output, body.constant(np.float32(0)))
    for name, width in network.state.items():
        body.output(f"new_{name}", after[name], np.float32, ["batch", width])
    body.output("output", output, np.float32, ["batch", network.output_size])
    batch = graph.add("Shape", values, start=1, end=2)
    zeros = [_zeros(graph, batch, width) for width in network.state.values()]
    read = [values, valid_steps(graph, values, limits)] if limits else [values]
    *parts, outputs = graph.node(
        "Scan", [*zeros, *read], len(zeros) + 1, body=body.proto("one_step"), num_scan_inputs=len(read)
    )
    return outputs, dict(zip(network.state, parts, strict=True))


def _zeros(graph: Graph, batch: str, width: int) -> str:
    shape = graph.add("Concat", batch, graph.constant(np.array([width])), axis=0)
    return graph.add("Expand", graph.constant(np.float32(0)), shape)


def _layers(graph: Graph, network: Layers, weights: Arrays, values: str, limits: str) -> tuple[str, State]:
    found: State = {}
    for number, layer in enumerate(network.layers):
        prefix = f"cell_{number}/"
        values, state = sequence(graph, layer, below(prefix, weights), values, limits)
        found.update(prefixed(prefix, state))
    return values, found


def _layers_step(graph: Graph, network: Layers, weights: Arrays, values: str, state: State) -> tuple[str, State]:
    found: State = {}
    for number, layer in enumerate(network.layers):
        prefix = f"cell_{number}/"
        values, after = step(graph, layer, below(prefix, weights), values, below(prefix, state))
        found.update(prefixed(prefix, after))
    return values, found


def _bidirectional(
    graph: Graph, network: Bidirectional, weights: Arrays, values: str, limits: str
) -> tuple[str, State]:
    forth, state = sequence(graph, network.forward, below("fw/", weights), values, limits)
    turns = limits or _all_steps(graph, values)
    turned = graph.add("ReverseSequence", values, turns, batch_axis=1, time_axis=0)
    back, other = sequence(graph, network.backward, below("bw/", weights), turned, limits)
    back = graph.add("ReverseSequence", back, turns, batch_axis=1, time_axis=0)
    return graph.add("Concat", forth, back, axis=2), {**prefixed("fw/", state), **prefixed("bw/", other)}


def _all_steps(graph: Graph, values: str) -> str:
    """As many steps as there are, for every row: int64 [batch]."""
    steps, batch = (graph.add("Shape", values, start=axis, end=axis + 1) for axis in (0, 1))
    return graph.add("Expand", steps, batch)


def _no_step(graph: Graph, network: Any, weights: Arrays, values: str, state: State) -> tuple[str, State]:
    raise ExportError("a network that reads in two directions has no single step")


def _residual(graph: Graph, network: Residual, weights: Arrays, values: str, limits: str) -> tuple[str, State]:
    outputs, state = sequence(graph, network.network, weights, values, limits)
    if limits:
        values = graph.add("Where", valid_steps(graph, values, limits), values, graph.constant(np.float32(0)))
    return graph.add("Add", values, outputs), state


def _residual_step(graph: Graph, network: Residual, weights: Arrays, values: str, state: State) -> tuple[str, State]:
    output, after = step(graph, network.network, weights, values, state)
    return graph.add("Add", values, output), after


def _dropout(graph: Graph, network: Dropout, *given: Any) -> tuple[str, State]:
    return sequence(graph, network.network, *given)


def _dropout_step(graph: Graph, network: Dropout, *given: Any) -> tuple[str, State]:
    return step(graph, network.network, *given)


_STRUCTURES = {
    Layers.kind: _Kind(_layers, _layers_step),
    Bidirectional.kind: _Kind(_bidirectional, _no_step),
    Residual.kind: _Kind(_residual, _residual_step),
    Dropout.kind: _Kind(_dropout, _dropout_step),
}
