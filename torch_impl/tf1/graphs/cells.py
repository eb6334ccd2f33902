"""The cells of a graph, found by what they compute: a product with concat(inputs, h), and what becomes of it.

TensorFlow 1's own cells are in python/ops/rnn_cell_impl.py, the block operations in contrib's lstm_ops.py, gru_ops.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch_impl.tf1.graphs import blocks, handmade, keras
from torch_impl.tf1.graphs.gru import read_gru
from torch_impl.tf1.graphs.lstm import read_lstm
from torch_impl.tf1.graphs.meta import Tensor
from torch_impl.tf1.graphs.pieces import (
    Cell,
    Found,
    Linear,
    Step,
    Stored,
    Unlike,
    Variables,
    carried,
    recurring,
    width_of,
)
from torch_impl.tf1.graphs.walk import Walk, first
from unrolled.networks import BasicRNN

__all__ = ["find_cells"]


def find_cells(walk: Walk, variables: Variables) -> tuple[list[Cell], list[str]]:
    """The cells, and a sentence for each that is like none that is known."""
    steps: dict[tuple[Any, ...], tuple[Found, list[Step]]] = {}
    doubts: list[str] = []
    for found, step in _candidates(walk, variables, doubts):
        key = (step.frame, step.h if step.frame else "", tuple(found.weights.items()), found.network)
        steps.setdefault(key, (found, []))[1].append(step)
    cells = []
    for _, own in steps.values():
        walk.marked.update(step.output for step in own)
    for found, own in steps.values():
        scope = next(iter(found.weights.values())).parts[0].rpartition("/")[0]
        for chain in _chains(walk, own):
            cells.append(Cell(found, chain, scope))
    return cells, doubts


def _chains(walk: Walk, steps: list[Step]) -> Iterator[list[Step]]:
    """Steps that follow each other; in a loop each is all."""
    if steps[0].frame:
        yield from ([step] for step in steps)
        return
    outputs = {step.output: step for step in steps}
    after = {id(step): outputs.get(walk.strip(step.h)) for step in steps}
    follows = {id(before): step for step in steps if (before := after[id(step)]) is not None}
    for step in steps:
        if after[id(step)] is None:
            chain = [step]
            while id(chain[-1]) in follows and len(chain) <= len(steps):
                chain.append(follows[id(chain[-1])])
            yield chain


def _candidates(walk: Walk, variables: Variables, doubts: list[str]) -> Iterator[tuple[Found, Step]]:
    for node in walk.graph.of("MatMul"):
        kernel = variables.at(node.inputs[1])
        joined = walk.node(walk.strip(node.inputs[0]))
        if not kernel or node.attribute("transpose_a") or node.attribute("transpose_b") or joined.op != "ConcatV2":
            continue
        if len(joined.inputs) != 3:
            continue
        linear = Linear(walk, variables, node, kernel, joined.inputs[0], joined.inputs[1])
        for read in (read_lstm, read_gru, _plain):
            try:
                found = read(walk, variables, linear)
            except Unlike as error:
                doubts.append(f"{kernel[0]}: {error}")
                break
            if found is not None:
                yield found
                break
    yield from blocks.candidates(walk, variables)
    yield from handmade.candidates(walk, variables)
    yield from keras.candidates(walk, variables, doubts)


def _plain(walk: Walk, variables: Variables, linear: Linear) -> tuple[Found, Step] | None:
    """BasicRNNCell: h' = activation(product), which comes back as h."""
    found = list(carried(walk, linear.h))
    end = first(each for each in found if linear.result.node in walk.ancestors(each, 30))
    if not found:  # written out: the activated product that enters the next step's concat
        end = first(
            Tensor(user.name) for user in walk.users(linear.result) if walk.users(Tensor(user.name), "ConcatV2")
        ) or first(Tensor(user.name) for user in walk.users(linear.result) if len(user.inputs) == 1)
        before = walk.node(walk.strip(linear.h))
        first_step = before.op in ("Fill", "Const", "ZerosLike", "Placeholder")
        if not first_step and end is not None and walk.op(end) != before.op:
            return None
    if end is None:
        return None
    activation = walk.activation(linear.result, end)
    if activation is None:
        return None
    units = width_of(walk, variables, linear.kernel, 1)
    weights = {"kernel": linear.kernel, "bias": linear.bias or Stored(zeros=(units,))}
    step = Step(linear.inputs, linear.h, end, {"h": end}, {"h": linear.h})
    return Found(BasicRNN(units, activation), weights), recurring(walk, step)
