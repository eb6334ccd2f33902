"""ONNX's RNN, LSTM and GRU operators in ONNX Runtime as a backend: forward only, lengths as `sequence_lens`."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper

from spec_tests.field.frame import COMMON, Field
from unrolled.networks import below

OPSET = 17


class OnnxBackend(Field):
    name = "onnxruntime"
    capabilities = COMMON | {"gru", "gru_reset_after"}

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
    """ONNX's W, R and B of a cell: gates i, o, f, c of an LSTM and z, r, h of a GRU, one above the other."""
    if cell.kind == "basic_rnn":
        kernel, bias, by_h = weights["kernel"], weights["bias"], np.zeros(())
    elif cell.kind == "lstm":
        kernel, bias, by_h = gates(weights["kernel"], (0, 3, 2, 1)), gates(weights["bias"], (0, 3, 2, 1)), np.zeros(())
        bias = bias + np.repeat(np.array([0, 0, cell.forget_bias, 0], bias.dtype), cell.units)
    else:
        both, bias = gates(weights["gates/kernel"], (1, 0)), gates(weights["gates/bias"], (1, 0))
        if cell.reset_after:
            x, h = (below("candidate/%s_projection/" % part, weights) for part in ("input", "hidden"))
            candidate = np.concatenate([x["kernel"], h["kernel"]])
            by_h = np.concatenate([np.zeros_like(bias), h["bias"]])
            bias = np.concatenate([bias, x["bias"]])
        else:
            candidate, by_h = weights["candidate/kernel"], np.zeros(())
            bias = np.concatenate([bias, weights["candidate/bias"]])
        kernel = np.concatenate([both, candidate], axis=1)
    size = len(kernel) - cell.units
    biases = np.concatenate([bias, (by_h + np.zeros_like(bias)).astype(bias.dtype)])
    return {"W": kernel[:size].T.copy(), "R": kernel[size:].T.copy(), "B": biases}


def gates(array: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
    parts = np.split(array, len(order), axis=-1)
    return np.concatenate([parts[place] for place in order], axis=-1)


@functools.lru_cache(maxsize=64)
def session_for(cell: Any, both: bool, provider: str) -> Any:
    """A session of one operator: its weights, initial state and lengths are inputs."""
    operator = {"basic_rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}[cell.kind]
    options: dict[str, Any] = {"hidden_size": cell.units, "direction": "bidirectional" if both else "forward"}
    if cell.kind == "basic_rnn":
        options["activations"] = [{"tanh": "Tanh", "relu": "Relu"}[cell.activation]] * (1 + both)
    elif cell.kind == "gru":
        options["linear_before_reset"] = int(cell.reset_after)
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
