"""A model as an ONNX file: one operator RNN over the sequence, whatever its length, and for a speller a Loop besides.

    inputs    float32 [batch, steps, inputs]
    lengths   int64 [batch], each from 0 to steps (only when exported with lengths)

    Classifier   logits and probabilities, float32 [batch, classes]
    Regressor    predictions float32 [batch, steps, outputs]
    Speller      tokens int64 [batch, max_steps], `end` after a row's end; logits float32 [batch, max_steps,
                 vocabulary], zero there

The operators are described at https://onnx.ai/onnx/operators/onnx__RNN.html and onnx__Loop.html.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from torch_impl.checkpoints.files import write_atomically
from torch_impl.export.scaled import ExportError, Scaling, check_model, check_scaling
from torch_impl.models import AnyModel, Classifier, Regressor, Speller

__all__ = ["build_onnx", "to_onnx"]

OPSET, IR_VERSION = 17, 8  # read by onnxruntime 1.12 (2022) and later


def to_onnx(
    model: AnyModel,
    path: str | os.PathLike[str],
    lengths: bool = True,
    scaling: Scaling | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Any:
    """Write the model to `path` and return it as an onnx.ModelProto.

    lengths: whether the file has the input `lengths`; without it every row has all steps. scaling: what was applied to
    the data, or None. metadata: text by name, kept in the file. The graph computes in float32, since onnxruntime has
    no other RNN: float64 weights are rounded. Raises TypeError or ValueError that names the argument, ExportError
    where the package onnx is missing, and CheckpointError when the file cannot be written.
    """
    proto = build_onnx(model, lengths, scaling, metadata)
    write_atomically(Path(path), proto.SerializeToString())
    return proto


def build_onnx(
    model: AnyModel, lengths: bool = True, scaling: Scaling | None = None, metadata: Mapping[str, str] | None = None
) -> Any:
    """The model as an onnx.ModelProto; see `to_onnx`."""
    scaling = check_scaling(check_model(model), scaling)
    graph = _Graph(_onnx())
    values = graph.input("inputs", np.float32, ["batch", "steps", model.input_cell.inputs])
    if scaling is not None:
        values = graph.add(
            "Div", graph.add("Sub", values, graph.constant(scaling.shift)), graph.constant(scaling.scale)
        )
    limits = graph.input("lengths", np.int64, ["batch"]) if lengths else ""
    weights = {name: array.astype(np.float32) for name, array in model.canonical_weights().items()}
    encoder = "encoder/" if isinstance(model, Speller) else ""
    outputs, state = _rnn(graph, model, weights[encoder + "kernel"], weights[encoder + "bias"], values, limits)
    if isinstance(model, Classifier):
        _classify(graph, weights, state)
    elif isinstance(model, Regressor):
        _regress(graph, model, weights, outputs, limits, scaling)
    else:
        _spell(graph, model, weights, state)
    return graph.model(type(model).__name__, metadata or {})


def _rnn(graph: _Graph, model: AnyModel, kernel: np.ndarray, bias: np.ndarray, values: str, limits: str) -> tuple:
    """(outputs [steps, 1, batch, units], state [batch, units]) of the sequences `values` [batch, steps, inputs]."""
    inputs, units = model.input_cell.inputs, model.input_cell.units
    steps_first = graph.add("Transpose", values, perm=[1, 0, 2])  # onnxruntime has this layout alone
    weights = (kernel[:inputs].T[None], kernel[inputs:].T[None], np.concatenate([bias, np.zeros_like(bias)])[None])
    limits = graph.add("Cast", limits, to=graph.types[np.int32]) if limits else ""
    outputs, states = graph.node(
        "RNN",
        [steps_first, *map(graph.constant, weights), limits],
        2,
        hidden_size=units,
        activations=[model.input_cell.activation.capitalize()],
    )
    # [1, batch, units]; zeros for a row of length 0, which is the initial state.
    return outputs, graph.add("Squeeze", states, graph.constant(np.array([0])))


def _dense(graph: _Graph, weights: Mapping[str, np.ndarray], values: str, prefix: str = "") -> str:
    product = graph.add("MatMul", values, graph.constant(weights[prefix + "dense/kernel"]))
    return graph.add("Add", product, graph.constant(weights[prefix + "dense/bias"]))


def _classify(graph: _Graph, weights: Mapping[str, np.ndarray], state: str) -> None:
    logits = _dense(graph, weights, state)
    classes = len(weights["dense/bias"])
    graph.output("logits", logits, np.float32, ["batch", classes])
    graph.output("probabilities", graph.add("Softmax", logits, axis=-1), np.float32, ["batch", classes])


def _regress(
    graph: _Graph, model: Regressor, weights: Mapping[str, np.ndarray], outputs: str, limits: str, scaling: Any
) -> None:
    rows_first = graph.add("Transpose", graph.add("Squeeze", outputs, graph.constant(np.array([1]))), perm=[1, 0, 2])
    predictions = _dense(graph, weights, rows_first)
    if model.projection == "wrapped" and limits:
        predictions = graph.add("Where", _valid(graph, rows_first, limits), predictions, graph.constant(np.float32(0)))
    if scaling is not None and scaling.target_scale is not None:
        predictions = graph.add("Mul", predictions, graph.constant(scaling.target_scale))
        predictions = graph.add("Add", predictions, graph.constant(scaling.target_shift))
    graph.output("predictions", predictions, np.float32, ["batch", "steps", model.dense.out_features])


def _valid(graph: _Graph, rows_first: str, limits: str) -> str:
    """Which steps are within the lengths: bool [batch, steps, 1]."""
    size = graph.add("Gather", graph.add("Shape", rows_first), graph.constant(np.array(1)))
    steps = graph.add("Range", graph.constant(np.array(0)), size, graph.constant(np.array(1)))
    before = graph.add("Less", steps, graph.add("Unsqueeze", limits, graph.constant(np.array([1]))))
    return graph.add("Unsqueeze", before, graph.constant(np.array([2])))


def _spell(graph: _Graph, model: Speller, weights: Mapping[str, np.ndarray], state: str) -> None:
    """Greedy decoding, as `Decoder.decode`: a Loop whose body feeds each row's own token back until its `end`."""
    decoder, vocabulary = model.decoder, model.decoder.vocabulary
    batch = graph.add("Shape", state, start=0, end=1)
    token = graph.add("Expand", graph.constant(np.array(decoder.start)), batch)
    going = graph.add("Expand", graph.constant(np.array(True)), batch)
    body = _decoding_step(graph, model, weights)
    trips = graph.constant(np.array(model.max_steps))
    found = graph.node("Loop", [trips, "", state, token, going], 5, body=body)
    tokens = graph.add("Transpose", found[3], perm=[1, 0])
    logits = graph.add("Transpose", found[4], perm=[1, 0, 2])
    graph.output("tokens", tokens, np.int64, ["batch", model.max_steps])
    graph.output("logits", logits, np.float32, ["batch", model.max_steps, vocabulary])


