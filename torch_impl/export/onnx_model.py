"""A model as an ONNX file: operators over the sequence, whatever its length, and for a speller a Loop besides.

    inputs    float32 [batch, steps, inputs], float64 where a scaling asks for it (see `scaled.check_scaling`); of a
              model with an embedding, tokens int64 [batch, steps]
    lengths   int64 [batch], each from 0 to steps (only when exported with lengths)

    Classifier   logits and probabilities, float32 [batch, classes]
    Regressor    predictions [batch, steps, outputs], float64 where the scaling of the targets is
    Tagger       logits and probabilities, float32 [batch, steps, classes]
    Speller      tokens int64 [batch, max_steps], `end` after a row's end; logits float32 [batch, max_steps,
                 vocabulary], zero there

Each cell is an operator RNN, LSTM or GRU, or a Scan: see `onnx_networks`. The operators are described at
https://onnx.ai/onnx/operators/.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from torch_impl.cells.dense import ActiveDense
from torch_impl.checkpoints.files import write_atomically
from torch_impl.decoding import Decoder
from torch_impl.export.onnx_cells import activated
from torch_impl.export.onnx_graph import Graph, new_graph
from torch_impl.export.onnx_networks import sequence, step, valid_steps
from torch_impl.export.scaled import Scaling, check_model, check_scaling
from torch_impl.model_parts import Headed
from torch_impl.models import AnyModel, Classifier, Regressor, Speller, Tagger
from unrolled.networks import Network, below

__all__ = ["build_onnx", "to_onnx"]

Arrays = Mapping[str, np.ndarray]


def to_onnx(
    model: AnyModel,
    path: str | os.PathLike[str],
    lengths: bool = True,
    scaling: Scaling | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Any:
    """Write the model to `path` and return it as an onnx.ModelProto.

    lengths: whether the file has the input `lengths`; without it every row has all steps. scaling: what was applied to
    the data, or None. metadata: text by name, kept in the file. The network computes in float32, since onnxruntime has
    no other RNN: float64 weights are rounded. Raises TypeError or ValueError that names the argument, ExportError
    where the package onnx is missing, and CheckpointError when the file cannot be written.
    """
    proto = build_onnx(model, lengths, scaling, metadata)
    write_atomically(Path(path), proto.SerializeToString())
    return proto


def build_onnx(
    model: AnyModel,
    lengths: bool = True,
    scaling: Scaling | None = None,
    metadata: Mapping[str, str] | None = None,
    wide: bool | None = None,
) -> Any:
    """The model as an onnx.ModelProto; see `to_onnx`, and for wide `scaled.check_scaling`."""
    scaling = check_scaling(check_model(model), scaling, wide)
    graph = new_graph()
    weights = {name: array.astype(np.float32) for name, array in model.canonical_weights().items()}
    given, values = _inputs(graph, model, weights, scaling)
    limits = graph.input("lengths", np.int64, ["batch"]) if lengths else ""
    if isinstance(model, Speller):
        _, state = _run(graph, model.encoder.network, below("encoder/", weights), values, limits)
        _spell(graph, model, weights, state)
    else:
        network = model.rnn.network
        outputs, state = _run(graph, network, weights, values, limits)
        if isinstance(model, Classifier):
            read = [state[name] for name in network.read_out]
            values = graph.add("Concat", *read, axis=1) if len(read) > 1 else read[0]
            _classify(graph, model, _head(graph, model, weights, values), ["batch"])
        elif isinstance(model, Tagger):
            logits = _head(graph, model, weights, outputs)
            _classify(graph, model, graph.add("Transpose", logits, perm=[1, 0, 2]), ["batch", "steps"])
        else:
            _regress(graph, model, weights, outputs, limits, scaling, given)
    return graph.model(type(model).__name__, metadata or {})


def _inputs(graph: Graph, model: AnyModel, weights: Arrays, scaling: Scaling | None) -> tuple[str, str]:
    """What is given, its logarithm where that is taken, and what the network reads: [batch, steps, width]."""
    if model.embedding is not None:
        tokens = graph.input("inputs", np.int64, ["batch", "steps"])
        rows = weights["encoder/embedding" if isinstance(model, Speller) else "embedding"]
        # Gather counts a negative index from the end; as one past the last it is refused.
        negative = graph.add("Less", tokens, graph.constant(np.array(0)))
        tokens = graph.add("Where", negative, graph.constant(np.array(len(rows))), tokens)
        return tokens, graph.add("Gather", graph.constant(rows), tokens)
    kind = np.float32 if scaling is None else scaling.shift.dtype.type
    values = graph.input("inputs", kind, ["batch", "steps", model.inputs])
    if scaling is None:
        return values, values
    values = given = graph.add("Log", values) if scaling.log else values
    if scaling.reading != "level":
        before = _sliced(graph, given, 0, 1, axis=1)
        if scaling.reading == "difference":
            before = graph.add("Concat", before, _sliced(graph, given, 0, -1, axis=1), axis=1)
        values = graph.add("Sub", given, before)
    scaled = graph.add("Div", graph.add("Sub", values, graph.constant(scaling.shift)), graph.constant(scaling.scale))
    return given, scaled if kind is np.float32 else graph.cast(scaled, np.float32)


def _sliced(graph: Graph, values: str, start: int, end: int, axis: int) -> str:
    return graph.add("Slice", values, *(graph.constant(np.array([each])) for each in (start, end, axis)))


def _run(graph: Graph, network: Network, weights: Arrays, values: str, limits: str) -> tuple[str, dict[str, str]]:
    """(outputs [steps, batch, width], parts of the state [batch, width]) of sequences [batch, steps, inputs]."""
    steps_first = graph.add("Transpose", values, perm=[1, 0, 2])  # onnxruntime has this layout alone
    return sequence(graph, network, weights, steps_first, limits)


def _head(graph: Graph, model: Headed, weights: Arrays, values: str) -> str:
    """The model's dense layers on values [..., width]."""
    for number, layer in enumerate(model.hidden):
        values = activated(graph, layer.activation, _dense(graph, below(f"hidden_{number}/", weights), values))
    values = _dense(graph, below("dense/", weights), values)
    return activated(graph, model.dense.activation, values) if isinstance(model.dense, ActiveDense) else values


