"""What each operation of a TensorFlow 1 graph computes, as NumPy says it: those of models' forward passes.

Definitions are TensorFlow's (tensorflow.org/versions/r1.15/api_docs/cc); block cells are core/kernels of contrib's
lstm_ops.cc and gru_ops.cc. Each function takes the node, for its attributes, and the values of its inputs, and gives a
value, or a list of them where the operation has several outputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from torch_impl.tf1.graphs.attributes import DTYPES
from torch_impl.tf1.graphs.meta import Node

__all__ = ["OPERATIONS", "Unknown", "activated", "product"]

_MOST_ENTRIES = 1 << 26  # of one tensor
_PART = 1 << 22


class Unknown(Exception):  # noqa: N818 (what it says is of the graph)
    """The graph holds what cannot be computed here; the message says what."""


def sigmoid(x: Any) -> Any:
    return 0.5 * (np.tanh(0.5 * x) + 1.0)


def _reduced(function: Callable[..., Any]) -> Callable[..., Any]:
    def reduce(node: Node, x: Any, axes: Any) -> Any:
        return function(x, axis=tuple(np.ravel(axes).tolist()), keepdims=bool(node.attribute("keep_dims", False)))

    return reduce


def product(a: Any, b: np.ndarray) -> Any:
    """a @ b in the precision of a, where b may be a large matrix of another: then a part of its columns at a time."""
    if b.dtype == a.dtype or b.ndim != 2 or b.size <= _PART:
        return a @ b
    columns = max(1, _PART // max(1, b.shape[0]))
    parts = [a @ b[:, start : start + columns].astype(a.dtype) for start in range(0, b.shape[1], columns)]
    return np.concatenate(parts, axis=-1)


def _matmul(node: Node, a: Any, b: Any) -> Any:
    batch = node.op.startswith("Batch")
    a = a.swapaxes(-1, -2) if node.attribute("adj_x" if batch else "transpose_a") else a
    b = b.swapaxes(-1, -2) if node.attribute("adj_y" if batch else "transpose_b") else b
    return product(a, b)


def _strided_slice(node: Node, x: Any, begin: Any, end: Any, strides: Any) -> Any:
    x = np.asarray(x)
    bit = {
        name: int(node.attribute(name + "_mask", 0)) for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
    }
    index: list[Any] = []
    for k in range(len(begin)):
        if bit["ellipsis"] >> k & 1:
            index.append(Ellipsis)
        elif bit["new_axis"] >> k & 1:
            index.append(None)
        elif bit["shrink_axis"] >> k & 1:
            index.append(int(begin[k]))
        else:
            start = None if bit["begin"] >> k & 1 else int(begin[k])
            stop = None if bit["end"] >> k & 1 else int(end[k])
            index.append(slice(start, stop, int(strides[k])))
    return x[tuple(index)]


def _slice(node: Node, x: Any, begin: Any, size: Any) -> Any:
    parts = zip(np.ravel(begin).tolist(), np.ravel(size).tolist(), strict=False)
    return x[tuple(slice(b, None if s == -1 else b + s) for b, s in parts)]


def _split(node: Node, axis: Any, x: Any) -> list[Any]:
    return list(np.split(x, int(node.attribute("num_split")), axis=int(axis)))


def _split_sizes(node: Node, x: Any, sizes: Any, axis: Any) -> list[Any]:
    return list(np.split(x, np.cumsum(sizes)[:-1].tolist(), axis=int(axis)))


def _fill(node: Node, shape: Any, value: Any) -> Any:
    sizes = tuple(np.ravel(shape).tolist())
    if math.prod(sizes) > _MOST_ENTRIES:
        raise Unknown(f"a tensor of shape {sizes}")
    return np.full(sizes, value, getattr(value, "dtype", None))


def _cast(node: Node, x: Any) -> Any:
    return np.asarray(x).astype(DTYPES[int(node.attribute("DstT"))])


def _reverse_sequence(node: Node, x: Any, lengths: Any) -> Any:
    steps, rows = int(node.attribute("seq_dim")), int(node.attribute("batch_dim", 0))
    found = np.moveaxis(x, (rows, steps), (0, 1)).copy()
    for row, length in enumerate(lengths):
        found[row, :length] = found[row, :length][::-1]
    return np.moveaxis(found, (0, 1), (rows, steps))


def _reverse(node: Node, x: Any, axes: Any) -> Any:
    return np.flip(x, tuple(np.ravel(axes).tolist()))


def _gather(node: Node, x: Any, indices: Any, axis: Any = 0, *_: Any) -> Any:
    indices = np.asarray(indices)
    if indices.size and (indices.min() < 0 or indices.max() >= x.shape[int(axis)]):
        raise Unknown("a look-up beyond the table")
    return np.take(x, indices, axis=int(axis))


def _gather_nd(node: Node, x: Any, indices: Any) -> Any:
    return x[tuple(np.moveaxis(np.asarray(indices), -1, 0))]


def _unpack(node: Node, x: Any) -> list[Any]:
    return list(np.moveaxis(x, int(node.attribute("axis", 0)), 0))


def _squeeze(node: Node, x: Any) -> Any:
    axes = node.attribute("squeeze_dims", []) or None
    return np.squeeze(x, None if axes is None else tuple(axes))


def _partition(node: Node, x: Any, parts: Any) -> list[Any]:
    return [x[np.asarray(parts) == k] for k in range(int(node.attribute("num_partitions")))]


def _stitch(node: Node | None, *given: Any) -> Any:
    half = len(given) // 2
    indices, data = given[:half], given[half:]
    rank = np.ndim(indices[0])
    rows = max((int(np.max(each)) + 1 for each in indices if np.size(each)), default=0)
    found = np.zeros((rows, *np.shape(data[0])[rank:]), np.asarray(data[0]).dtype)
    for where, each in zip(indices, data, strict=False):
        found[np.ravel(where)] = np.reshape(each, (-1, *found.shape[1:]))
    return found


def _one_hot(node: Node, indices: Any, depth: Any, on: Any, off: Any) -> Any:
    axis = int(node.attribute("axis", -1))
    hot = np.asarray(indices)[..., None] == np.arange(int(depth))
    return np.moveaxis(np.where(hot, on, off), -1, axis)


def _softmax(node: Node, x: Any) -> Any:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def _cross_entropy(node: Node, logits: Any, labels: Any) -> list[Any]:
    """Each row's; its gradient, the second output, is of no forward pass."""
    shares = np.log(_softmax(node, logits))
    if node.op.startswith("Sparse"):
        return [-np.take_along_axis(shares, np.asarray(labels)[..., None], -1)[..., 0]]
    return [-(labels * shares).sum(-1)]


