"""Running without training: whole sequences of few and of many rows, and a stream, one row and one step at a time.

Against PyTorch's own layer in eval mode, its cell for a stream, and onnxruntime on the graph that `torch_impl.export`
writes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from torch_impl import build
from torch_impl.bench.contestants import PYTORCH, layer_of
from torch_impl.bench.rivals import LeftOutError
from torch_impl.bench.worker import model_of
from torch_impl.bench.workloads import Workload
from torch_impl.export import ExportError

__all__ = ["CELL", "ONNX", "inference"]

CELL = "torch.nn cell"  # nn.RNNCell, nn.LSTMCell or nn.GRUCell
ONNX = "onnxruntime"
_CELLS = {"basic_rnn": nn.RNNCell, "lstm": nn.LSTMCell}


def inference(name: str, workload: Workload, threads: int) -> Callable[[int], Any]:
    """Called with a number of runs of a "forward" workload, outputs and state of all rows, or of steps of a "stream".

    name: OURS, PYTORCH, CELL (of a stream) or ONNX. Raises LeftOutError where onnx or onnxruntime is missing.
    """
    x = np.random.RandomState(0).rand(workload.batch, workload.steps, workload.inputs).astype(np.float32)
    model: Any = build.model(model_of(workload._replace(kind="classifier")._asdict()))
    model.reset_parameters()
    network = model.rnn.eval()
    run = _onnx(network, x, workload, threads) if name == ONNX else _torch(name, network, torch.from_numpy(x), workload)

    def runs(count: int) -> None:
        state: Any = None
        with torch.inference_mode():
            for _ in range(count):
                state = run(state)

    return runs


def _torch(name: str, network: Any, x: torch.Tensor, workload: Workload) -> Callable[[Any], Any]:
    """A function from a stream's state, None at first, to the next."""
    stream, lstm = workload.kind == "stream", workload.cell == "lstm"
    if name == CELL:
        cell = _CELLS.get(workload.cell, nn.GRUCell)(workload.inputs, workload.units).eval()
        return lambda state: cell(x[:, 0], state)
    if name == PYTORCH:
        layer = layer_of(workload).eval()
        return lambda state: layer(x, state if stream else None)[1]
    if not stream:
        return lambda state: network(x)[1]
    zero, cell = network.zero_state(len(x)), network.cell

    def step(state: Any) -> Any:
        new = cell(x[:, 0], zero if state is None else state)
        return new[1] if lstm else new

    return step


def _onnx(network: Any, x: np.ndarray, workload: Workload, threads: int) -> Callable[[Any], Any]:
    try:
        import onnxruntime

        from torch_impl.export.onnx_graph import new_graph
        from torch_impl.export.onnx_networks import sequence, step

        graph = new_graph()
    except (ImportError, ExportError) as error:
        raise LeftOutError(str(error)) from None
    shapes = network.network.state
    weights = {name: array.astype(np.float32) for name, array in network.canonical_weights().items()}
    values = graph.input("inputs", np.float32, ["batch", "steps", workload.inputs])
    steps_first = graph.add("Transpose", values, perm=[1, 0, 2])
    if workload.kind == "stream":
        before = {part: graph.input(f"old_{part}", np.float32, ["batch", width]) for part, width in shapes.items()}
        now = graph.add("Squeeze", steps_first, graph.constant(np.array([0])))
        outputs, after = step(graph, network.network, weights, now, before)
        graph.output("outputs", outputs, np.float32, ["batch", workload.units])
    else:
        outputs, after = sequence(graph, network.network, weights, steps_first, "")
        graph.output("outputs", outputs, np.float32, ["steps", "batch", workload.units])
    for part, width in shapes.items():
        graph.output(part, after[part], np.float32, ["batch", width])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    file = graph.model("bench", {}).SerializeToString()
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    if workload.kind != "stream":
        return lambda state: session.run(None, {"inputs": x})
    zero = [np.zeros((len(x), width), np.float32) for width in shapes.values()]

    def one(state: Any) -> Any:
        given = dict(zip([f"old_{part}" for part in shapes], zero if state is None else state, strict=True))
        return session.run(None, {"inputs": x, **given})[1:]

    return one