def _dense(graph: Graph, weights: Arrays, values: str) -> str:
    product = graph.add("MatMul", values, graph.constant(weights["kernel"]))
    return graph.add("Add", product, graph.constant(weights["bias"]))


def _classify(graph: Graph, model: Headed, logits: str, of: list[int | str]) -> None:
    shape = [*of, model.dense.out_features]
    graph.output("logits", logits, np.float32, shape)
    graph.output("probabilities", graph.add("Softmax", logits, axis=-1), np.float32, shape)


def _regress(
    graph: Graph, model: Regressor, weights: Arrays, outputs: str, limits: str, scaling: Any, given: str
) -> None:
    predictions = _head(graph, model, weights, outputs)
    if model.projection == "wrapped" and limits:
        valid = valid_steps(graph, outputs, limits)
        predictions = graph.add("Where", valid, predictions, graph.constant(np.float32(0)))
    kind = np.float32
    if scaling is not None and scaling.target_scale is not None:
        kind = scaling.target_scale.dtype.type
        if kind is not np.float32:
            predictions = graph.cast(predictions, kind)
        predictions = graph.add("Mul", predictions, graph.constant(scaling.target_scale))
        predictions = graph.add("Add", predictions, graph.constant(scaling.target_shift))
    rows_first = graph.add("Transpose", predictions, perm=[1, 0, 2])
    if scaling is not None and scaling.target_scale is not None:
        if scaling.reading != "level":
            targets = scaling.targets or model.inputs
            base = _sliced(graph, given, 0, targets, axis=2)
            times = graph.constant(np.array([1, 1, model.dense.out_features // targets]))
            rows_first = graph.add("Add", rows_first, graph.add("Tile", base, times))
        rows_first = graph.add("Exp", rows_first) if scaling.log else rows_first
    graph.output("predictions", rows_first, kind, ["batch", "steps", model.dense.out_features])


def _spell(graph: Graph, model: Speller, weights: Arrays, state: Mapping[str, str]) -> None:
    """Greedy decoding, as `Decoder.decode`: a Loop whose body feeds each row's own token back until its `end`."""
    decoder, count = model.decoder, len(state)
    batch = graph.add("Shape", next(iter(state.values())), start=0, end=1)
    token = graph.add("Expand", graph.constant(np.array(decoder.start)), batch)
    going = graph.add("Expand", graph.constant(np.array(True)), batch)
    trips = graph.constant(np.array(model.max_steps))
    carried = [*state.values(), token, going]
    found = graph.node("Loop", [trips, "", *carried], count + 4, body=_decoding_step(graph, decoder, weights))
    tokens = graph.add("Transpose", found[-2], perm=[1, 0])
    logits = graph.add("Transpose", found[-1], perm=[1, 0, 2])
    graph.output("tokens", tokens, np.int64, ["batch", model.max_steps])
    graph.output("logits", logits, np.float32, ["batch", model.max_steps, decoder.vocabulary])


def _decoding_step(graph: Graph, decoder: Decoder, weights: Arrays) -> Any:
    """The Loop's body: parts of the state, token and going in; the same out, and the token and logits to collect."""
    network, own = decoder.rnn.network, below("decoder/", weights)
    body = graph.body("token")
    body.input("count", np.int64, [])
    condition = body.input("condition", np.bool_, [])
    state = {name: body.input(f"state_{name}", np.float32, ["batch", width]) for name, width in network.state.items()}
    token, going = body.input("token", np.int64, ["batch"]), body.input("going", np.bool_, ["batch"])
    rows = weights["embedding"] if "embedding" in weights else np.eye(decoder.vocabulary, dtype=np.float32)
    values = body.add("Gather", body.constant(rows), token)
    output, after = step(body, network, own, values, state)
    valid = body.add("Unsqueeze", going, body.constant(np.array([1])))
    logits = _dense(body, below("dense/", weights), output)
    best = body.add("ArgMax", logits, axis=1, keepdims=0)  # the first on a tie, as torch's argmax
    written = body.add("Where", going, best, body.constant(np.array(decoder.end)))
    open_ = body.add("Not", body.add("Equal", written, body.constant(np.array(decoder.end))))
    body.output("condition_out", condition, np.bool_, [])
    for name, width in network.state.items():
        body.output(f"new_{name}", body.add("Where", valid, after[name], state[name]), np.float32, ["batch", width])
    body.output("token_out", written, np.int64, ["batch"])
    body.output("going_out", body.add("And", going, open_), np.bool_, ["batch"])
    body.output("written", written, np.int64, ["batch"])
    zeroed = body.add("Where", valid, logits, body.constant(np.float32(0)))
    body.output("step_logits", zeroed, np.float32, ["batch", decoder.vocabulary])
    return body.proto("decoding_step")
