"""BasicLSTMCell and LSTMCell, found by what they compute (python/ops/rnn_cell_impl.py)."""

from __future__ import annotations

from torch_impl.tf1.graphs.meta import Node, Tensor
from torch_impl.tf1.graphs.normalised import layer_norm_lstm
from torch_impl.tf1.graphs.pieces import (
    Found,
    Linear,
    Step,
    Stored,
    Unlike,
    Variables,
    biased,
    carried,
    clipped,
    columns_of,
    other_input,
    recurring,
    split_parts,
    width_of,
)
from torch_impl.tf1.graphs.walk import Walk, first, rounded
from unrolled.networks import LSTM

__all__ = ["read_lstm"]


def read_lstm(walk: Walk, variables: Variables, linear: Linear) -> tuple[Found, Step] | None:
    """BasicLSTMCell, LSTMCell, and the layer-normalised one's outline."""
    split = first(node for node in walk.users(linear.result, "Split", "SplitV") if split_parts(node) == 4)
    if split is None:
        return None
    piece = [Tensor(split.name, k) for k in range(4)]
    gates = [walk.sum_to(piece[k], "Sigmoid") for k in (0, 2, 3)]
    if any(gate is None for gate in gates):
        if walk.users(piece[0], "Mean", "SquaredDifference", "StopGradient"):
            return layer_norm_lstm(walk, variables, linear.kernel, piece, linear.inputs, linear.h)
        raise Unlike("four gates that are not those of a TensorFlow 1 LSTM")
    known = [gate for gate in gates if gate is not None]
    into, forget, out = (Tensor(gate.name) for gate in known)
    product = first(node for node in walk.users(into, "Mul"))
    if product is None:
        raise Unlike("an LSTM whose input gate is not multiplied")
    candidate = other_input(walk, product, into)
    activation = walk.activation(piece[1], candidate)
    total = first(walk.users(Tensor(product.name), "Add", "AddV2"))
    if total is None or activation is None:
        raise Unlike(f"an LSTM whose activation {walk.op(walk.strip(candidate))} has no name here")
    kept = walk.node(walk.strip(other_input(walk, total, Tensor(product.name))))
    if kept.op != "Mul":
        raise Unlike("an LSTM whose old state is not multiplied")
    c_before = other_input(walk, kept, forget)
    c, cell_clip = clipped(walk, Tensor(total.name))
    result = first(walk.users(out, "Mul"))
    if result is None or walk.activation(c, other_input(walk, result, out)) != activation:
        raise Unlike("an LSTM with another activation for its output than for its candidate")
    bias_f, peep_f = _extras(walk, variables, known[1], piece[2])
    bias_i, peep_i = _extras(walk, variables, known[0], piece[0])
    bias_o, peep_o = _extras(walk, variables, known[2], piece[3])
    if bias_i or bias_o:
        raise Unlike("an LSTM with constants added to its input or output gate")
    end, projection, projection_clip = _projected(walk, variables, Tensor(result.name), linear.h)
    peepholes = {"w_f_diag": peep_f, "w_i_diag": peep_i, "w_o_diag": peep_o}
    if any(peepholes.values()) and not all(peepholes.values()):
        raise Unlike("an LSTM with some peepholes only")
    units = width_of(walk, variables, linear.kernel, 4)
    width = None if projection is None else columns_of(walk, projection)
    network = LSTM(units, activation, bias_f, all(peepholes.values()), width, cell_clip, projection_clip)
    weights = {"kernel": linear.kernel, "bias": linear.bias or Stored(zeros=(4 * units,))}
    weights.update({name: stored for name, stored in peepholes.items() if stored})
    if projection is not None:
        weights["projection/kernel"] = projection
    step = Step(linear.inputs, linear.h, end, {"c": c, "h": end}, {"c": c_before, "h": linear.h})
    return Found(network, weights), recurring(walk, step)


def _extras(walk: Walk, variables: Variables, gate: Node, own: Tensor) -> tuple[float, Stored | None]:
    """What is added to a gate beside its piece of the product: a constant, and a peephole."""
    bias, peephole = 0.0, None
    for term in walk.terms(gate.inputs[0]):
        if term == own:
            continue
        number = walk.number(term)
        node = walk.node(term)
        if number is not None:
            bias += number
        elif node.op == "Mul":
            found = first(name for each in node.inputs if (name := variables.at(each)))
            if found is None:
                raise Unlike("an LSTM with a product added to a gate")
            peephole = Stored(found)
        else:
            raise Unlike(f"an LSTM with {node.op} added to a gate")
    return rounded(bias), peephole


def _projected(
    walk: Walk, variables: Variables, result: Tensor, h: Tensor
) -> tuple[Tensor, Stored | None, float | None]:
    """LSTMCell's projection of h: its result, its kernel, its clip. An OutputProjectionWrapper has a bias, and what
    comes back as h is not projected: then there is none."""
    for node in walk.users(result, "MatMul"):
        kernel = variables.at(node.inputs[1])
        end, bias = biased(walk, variables, Tensor(node.name))
        if not kernel or bias is not None:
            continue
        end, clip = clipped(walk, Tensor(node.name))
        if end in set(carried(walk, h)) or _reaches(walk, end, h):
            return end, Stored(kernel), clip
    return result, None, None


def _reaches(walk: Walk, end: Tensor, h: Tensor) -> bool:
    """Whether a written-out step's h may be this result of a step before: both of the same product's kernel."""
    source = walk.node(walk.strip(h))
    for _ in range(4):
        if source.op in ("Maximum", "Minimum", "ClipByValue") and source.inputs:
            source = walk.node(walk.strip(source.inputs[0]))
    return source.op == "MatMul" or bool(walk.users(end, "ConcatV2"))
