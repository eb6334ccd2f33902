"""Contrib's block operations, each of which is a cell's whole step, or a whole sequence: the law is in attributes.

tensorflow/contrib/rnn/ops/lstm_ops.cc, gru_ops.cc. Their defaults, which a saved graph leaves out, are a forget bias
of 1, a cell clip of 3 and no peepholes; a clip of 0 or less is none. The gradient takes no notice of the clip.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch_impl.tf1.graphs.meta import Node, Tensor
from torch_impl.tf1.graphs.pieces import Found, Step, Stored, Unlike, Variables, recurring, shape_of
from torch_impl.tf1.graphs.walk import Walk, rounded
from unrolled.networks import GRU, LSTM

__all__ = ["WHOLE", "candidates"]

WHOLE = "BlockLSTM"  # the operation over all steps


def candidates(walk: Walk, variables: Variables) -> Iterator[tuple[Found, Step]]:
    """Each block cell and its step; of BlockLSTM all steps are one, in a "loop" of the node's name."""
    for node in walk.graph.of("LSTMBlockCell", WHOLE):
        given = node.inputs[1:] if node.op == WHOLE else node.inputs
        found = _lstm(walk, variables, node, given[3:])
        if found is None:
            continue
        h, c = Tensor(node.name, 6), Tensor(node.name, 1)
        step = Step(given[0], given[2], h, {"c": c, "h": h}, {"c": given[1], "h": given[2]})
        if node.op == WHOLE:
            step.frame = node.name
            yield found, step
        else:
            yield found, recurring(walk, step)
    for node in walk.graph.of("GRUBlockCell"):
        names = [variables.at(each) for each in node.inputs[2:6]]
        if all(names):
            order = ("gates/kernel", "candidate/kernel", "gates/bias", "candidate/bias")
            units = shape_of(walk, names[1][0])[-1]
            h = Tensor(node.name, 3)
            step = Step(node.inputs[0], node.inputs[1], h, {"h": h}, {"h": node.inputs[1]})
            weights = {name: Stored(stored) for name, stored in zip(order, names, strict=False)}
            yield Found(GRU(units), weights), recurring(walk, step)


def _lstm(walk: Walk, variables: Variables, node: Node, weights: tuple[Tensor, ...]) -> Found | None:
    kernel, *peepholes, bias = (variables.at(each) for each in weights)
    if not kernel:
        return None
    columns = shape_of(walk, kernel[0])[-1]
    if columns % 4:
        raise Unlike(f"a block LSTM with {columns} columns")
    clip = rounded(float(node.attribute("cell_clip", 3.0)))
    seeing = bool(node.attribute("use_peephole", False))
    network = LSTM(
        columns // 4,
        forget_bias=rounded(float(node.attribute("forget_bias", 1.0))),
        peepholes=seeing,
        cell_clip=clip if clip > 0 else None,
        straight_through=clip > 0,
    )
    found = {"kernel": Stored(kernel), "bias": Stored(bias) if bias else Stored(zeros=(columns,))}
    if seeing:
        found.update(zip(("w_i_diag", "w_f_diag", "w_o_diag"), map(Stored, peepholes), strict=False))
    return Found(network, found)
