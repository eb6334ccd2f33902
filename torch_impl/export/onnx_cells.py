"""Each kind of cell in ONNX: ONNX's own operator over a sequence, where it has one of the same law, and one step.

Weights are float32 arrays by canonical name. The operators' laws and layouts are those of
https://onnx.ai/onnx/operators/onnx__RNN.html, onnx__LSTM.html (gates i, o, f, c) and onnx__GRU.html (gates z, r, h).
The LSTM's `clip` there is of what goes into activations, and not of c, so that no TensorFlow 1 cell has it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from torch_impl.export.onnx_graph import Graph
from unrolled.networks import GRU, LSTM, BasicRNN, KerasGRU, KerasLSTM, LayerNormLSTM
from unrolled.networks.layer_norm_lstm import EPSILON

__all__ = ["CELLS", "OnnxCell", "Operator", "activated"]

Arrays = Mapping[str, np.ndarray]
State = dict[str, str]


class Operator(NamedTuple):
    """An operator over a sequence: its name, its inputs W, R, B and P (None: without), and its attributes."""

    name: str
    kernel: np.ndarray  # [gates * units, inputs]
    recurrent: np.ndarray  # [gates * units, units]
    biases: np.ndarray  # [2 * gates * units]: of the inputs, then of the state
    peepholes: np.ndarray | None
    attributes: dict[str, Any]


class OnnxCell(NamedTuple):
    """operator(network, weights): the one with this cell's law, or None where ONNX has none.

    step(graph, network, weights, values [batch, inputs], state by part [batch, width]) -> (output, new state).
    """

    operator: Callable[[Any, Arrays], Operator | None]
    step: Callable[[Graph, Any, Arrays, str, State], tuple[str, State]]


# The operator for an activation, with its attributes.
_ACTIVATIONS: dict[str, tuple[str, dict[str, float]]] = {
    "tanh": ("Tanh", {}),
    "relu": ("Relu", {}),
    "sigmoid": ("Sigmoid", {}),
    "hard_sigmoid": ("HardSigmoid", {"alpha": 0.2, "beta": 0.5}),
    "softsign": ("Softsign", {}),
    "softplus": ("Softplus", {}),
    "elu": ("Elu", {"alpha": 1.0}),
    "selu": ("Selu", {}),
    "linear": ("Identity", {}),
}
# Those that the operators over sequences take, by the same names and attributes.
_WITHIN = ("tanh", "relu", "sigmoid", "hard_sigmoid", "softsign", "softplus", "elu")


def _operator(
    name: str,
    activations: Sequence[str],
    kernel: np.ndarray,
    recurrent: np.ndarray,
    biases: np.ndarray,
    peepholes: np.ndarray | None = None,
    **attributes: Any,
) -> Operator | None:
    """None where ONNX's operators have none of these activations."""
    if not all(activation in _WITHIN for activation in activations):
        return None
    named = [_ACTIVATIONS[activation] for activation in activations]
    attributes["activations"] = [operator for operator, _ in named]
    for field in ("alpha", "beta"):
        values = [options[field] for _, options in named if field in options]
        attributes.update({f"activation_{field}": values} if values else {})
    return Operator(name, kernel, recurrent, biases, peepholes, attributes)


def activated(graph: Graph, activation: str, values: str) -> str:
    """One of unrolled.networks.ACTIVATIONS on values."""
    operator, options = _ACTIVATIONS[activation]
    return graph.add(operator, values, **options)


def _ordered(array: np.ndarray, gates: Sequence[int], of: int) -> np.ndarray:
    """The gates of an array, side by side in its last axis, `of` them, in another order."""
    parts = np.split(array, of, -1)
    return np.concatenate([parts[gate] for gate in gates], -1)


def _product(graph: Graph, values: str, kernel: np.ndarray, bias: np.ndarray | None = None) -> str:
    product = graph.add("MatMul", values, graph.constant(kernel))
    return product if bias is None else graph.add("Add", product, graph.constant(bias))


def _split(graph: Graph, values: str, count: int, units: int) -> list[str]:
    return graph.node("Split", [values, graph.constant(np.full(count, units))], count, axis=1)


def _side_by_side(graph: Graph, values: str, state: str) -> str:
    return graph.add("Concat", values, state, axis=1)


def _basic_rnn(network: BasicRNN, weights: Arrays) -> Operator | None:
    kernel, bias, units = weights["kernel"], weights["bias"], network.units
    biases = np.concatenate([bias, np.zeros_like(bias)])
    return _operator("RNN", [network.activation], kernel[:-units].T, kernel[-units:].T, biases)


def _basic_rnn_step(graph: Graph, network: BasicRNN, weights: Arrays, values: str, state: State) -> tuple[str, State]:
    product = _product(graph, _side_by_side(graph, values, state["h"]), weights["kernel"], weights["bias"])
    new = activated(graph, network.activation, product)
    return new, {"h": new}


