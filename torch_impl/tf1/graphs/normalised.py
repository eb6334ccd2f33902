"""LayerNormBasicLSTMCell: an LSTM each of whose gates, and whose new state, is normalised on its own.

contrib/rnn/python/ops/rnn_cell.py; the normalisation is nn.batch_normalization over a row's units, z * inv + (beta -
mean * inv) with inv = gamma / sqrt(variance + epsilon).
"""

from __future__ import annotations

from torch_impl.tf1.graphs.meta import Node, Tensor
from torch_impl.tf1.graphs.pieces import Found, Step, Stored, Unlike, Variables, other_input, recurring, shape_of
from torch_impl.tf1.graphs.walk import Walk, first, rounded
from unrolled.networks import LayerNormLSTM
from unrolled.networks.layer_norm_lstm import EPSILON

__all__ = ["layer_norm_lstm"]


def layer_norm_lstm(
    walk: Walk, variables: Variables, kernel: Stored, piece: list[Tensor], inputs: Tensor, h: Tensor
) -> tuple[Found, Step]:
    """The cell whose four pieces of the product these are, i, j, f, o."""
    weights = {"kernel": kernel}
    ends = {}
    for tensor, name in zip(piece, ("input", "transform", "forget", "output"), strict=True):
        ends[name] = _normed(walk, variables, tensor, name, weights)
    gates = {name: walk.sum_to(ends[name], "Sigmoid") for name in ("input", "forget", "output")}
    missing = [name for name, gate in gates.items() if gate is None]
    if missing:
        raise Unlike(f"an LSTM with layer normalisation whose {missing[0]} gate is not found")
    into, _forget, out = (Tensor(gates[name].name) for name in ("input", "forget", "output"))  # type: ignore[union-attr]
    product = first(walk.users(into, "Mul"))
    if product is None:
        raise Unlike("an LSTM with layer normalisation whose input gate is not multiplied")
    candidate, keep = walk.strip(other_input(walk, product, into)), 1.0
    dropped = walk.dropouts.get(candidate)
    if dropped is not None:
        candidate, keep = dropped.data, dropped.keep if dropped.keep is not None else 1.0
    activation = walk.activation(ends["transform"], candidate)
    total = first(walk.users(Tensor(product.name), "Add", "AddV2"))
    if total is None or activation is None:
        raise Unlike("an LSTM with layer normalisation whose activation has no name here")
    c = _normed(walk, variables, Tensor(total.name), "state", weights)
    result = first(walk.users(out, "Mul"))
    if result is None or walk.activation(c, other_input(walk, result, out)) != activation:
        raise Unlike("an LSTM with layer normalisation and another activation for its output")
    units = shape_of(walk, kernel.parts[0])[-1] // 4
    end = Tensor(result.name)
    network = LayerNormLSTM(units, activation, _bias(walk, gates["forget"], ends["forget"]), keep)
    return Found(network, weights), recurring(walk, Step(inputs, h, end, {"c": c, "h": end}, {"h": h}))


def _bias(walk: Walk, gate: Node | None, own: Tensor) -> float:
    """The forget bias: what is added to the normalised piece."""
    assert gate is not None
    added = walk.strip(gate.inputs[0])
    node = walk.node(added)
    if added == own or node.op not in ("Add", "AddV2"):
        return 0.0
    numbers = [walk.number(each) for each in node.inputs]
    return rounded(next((number for number in numbers if number is not None), 0.0))


def _normed(walk: Walk, variables: Variables, tensor: Tensor, name: str, weights: dict[str, Stored]) -> Tensor:
    """What a tensor is normalised to; notes gamma and beta."""
    for scaled in walk.users(tensor, "Mul"):
        inverse = walk.node(walk.strip(other_input(walk, scaled, tensor)))
        total = first(walk.users(Tensor(scaled.name), "Add", "AddV2"))
        if inverse.op != "Mul" or total is None:
            continue
        gamma = first(found for each in inverse.inputs if (found := variables.at(each)))
        root = first(node for each in inverse.inputs if (node := walk.node(walk.strip(each))).op == "Rsqrt")
        shift = walk.node(walk.strip(other_input(walk, total, Tensor(scaled.name))))
        beta = variables.at(shift.inputs[0]) if shift.op == "Sub" else ()
        if gamma is None or root is None or not beta:
            continue
        added = walk.node(walk.strip(root.inputs[0]))
        epsilon = first(number for each in added.inputs if (number := walk.number(each)) is not None)
        if epsilon is None or abs(epsilon - EPSILON) > 1e-6 * EPSILON:
            raise Unlike(f"layer normalisation with epsilon {epsilon}, expected {EPSILON}")
        weights[f"{name}/gamma"], weights[f"{name}/beta"] = Stored(gamma), Stored(beta)
        return Tensor(total.name)
    raise Unlike(f"an LSTM with layer normalisation whose {name} norm is not found")