def _bias_add(node: Node, x: Any, bias: Any) -> Any:
    if node.attribute("data_format", "NHWC") != "NHWC" and np.ndim(x) > 2:
        raise Unknown("a bias added along the second axis")
    return x + bias


def _select(node: Node, condition: Any, x: Any, y: Any) -> Any:
    condition = np.asarray(condition)
    if node.op == "Select" and condition.ndim == 1 and np.ndim(x) > 1:
        condition = condition.reshape(-1, *[1] * (np.ndim(x) - 1))
    return np.where(condition, x, y)


# A TensorArray is a dict from index to value; it travels as the handle and the flow at once.


def _array(node: Node, size: Any) -> list[Any]:
    return [{"size": int(size)}, {"size": int(size)}]


def _array_read(node: Node, handle: Any, index: Any, flow: Any) -> Any:
    return flow[int(index)]


def _array_write(node: Node, handle: Any, index: Any, value: Any, flow: Any) -> Any:
    return {**flow, int(index): value}


def _array_gather(node: Node, handle: Any, indices: Any, flow: Any) -> Any:
    known = [each for index, each in flow.items() if index != "size"]
    empty = np.zeros_like(known[0]) if known else None  # what no step wrote, past the longest row, is zeros
    return np.stack([flow.get(int(k), empty) for k in np.ravel(indices)])


def _array_scatter(node: Node, handle: Any, indices: Any, value: Any, flow: Any) -> Any:
    return {**flow, **{int(k): each for k, each in zip(np.ravel(indices), value, strict=False)}}