_LSTM_GATES = (0, 3, 2, 1)  # TF1's i, j, f, o as ONNX's i, o, f, c


def _lstm_bias(network: LSTM, weights: Arrays) -> np.ndarray:
    """The bias with the forget bias, which is not stored in it."""
    return weights["bias"] + np.repeat(np.array([0, 0, network.forget_bias, 0], np.float32), network.units)


def _lstm(network: LSTM, weights: Arrays) -> Operator | None:
    if network.projection is not None or network.cell_clip is not None:
        return None
    kernel, units, activation = weights["kernel"], network.units, network.activation
    bias = _ordered(_lstm_bias(network, weights), _LSTM_GATES, 4)
    kernel = _ordered(kernel, _LSTM_GATES, 4)
    peepholes = None
    if network.peepholes:
        peepholes = np.concatenate([weights[name] for name in ("w_i_diag", "w_o_diag", "w_f_diag")])
    arrays = (kernel[:-units].T, kernel[-units:].T, np.concatenate([bias, np.zeros_like(bias)]), peepholes)
    return _operator("LSTM", ["sigmoid", activation, activation], *arrays)


def _lstm_step(graph: Graph, network: LSTM, weights: Arrays, values: str, state: State) -> tuple[str, State]:
    both = _side_by_side(graph, values, state["h"])
    product = _product(graph, both, weights["kernel"], _lstm_bias(network, weights))
    i, j, f, o = _split(graph, product, 4, network.units)

    def looked(gate: str, name: str, c: str) -> str:
        return graph.add("Add", gate, graph.add("Mul", graph.constant(weights[name]), c)) if network.peepholes else gate

    i, f = looked(i, "w_i_diag", state["c"]), looked(f, "w_f_diag", state["c"])
    c = _kept_and_new(graph, state["c"], graph.add("Sigmoid", f), graph.add("Sigmoid", i), network.activation, j)
    c = c if network.cell_clip is None else _clipped(graph, c, network.cell_clip)
    o = looked(o, "w_o_diag", c)
    h = graph.add("Mul", activated(graph, network.activation, c), graph.add("Sigmoid", o))
    h = h if network.projection is None else _product(graph, h, weights["projection/kernel"])
    h = h if network.projection_clip is None else _clipped(graph, h, network.projection_clip)
    return h, {"c": c, "h": h}


def _kept_and_new(graph: Graph, c: str, keep: str, take: str, activation: str, candidate: str) -> str:
    """c * keep + take * activation(candidate)."""
    new = graph.add("Mul", take, activated(graph, activation, candidate))
    return graph.add("Add", graph.add("Mul", c, keep), new)


def _clipped(graph: Graph, values: str, limit: float) -> str:
    return graph.add("Clip", values, graph.constant(np.float32(-limit)), graph.constant(np.float32(limit)))


def _keras_lstm(network: KerasLSTM, weights: Arrays) -> Operator | None:
    gates = (0, 3, 1, 2)  # Keras's i, f, c, o as ONNX's i, o, f, c
    kernel, recurrent, bias = (_ordered(weights[name], gates, 4) for name in ("kernel", "recurrent_kernel", "bias"))
    activations = [network.recurrent_activation, network.activation, network.activation]
    biases = np.concatenate([bias, np.zeros_like(bias)])
    return _operator("LSTM", activations, kernel.T, recurrent.T, biases)


def _keras_lstm_step(graph: Graph, network: KerasLSTM, weights: Arrays, values: str, state: State) -> tuple[str, State]:
    kernel = np.concatenate([weights["kernel"], weights["recurrent_kernel"]])
    product = _product(graph, _side_by_side(graph, values, state["h"]), kernel, weights["bias"])
    i, f, z, o = _split(graph, product, 4, network.units)
    i, f, o = (activated(graph, network.recurrent_activation, gate) for gate in (i, f, o))
    c = _kept_and_new(graph, state["c"], f, i, network.activation, z)
    h = graph.add("Mul", activated(graph, network.activation, c), o)
    return h, {"c": c, "h": h}


def _layer_norm_lstm_step(
    graph: Graph, network: LayerNormLSTM, weights: Arrays, values: str, state: State
) -> tuple[str, State]:
    def normalised(name: str, of: str) -> str:
        norm = (graph.constant(weights[f"{name}/{part}"]) for part in ("gamma", "beta"))
        return graph.add("LayerNormalization", of, *norm, axis=-1, epsilon=EPSILON)

    product = _product(graph, _side_by_side(graph, values, state["h"]), weights["kernel"])
    i, j, f, o = _split(graph, product, 4, network.units)
    f = graph.add("Add", normalised("forget", f), graph.constant(np.float32(network.forget_bias)))
    keep, take = graph.add("Sigmoid", f), graph.add("Sigmoid", normalised("input", i))
    c = _kept_and_new(graph, state["c"], keep, take, network.activation, normalised("transform", j))
    c = normalised("state", c)
    o = graph.add("Sigmoid", normalised("output", o))
    h = graph.add("Mul", activated(graph, network.activation, c), o)
    return h, {"c": c, "h": h}