def _decoding_step(graph: _Graph, model: Speller, weights: Mapping[str, np.ndarray]) -> Any:
    """The Loop's body: state, token and going in; the same out, and the token and logits to collect."""
    decoder = model.decoder
    body = _Graph(graph.onnx, "step_")
    body.input("count", np.int64, [])
    condition = body.input("condition", np.bool_, [])
    state = body.input("state", np.float32, ["batch", decoder.rnn.cell.units])
    token, going = body.input("token", np.int64, ["batch"]), body.input("going", np.bool_, ["batch"])
    # A one-hot token times the kernel is one of its first rows.
    kernel = weights["decoder/kernel"]
    of_token = body.add("Gather", body.constant(kernel[: decoder.vocabulary]), token)
    of_state = body.add("MatMul", state, body.constant(kernel[decoder.vocabulary :]))
    total = body.add("Add", body.add("Add", of_token, of_state), body.constant(weights["decoder/bias"]))
    valid = body.add("Unsqueeze", going, body.constant(np.array([1])))
    new = body.add("Where", valid, body.add(decoder.rnn.cell.activation.capitalize(), total), state)
    logits = _dense(body, weights, new)
    best = body.add("ArgMax", logits, axis=1, keepdims=0)  # the first on a tie, as torch's argmax
    written = body.add("Where", going, best, body.constant(np.array(decoder.end)))
    open_ = body.add("Not", body.add("Equal", written, body.constant(np.array(decoder.end))))
    body.output("condition_out", condition, np.bool_, [])
    body.output("state_out", new, np.float32, ["batch", decoder.rnn.cell.units])
    body.output("token_out", written, np.int64, ["batch"])
    body.output("going_out", body.add("And", going, open_), np.bool_, ["batch"])
    body.output("written", written, np.int64, ["batch"])
    zeroed = body.add("Where", valid, logits, body.constant(np.float32(0)))
    body.output("step_logits", zeroed, np.float32, ["batch", decoder.vocabulary])
    return body.proto("decoding_step")


class _Graph:
    """An ONNX graph as it grows; every value is a name."""

    def __init__(self, onnx: Any, prefix: str = "") -> None:
        self.onnx, self.prefix = onnx, prefix
        kinds = (np.float32, np.int32, np.int64, np.bool_)
        self.types: dict[Any, int] = {kind: onnx.helper.np_dtype_to_tensor_dtype(np.dtype(kind)) for kind in kinds}
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []

    def input(self, name: str, kind: Any, shape: Sequence[int | str]) -> str:
        self.inputs.append(self.onnx.helper.make_tensor_value_info(name, self.types[kind], shape))
        return name

    def output(self, name: str, value: str, kind: Any, shape: Sequence[int | str]) -> None:
        self.nodes.append(self.onnx.helper.make_node("Identity", [value], [name]))
        self.outputs.append(self.onnx.helper.make_tensor_value_info(name, self.types[kind], shape))

    def constant(self, array: Any) -> str:
        name = f"{self.prefix}constant_{len(self.constants)}"
        self.constants.append(
            self.onnx.numpy_helper.from_array(np.ascontiguousarray(array).reshape(np.shape(array)), name)
        )
        return name

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """A node of one output."""
        return self.node(operator, inputs, 1, **attributes)[0]

    def node(self, operator: str, inputs: Sequence[str], outputs: int, **attributes: Any) -> list[str]:
        names = [f"{self.prefix}{operator.lower()}_{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(self.onnx.helper.make_node(operator, list(inputs), names, names[0], **attributes))
        return names

    def proto(self, name: str) -> Any:
        return self.onnx.helper.make_graph(self.nodes, name, self.inputs, self.outputs, self.constants)

    def model(self, name: str, metadata: Mapping[str, str]) -> Any:
        helper = self.onnx.helper
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(
            self.proto(name), producer_name="unrolled", ir_version=IR_VERSION, opset_imports=opsets
        )
        helper.set_model_props(model, dict(metadata))
        self.onnx.checker.check_model(model, full_check=True)
        return model


def _onnx() -> Any:
    try:
        return importlib.import_module("onnx")
    except ImportError as error:
        raise ExportError(f"export to ONNX needs the package onnx ({error}); pip install 'unrolled[onnx]'") from None