def lstm_block(node: Node, x: Any, c: Any, h: Any, w: Any, wci: Any, wcf: Any, wco: Any, b: Any) -> list[Any]:
    """i, cs, f, o, ci, co, h of one step; what is not given as an attribute is the operation's default."""
    clip = float(node.attribute("cell_clip", 3.0))
    peephole = bool(node.attribute("use_peephole", False))
    i, j, f, o = np.split(np.concatenate([x, h], 1) @ w + b, 4, axis=1)
    i = sigmoid(i + c * wci if peephole else i)
    f = f + float(node.attribute("forget_bias", 1.0))
    f = sigmoid(f + c * wcf if peephole else f)
    ci = np.tanh(j)
    cs = ci * i + c * f
    cs = np.clip(cs, -clip, clip) if clip > 0 else cs
    o = sigmoid(o + cs * wco if peephole else o)
    co = np.tanh(cs)
    return [i, cs, f, o, ci, co, co * o]


def _block_lstm(node: Node, steps: Any, x: Any, c: Any, h: Any, *weights: Any) -> list[Any]:
    rows: list[list[Any]] = []
    for k in range(int(steps)):
        rows.append(lstm_block(node, x[k], c, h, *weights))
        c, h = rows[-1][1], rows[-1][6]
    padding = [np.zeros_like(h)] * (len(x) - len(rows))
    return [np.stack([row[part] for row in rows] + padding) for part in range(7)]


def _gru_block(node: Node, x: Any, h: Any, w_ru: Any, w_c: Any, b_ru: Any, b_c: Any) -> list[Any]:
    r, u = np.split(sigmoid(np.concatenate([x, h], 1) @ w_ru + b_ru), 2, axis=1)
    c = np.tanh(np.concatenate([x, r * h], 1) @ w_c + b_c)
    return [r, u, c, u * h + (1 - u) * c]


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    def apply(node: Node, *given: Any) -> Any:
        return function(*given)

    return apply


def _elu(x: Any) -> Any:
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def _div(x: Any, y: Any) -> Any:
    whole = np.asarray(x).dtype.kind in "iu" and np.asarray(y).dtype.kind in "iu"
    return np.trunc(x / y).astype(np.asarray(x).dtype) if whole else x / y


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "Add": np.add, "AddV2": np.add, "Sub": np.subtract, "Mul": np.multiply, "RealDiv": _div, "Div": _div,
    "FloorDiv": np.floor_divide, "FloorMod": np.mod, "Maximum": np.maximum, "Minimum": np.minimum, "Pow": np.power,
    "ClipByValue": lambda x, low, high: np.clip(x, low, high), "AddN": lambda *each: sum(each[1:], each[0]),
    "Less": np.less, "LessEqual": np.less_equal, "Greater": np.greater, "GreaterEqual": np.greater_equal,
    "Equal": np.equal, "NotEqual": np.not_equal, "LogicalAnd": np.logical_and, "LogicalOr": np.logical_or,
    "LogicalNot": np.logical_not, "Sigmoid": sigmoid, "Tanh": np.tanh, "Relu": lambda x: np.maximum(x, 0),
    "Relu6": lambda x: np.clip(x, 0, 6), "Softplus": lambda x: np.logaddexp(x, 0), "Elu": _elu,
    "Softsign": lambda x: x / (1 + np.abs(x)), "Exp": np.exp, "Log": np.log, "Neg": np.negative, "Abs": np.abs,
    "Selu": lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0))),
    "Square": np.square, "Sqrt": np.sqrt, "Rsqrt": lambda x: 1 / np.sqrt(x), "Floor": np.floor, "Ceil": np.ceil,
    "SquaredDifference": lambda x, y: np.square(x - y), "Sign": np.sign, "Reciprocal": lambda x: 1 / x,
    "ZerosLike": np.zeros_like, "OnesLike": np.ones_like, "Identity": lambda x: x, "StopGradient": lambda x: x,
    "PreventGradient": lambda x: x, "CheckNumerics": lambda x: x, "Print": lambda x, *_: x, "LoopCond": lambda x: x,
    "NextIteration": lambda x: x, "ReadVariableOp": lambda x: x, "PlaceholderWithDefault": lambda x: x,
    "Snapshot": lambda x: x, "EnsureShape": lambda x: x, "RefIdentity": lambda x: x,
    "Reshape": lambda x, shape: np.reshape(x, np.ravel(shape).tolist()), "Transpose": np.transpose,
    "ExpandDims": lambda x, axis: np.expand_dims(x, int(np.ravel(axis)[0])), "Rank": lambda x: np.int32(np.ndim(x)),
    "Size": lambda x: np.int32(np.size(x)), "Range": np.arange, "Tile": lambda x, n: np.tile(x, np.ravel(n).tolist()),
    "Concat": lambda axis, *each: np.concatenate(each, int(axis)),
    "ConcatV2": lambda *each: np.concatenate(each[:-1], int(each[-1])),
    "BroadcastTo": lambda x, shape: np.broadcast_to(x, np.ravel(shape).tolist()),
    "Where": lambda x: np.argwhere(x).astype(np.int64), "L2Loss": lambda x: np.sum(np.square(x)) / 2,
    "TensorArraySizeV3": lambda handle, flow: np.int32(handle["size"]), "TensorArrayCloseV3": lambda *_: 0,
    "DivNoNan": lambda x, y: np.where(np.equal(y, 0), 0.0, x / np.where(np.equal(y, 0), 1.0, y)),
    "Log1p": np.log1p, "Expm1": np.expm1, "Pad": lambda x, pads: np.pad(x, np.asarray(pads)),
    "DynamicStitch": lambda *each: _stitch(None, *each), "ParallelDynamicStitch": lambda *each: _stitch(None, *each),
}  # fmt: skip