def _gru(network: GRU, weights: Arrays) -> Operator | None:
    units = network.units
    gates, gates_bias = (_ordered(weights[f"gates/{name}"], (1, 0), 2) for name in ("kernel", "bias"))
    if network.reset_after:
        of_inputs, of_state = (f"candidate/{part}_projection/" for part in ("input", "hidden"))
        candidate = np.concatenate([weights[of_inputs + "kernel"], weights[of_state + "kernel"]])
        bias, hidden_bias = weights[of_inputs + "bias"], weights[of_state + "bias"]
    else:
        candidate, bias = weights["candidate/kernel"], weights["candidate/bias"]
        hidden_bias = np.zeros_like(bias)
    kernel = np.concatenate([gates, candidate], 1)
    biases = np.concatenate([gates_bias, bias, np.zeros_like(gates_bias), hidden_bias])
    arrays = (kernel[:-units].T, kernel[-units:].T, biases)
    return _operator("GRU", ["sigmoid", network.activation], *arrays, linear_before_reset=int(network.reset_after))


def _gru_step(graph: Graph, network: GRU, weights: Arrays, values: str, state: State) -> tuple[str, State]:
    h, units = state["h"], network.units
    gates = _product(graph, _side_by_side(graph, values, h), weights["gates/kernel"], weights["gates/bias"])
    r, u = _split(graph, graph.add("Sigmoid", gates), 2, units)
    if network.reset_after:
        x, kept = (
            _product(graph, of, weights[f"candidate/{part}/kernel"], weights[f"candidate/{part}/bias"])
            for of, part in ((values, "input_projection"), (h, "hidden_projection"))
        )
        candidate = graph.add("Add", x, graph.add("Mul", r, kept))
    else:
        both = _side_by_side(graph, values, graph.add("Mul", r, h))
        candidate = _product(graph, both, weights["candidate/kernel"], weights["candidate/bias"])
    return _between(graph, u, h, activated(graph, network.activation, candidate))


def _between(graph: Graph, keep: str, h: str, new: str) -> tuple[str, State]:
    """keep * h + (1 - keep) * new, output and state."""
    rest = graph.add("Sub", graph.constant(np.float32(1)), keep)
    after = graph.add("Add", graph.add("Mul", keep, h), graph.add("Mul", rest, new))
    return after, {"h": after}


def _keras_gru(network: KerasGRU, weights: Arrays) -> Operator | None:
    bias = weights["bias"]
    biases = bias.reshape(-1) if network.reset_after else np.concatenate([bias, np.zeros_like(bias)])
    arrays = (weights["kernel"].T, weights["recurrent_kernel"].T, biases)  # Keras's gates are in ONNX's order
    activations = [network.recurrent_activation, network.activation]
    return _operator("GRU", activations, *arrays, linear_before_reset=int(network.reset_after))


def _keras_gru_step(graph: Graph, network: KerasGRU, weights: Arrays, values: str, state: State) -> tuple[str, State]:
    h, units, bias = state["h"], network.units, weights["bias"].reshape(-1, 3 * network.units)
    x = _product(graph, values, weights["kernel"], bias[0])
    kernel, split = weights["recurrent_kernel"], 2 * units
    given_z, given_r, given = _split(graph, x, 3, units)
    kept_bias = bias[1] if network.reset_after else np.zeros_like(bias[0])
    kept_z, kept_r = _split(graph, _product(graph, h, kernel[:, :split], kept_bias[:split]), 2, units)
    z, r = (
        activated(graph, network.recurrent_activation, graph.add("Add", one, other))
        for one, other in ((given_z, kept_z), (given_r, kept_r))
    )
    if network.reset_after:
        kept = graph.add("Mul", r, _product(graph, h, kernel[:, split:], kept_bias[split:]))
    else:
        kept = _product(graph, graph.add("Mul", r, h), kernel[:, split:])
    return _between(graph, z, h, activated(graph, network.activation, graph.add("Add", given, kept)))


CELLS = {
    BasicRNN.kind: OnnxCell(_basic_rnn, _basic_rnn_step),
    LSTM.kind: OnnxCell(_lstm, _lstm_step),
    GRU.kind: OnnxCell(_gru, _gru_step),
    LayerNormLSTM.kind: OnnxCell(lambda network, weights: None, _layer_norm_lstm_step),
    KerasLSTM.kind: OnnxCell(_keras_lstm, _keras_lstm_step),
    KerasGRU.kind: OnnxCell(_keras_gru, _keras_gru_step),
}
