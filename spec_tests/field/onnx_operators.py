"""ONNX's RNN, LSTM and GRU operators in ONNX Runtime as a backend: forward only, lengths as `sequence_lens`."""

from __future__ import annotations

import functools
from typing import Any, Callable, ClassVar

import numpy as np
import onnx
import onnxruntime
from onnx import helper

from spec_tests.field.frame import COMMON, Field, split_rows
from unrolled.networks import GRU, LSTM, BasicRNN, below

OPSET = 17


class OnnxBackend(Field):
    name = "onnxruntime"
    capabilities = COMMON | {"gru", "gru_reset_after"}
    differences: ClassVar[dict[str, str]] = {
        "test_length_zero_keeps_the_initial_state": (
            "of a row of length 0 the operators' final state is zeros, whatever the initial one; that is put back after"
        ),
        "test_forward_matches_the_oracle": "the dense layer and the loss around the operators are NumPy here",
    }

    def __init__(self, device: str = "cpu") -> None:
        """device: "cpu", or "cuda" where ONNX Runtime was built for it."""
        self._provider = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}[device]

    def describe(self) -> dict[str, str]:
        return dict(self.facts("ONNX Runtime", onnxruntime.__version__, self._provider), onnx=onnx.__version__)

    def array(self, value: np.ndarray) -> np.ndarray:
        return value

    def mean(self, values: np.ndarray) -> np.ndarray:
        return values.mean()

    def beside(self, parts: list[np.ndarray]) -> np.ndarray:
        return np.concatenate(parts, 1)

    def cross_entropy(self, logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
        largest = logits.max(axis=1, keepdims=True)
        logs = logits - largest - np.log(np.exp(logits - largest).sum(axis=1, keepdims=True))
        return -np.take_along_axis(logs, targets[:, None], axis=1).mean()

    def cell(self, network: Any, weights: Any, inputs: np.ndarray, lengths: Any, state: Any) -> Any:
        return self._run(network, [converted(network, weights)], inputs, lengths, state, [""])

    def both(self, network: Any, weights: Any, inputs: np.ndarray, lengths: Any, state: Any) -> Any:
        prefixes = ["fw/", "bw/"]
        found = [converted(network.forward, below(prefix, weights)) for prefix in prefixes]
        return self._run(network.forward, found, inputs, lengths, state, prefixes)

    def _run(
        self, cell: Any, weights: list[Any], inputs: np.ndarray, lengths: Any, state: Any, prefixes: list[str]
    ) -> Any:
        batch, steps, _ = inputs.shape
        found = {name: np.stack([each[name] for each in weights]) for name in ("W", "R", "B")}
        names = ["h", "c"][: len(cell.state)]
        for name in names:
            zeros = np.zeros((batch, cell.units), inputs.dtype)
            found["initial_" + name] = np.stack([zeros if state is None else state[each + name] for each in prefixes])
        full = np.full(batch, steps) if lengths is None else np.asarray(lengths)
        found.update(X=inputs.swapaxes(0, 1), sequence_lens=np.asarray(full, np.int32))
        session = session_for(cell, len(weights) == 2, self._provider)
        given = {each.name: found[each.name] for each in session.get_inputs()}
        outputs, *after = session.run(None, given)  # outputs [steps, directions, batch, units]
        # ONNX Runtime gives zeros for the final state of a row of length 0, also where it had another to begin with.
        after = [np.where((full > 0)[:, None], part, found["initial_" + name]) for name, part in zip(names, after)]
        outputs = np.concatenate(list(outputs.swapaxes(0, 1)), axis=-1).swapaxes(0, 1)
        return outputs, {each + name: part[k] for name, part in zip(names, after) for k, each in enumerate(prefixes)}


def converted(cell: Any, weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """ONNX's W, R and B of a cell: its gates one above the other."""
    kernel, recurrent, bias, recurrent_bias = CONVERTED[cell.kind](cell, weights)
    biases = np.concatenate([bias, recurrent_bias])
    return {"W": kernel.T.copy(), "R": recurrent.T.copy(), "B": biases}


def _plain(cell: Any, weights: dict[str, np.ndarray]) -> list[np.ndarray]:
    return [*split_rows(weights["kernel"], cell.units), weights["bias"], np.zeros_like(weights["bias"])]


def _lstm(cell: Any, weights: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Gates i, o, f, c for TensorFlow 1's i, j, f, o."""
    kernel, bias = (gates(weights[name], (0, 3, 2, 1)) for name in ("kernel", "bias"))
    forget = np.repeat(np.array([0, 0, cell.forget_bias, 0], bias.dtype), cell.units)
    return [*split_rows(kernel, cell.units), bias + forget, np.zeros_like(bias)]


def _gru(cell: Any, weights: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Gates z, r, and the candidate h, for TensorFlow 1's r, u."""
    kernel, bias = (gates(weights["gates/" + name], (1, 0)) for name in ("kernel", "bias"))
    if cell.reset_after:
        x, h = (below("candidate/%s_projection/" % part, weights) for part in ("input", "hidden"))
        candidate = np.concatenate([x["kernel"], h["kernel"]])
        own, by_h = x["bias"], h["bias"]
    else:
        candidate, own = weights["candidate/kernel"], weights["candidate/bias"]
        by_h = np.zeros_like(own)
    whole = np.concatenate([kernel, candidate], axis=1)
    return [*split_rows(whole, cell.units), np.concatenate([bias, own]), np.concatenate([np.zeros_like(bias), by_h])]


CONVERTED: dict[str, Callable[[Any, Any], list[np.ndarray]]] = {BasicRNN.kind: _plain, LSTM.kind: _lstm, GRU.kind: _gru}
# Kind -> ONNX's operator, and its attributes.
OPERATORS: dict[str, tuple[str, Callable[[Any, int], dict[str, Any]]]] = {
    BasicRNN.kind: ("RNN", lambda cell, ways: {"activations": [cell.activation.capitalize()] * ways}),
    LSTM.kind: ("LSTM", lambda cell, ways: {}),
    GRU.kind: ("GRU", lambda cell, ways: {"linear_before_reset": int(cell.reset_after)}),
}


def gates(array: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
    parts = np.split(array, len(order), axis=-1)
    return np.concatenate([parts[place] for place in order], axis=-1)


@functools.lru_cache(maxsize=64)
def session_for(cell: Any, both: bool, provider: str) -> Any:
    """A session of one operator: its weights, initial state and lengths are inputs."""
    operator, attributes = OPERATORS[cell.kind]
    options = dict(attributes(cell, 1 + both), hidden_size=cell.units)
    options["direction"] = "bidirectional" if both else "forward"
    states = ["h", "c"][: len(cell.state)]
    inputs = ["X", "W", "R", "B", "sequence_lens", *("initial_" + name for name in states)]
    outputs = ["Y", *("Y_" + name for name in states)]
    types = dict.fromkeys([*inputs, *outputs], onnx.TensorProto.FLOAT)
    types["sequence_lens"] = onnx.TensorProto.INT32
    given, found = (
        [helper.make_tensor_value_info(name, types[name], None) for name in each] for each in (inputs, outputs)
    )
    graph = helper.make_graph([helper.make_node(operator, inputs, outputs, **options)], "cell", given, found)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=[provider])


backend = OnnxBackend