OPERATIONS: dict[str, Callable[..., Any]] = {
    **{name: _plain(function) for name, function in _FUNCTIONS.items()},
    "Const": lambda node: node.constant,
    "Shape": lambda node, x: np.array(np.shape(x), DTYPES[int(node.attribute("out_type", 3))]),
    "Pack": lambda node, *each: np.stack(each, int(node.attribute("axis", 0))),
    "SparseSoftmaxCrossEntropyWithLogits": _cross_entropy, "SoftmaxCrossEntropyWithLogits": _cross_entropy,
    "LogSoftmax": lambda node, x: np.log(_softmax(node, x)),
    "LeakyRelu": lambda node, x: np.where(x > 0, x, x * float(node.attribute("alpha", 0.2))),
    "ArgMax": lambda node, x, axis: np.argmax(x, int(axis)),
    "Mean": _reduced(np.mean), "Sum": _reduced(np.sum), "Max": _reduced(np.max), "Min": _reduced(np.min),
    "Prod": _reduced(np.prod), "All": _reduced(np.all), "Any": _reduced(np.any),
    "MatMul": _matmul, "BatchMatMul": _matmul, "BatchMatMulV2": _matmul, "BiasAdd": _bias_add, "Softmax": _softmax,
    "StridedSlice": _strided_slice, "Slice": _slice, "Split": _split, "SplitV": _split_sizes, "Fill": _fill,
    "Cast": _cast, "ReverseSequence": _reverse_sequence, "ReverseV2": _reverse, "Gather": _gather, "GatherV2": _gather,
    "ResourceGather": _gather, "GatherNd": _gather_nd, "Unpack": _unpack, "Squeeze": _squeeze, "OneHot": _one_hot,
    "DynamicPartition": _partition, "Select": _select, "SelectV2": _select,
    "TensorArrayV3": _array, "TensorArrayReadV3": _array_read, "TensorArrayWriteV3": _array_write,
    "TensorArrayGatherV3": _array_gather, "TensorArrayScatterV3": _array_scatter,
    "LSTMBlockCell": lstm_block, "BlockLSTM": _block_lstm, "GRUBlockCell": _gru_block,
}  # fmt: skip


def activated(name: str, values: np.ndarray) -> np.ndarray:
    """An activation of unrolled.networks.ACTIVATIONS, by its name."""
    if name == "linear":
        return values
    if name == "hard_sigmoid":
        return np.clip(values / 5 + 0.5, 0, 1)
    node: Any = None  # none of them has attributes
    return np.asarray(OPERATIONS[name.capitalize()](node, values))
