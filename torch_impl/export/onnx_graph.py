"""An ONNX graph as it grows."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from torch_impl.export.scaled import ExportError

__all__ = ["Graph", "new_graph"]

OPSET, IR_VERSION = 17, 8  # read by onnxruntime 1.12 (2022) and later


class Graph:
    """An ONNX graph as it grows; every value is a name. prefix: what the names in it begin with, for a body within
    another graph, whose names it must not use again."""

    def __init__(self, onnx: Any, prefix: str = "") -> None:
        self.onnx, self.prefix = onnx, prefix
        kinds = (np.float32, np.float64, np.int32, np.int64, np.bool_)
        self.types: dict[Any, int] = {kind: onnx.helper.np_dtype_to_tensor_dtype(np.dtype(kind)) for kind in kinds}
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []

    def input(self, name: str, kind: Any, shape: Sequence[int | str]) -> str:
        self.inputs.append(self.onnx.helper.make_tensor_value_info(self.prefix + name, self.types[kind], shape))
        return self.prefix + name

    def output(self, name: str, value: str, kind: Any, shape: Sequence[int | str]) -> None:
        self.nodes.append(self.onnx.helper.make_node("Identity", [value], [self.prefix + name]))
        self.outputs.append(self.onnx.helper.make_tensor_value_info(self.prefix + name, self.types[kind], shape))

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

    def cast(self, value: str, kind: Any) -> str:
        """The value in another dtype."""
        return self.add("Cast", value, to=self.types[kind])

    def body(self, name: str) -> Graph:
        """A graph for a loop's body, which may use the values of this one."""
        return Graph(self.onnx, f"{self.prefix}{name}_{len(self.nodes)}_")

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


def new_graph() -> Graph:
    """ExportError where the package onnx is missing."""
    try:
        return Graph(importlib.import_module("onnx"))
    except ImportError as error:
        raise ExportError(f"export to ONNX needs the package onnx ({error}); pip install 'unrolled[onnx]'") from None
