"""The cells of a graph, found by what they compute: a product with concat(inputs, h), and what becomes of it.

TensorFlow 1's own cells are in python/ops/rnn_cell_impl.py; the block operations in contrib's lstm_ops.py and gru_ops.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch_impl.tf1.graphs.meta import Node, Tensor
from torch_impl.tf1.graphs.walk import Walk, first, rounded
from unrolled.networks import GRU, LSTM, BasicRNN, Network

__all__ = ["Cell", "Found", "Step", "Stored", "find_cells"]


class Stored(NamedTuple):
    """Where a canonical weight is: its variable's parts, one below the other; transposed there or not.

    zeros: there is none, for a model without a bias: zeros of this size.
    """

    parts: tuple[str, ...] = ()
    transposed: bool = False
    zeros: tuple[int, ...] = ()


class Found(NamedTuple):
    """A network and where its weights are, by canonical name."""

    network: Network
    weights: dict[str, Stored]


@dataclass
class Step:
    """One step of a cell in the graph: what it reads, its state before, its output; state: what is carried on, by
    part. frame: the loop that it is in, "" where steps are written out."""

    inputs: Tensor
    h: Tensor
    output: Tensor
    state: dict[str, Tensor]
    before: dict[str, Tensor]
    frame: str = ""
    state_keep: float | None = 1.0
    state_fed: str | None = None


@dataclass
class Cell:
    """A cell: its value, where its weights are, and its steps: one in a loop, or all, in order. units: of h."""

    found: Found
    steps: list[Step]
    scope: str
    doubts: list[str] = field(default_factory=list)


class Unlike(Exception):  # noqa: N818 (what it says is that a cell is)
    """A product that begins like a cell, and is none that is known."""


def find_cells(walk: Walk, variables: Variables) -> tuple[list[Cell], list[str]]:
    """The cells, and a sentence for each that is like none that is known."""
    steps: dict[tuple[Any, ...], tuple[Found, list[Step]]] = {}
    doubts = []
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


class Variables:
    """Which tensors are variables, whole ones or slices put together."""

    def __init__(self, walk: Walk, groups: dict[str, tuple[str, ...]]) -> None:
        """groups: a node of a slice -> all slices' nodes of its variable, in order."""
        self.walk, self.groups = walk, groups

    def at(self, tensor: Tensor) -> tuple[str, ...]:
        """The nodes of the variable that a tensor is the whole of; empty for anything else."""
        name = self.walk.graph.variable(tensor)
        if name is not None:
            group = self.groups.get(name, (name,))
            return group if len(group) == 1 else ()
        node = self.walk.node(tensor)
        for _ in range(4):
            if node.op not in ("Identity", "Enter") or not node.inputs:
                break
            node = self.walk.node(node.inputs[0])
        if node.op == "ConcatV2":
            names = [self.walk.graph.variable(each) for each in node.inputs[:-1]]
            if names and names[0] is not None and self.groups.get(names[0]) == tuple(names):  # type: ignore[comparison-overlap]
                return self.groups[names[0]]
        return ()


def _candidates(walk: Walk, variables: Variables, doubts: list[str]) -> Iterator[tuple[Found, Step]]:
    for node in walk.graph.of("MatMul"):
        kernel = variables.at(node.inputs[1])
        joined = walk.node(walk.strip(node.inputs[0]))
        if not kernel or node.attribute("transpose_a") or node.attribute("transpose_b") or joined.op != "ConcatV2":
            continue
        if len(joined.inputs) != 3:
            continue
        linear = _Linear(walk, variables, node, kernel, joined.inputs[0], joined.inputs[1])
        for read in (_lstm, _gru, _plain):
            try:
                found = read(walk, variables, linear)
            except Unlike as error:
                doubts.append(f"{kernel[0]}: {error}")
                break
            if found is not None:
                yield found
                break
    from torch_impl.tf1.graphs import blocks, handmade, keras

    yield from blocks.candidates(walk, variables)
    yield from handmade.candidates(walk, variables)
    yield from keras.candidates(walk, variables, doubts)


class _Linear:
    """concat(inputs, h) @ kernel + bias. result: the tensor."""

    def __init__(
        self, walk: Walk, variables: Variables, node: Node, kernel: tuple[str, ...], inputs: Tensor, h: Tensor
    ) -> None:
        self.kernel, self.inputs, self.h = Stored(kernel), inputs, h
        self.result, self.bias = biased(walk, variables, Tensor(node.name))


def biased(walk: Walk, variables: Variables, product: Tensor) -> tuple[Tensor, Stored | None]:
    """A product with the bias that is added to it, and that bias; None where there is none."""
    for user in walk.users(product, "BiasAdd", "Add", "AddV2"):
        for position in (0, 1):
            bias = variables.at(user.inputs[position])
            if bias and walk.strip(user.inputs[1 - position]) == walk.strip(product):
                return Tensor(user.name), Stored(bias)
    return product, None


def _lstm(walk: Walk, variables: Variables, linear: _Linear) -> tuple[Found, Step] | None:
    """BasicLSTMCell, LSTMCell, and the layer-normalised one's outline."""
    split = first(node for node in walk.users(linear.result, "Split", "SplitV") if _parts(node) == 4)
    if split is None:
        return None
    piece = [Tensor(split.name, k) for k in range(4)]
    gates = [walk.sum_to(piece[k], "Sigmoid") for k in (0, 2, 3)]
    if any(gate is None for gate in gates):
        if walk.users(piece[0], "Mean", "SquaredDifference", "StopGradient"):
            from torch_impl.tf1.graphs.normalised import layer_norm_lstm

            return layer_norm_lstm(walk, variables, linear.kernel, piece, linear.inputs, linear.h)
        raise Unlike("four gates that are not those of a TensorFlow 1 LSTM")
    into, forget, out = (Tensor(gate.name) for gate in gates if gate is not None)
    product = first(node for node in walk.users(into, "Mul"))
    if product is None:
        raise Unlike("an LSTM whose input gate is not multiplied")
    candidate = _other(walk, product, into)
    activation = walk.activation(piece[1], candidate)
    total = first(walk.users(Tensor(product.name), "Add", "AddV2"))
    if total is None or activation is None:
        raise Unlike(f"an LSTM whose activation {walk.op(walk.strip(candidate))} has no name here")
    kept = walk.node(walk.strip(_other(walk, total, Tensor(product.name))))
    if kept.op != "Mul":
        raise Unlike("an LSTM whose old state is not multiplied")
    c_before = _other(walk, kept, forget)
    c, cell_clip = clipped(walk, Tensor(total.name))
    result = first(walk.users(out, "Mul"))
    if result is None or walk.activation(c, _other(walk, result, out)) != activation:
        raise Unlike("an LSTM with another activation for its output than for its candidate")
    bias_f, peep_f = _extras(walk, variables, gates[1], piece[2])
    bias_i, peep_i = _extras(walk, variables, gates[0], piece[0])
    bias_o, peep_o = _extras(walk, variables, gates[2], piece[3])
    if bias_i or bias_o:
        raise Unlike("an LSTM with constants added to its input or output gate")
    end, projection, projection_clip = _projected(walk, variables, Tensor(result.name), linear.h)
    peepholes = {"w_f_diag": peep_f, "w_i_diag": peep_i, "w_o_diag": peep_o}
    if any(peepholes.values()) and not all(peepholes.values()):
        raise Unlike("an LSTM with some peepholes only")
    units = _width(walk, variables, linear.kernel, 4)
    width = None if projection is None else _columns(walk, projection)
    network = LSTM(units, activation, bias_f, all(peepholes.values()), width, cell_clip, projection_clip)
    weights = {"kernel": linear.kernel, "bias": linear.bias or Stored(zeros=(4 * units,))}
    weights.update({name: stored for name, stored in peepholes.items() if stored})
    if projection is not None:
        weights["projection/kernel"] = projection
    step = Step(linear.inputs, linear.h, end, {"c": c, "h": end}, {"c": c_before, "h": linear.h})
    return Found(network, weights), _recurring(walk, step)


def _parts(node: Node) -> int:
    return int(node.attribute("num_split", 0))


def _other(walk: Walk, node: Node, tensor: Tensor) -> Tensor:
    """The other input of a sum or product."""
    same = walk.strip(tensor)
    return node.inputs[1] if walk.strip(node.inputs[0]) == same or node.inputs[0] == tensor else node.inputs[0]


def clipped(walk: Walk, tensor: Tensor) -> tuple[Tensor, float | None]:
    """What becomes of a tensor by clip_by_value, and its limit; the tensor and None where it is not clipped."""
    for node in walk.users(tensor, "Minimum", "ClipByValue"):
        limit = walk.number(node.inputs[1 if node.op == "Minimum" else 2])
        last = node if node.op == "ClipByValue" else first(walk.users(Tensor(node.name), "Maximum"))
        low = None if last is None else walk.number(last.inputs[1])
        if limit is not None and low == -limit and last is not None:
            return Tensor(last.name), limit
    return tensor, None


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
        if end in set(_carried(walk, h)) or _reaches(walk, end, h):
            return end, Stored(kernel), clip
    return result, None, None


def _reaches(walk: Walk, end: Tensor, h: Tensor) -> bool:
    """Whether a written-out step's h may be this result of a step before: both of the same product's kernel."""
    source = walk.node(walk.strip(h))
    for _ in range(4):
        if source.op in ("Maximum", "Minimum", "ClipByValue") and source.inputs:
            source = walk.node(walk.strip(source.inputs[0]))
    return source.op == "MatMul" or bool(walk.users(end, "ConcatV2"))


def _carried(walk: Walk, state: Tensor) -> Iterator[Tensor]:
    """What a loop carries on as this part of its state: the tensors that it may be, through dropouts and joins."""
    merge = walk.loop_of(state)
    if merge is None:
        return
    node = walk.node(merge)
    stack = [walk.node(node.inputs[1]).inputs[0]]
    for _ in range(200):
        if not stack:
            return
        current = walk.strip(stack.pop())
        yield current
        dropped = walk.dropouts.get(current)
        if dropped is not None:
            stack.append(dropped.data)
        elif walk.op(current) in ("ConcatV2", "Pack"):
            stack += walk.node(current).inputs


def _recurring(walk: Walk, step: Step) -> Step:
    """The step with its loop and its state's dropout; Unlike where its output does not come back as h."""
    walk.marked.update(step.state.values())
    merge = walk.loop_of(step.h)
    if merge is not None:
        step.frame = str(walk.node(walk.node(merge).inputs[0]).attribute("frame_name"))
        carried = list(_carried(walk, step.h))
        if step.state["h"] not in carried:
            raise Unlike("a cell whose h does not come back")
        dropped = [walk.dropouts[each] for each in carried if each in walk.dropouts]
        if dropped:
            step.state_keep, step.state_fed = dropped[0].keep, dropped[0].placeholder
    return step


def _gru(walk: Walk, variables: Variables, linear: _Linear) -> tuple[Found, Step] | None:
    """GRUCell, and CudnnCompatibleGRUCell, whose reset gate comes after the product."""
    gates = None
    for sigmoid in walk.users(linear.result, "Sigmoid"):
        gates = first(node for node in walk.users(Tensor(sigmoid.name), "Split", "SplitV") if _parts(node) == 2)
    if gates is not None:
        reset, update = Tensor(gates.name, 0), Tensor(gates.name, 1)
    else:
        split = first(node for node in walk.users(linear.result, "Split", "SplitV") if _parts(node) == 2)
        both = [] if split is None else [first(walk.users(Tensor(split.name, k), "Sigmoid")) for k in (0, 1)]
        if not both or None in both:
            return None
        reset, update = (Tensor(node.name) for node in both)
    units = _width(walk, variables, linear.kernel, 2)
    own = {"gates/kernel": linear.kernel, "gates/bias": linear.bias or Stored(zeros=(2 * units,))}
    for product in walk.users(reset, "Mul"):
        other = walk.strip(_other(walk, product, reset))
        found = _reset_before(walk, variables, product, units) or _reset_after(walk, variables, product, other, units)
        if found is None:
            continue
        candidate, weights, after, start = found
        end = _updated(walk, update, candidate)
        if end is None:
            raise Unlike("a GRU whose update gate is not TensorFlow 1's")
        new, last = end
        activation = walk.activation(start, new)
        if activation is None:
            raise Unlike(f"a GRU whose activation {walk.op(walk.strip(new))} has no name here")
        step = Step(linear.inputs, linear.h, last, {"h": last}, {"h": linear.h})
        return Found(GRU(units, activation, after), {**own, **weights}), _recurring(walk, step)
    raise Unlike("two gates that are not a GRU's")


def _reset_before(walk: Walk, variables: Variables, product: Node, units: int) -> Any:
    """(candidate's last tensor, weights, False, the tensor that is activated)."""
    for joined in walk.users(Tensor(product.name), "ConcatV2"):
        for node in walk.users(Tensor(joined.name), "MatMul"):
            kernel = variables.at(node.inputs[1])
            if kernel:
                start, bias = biased(walk, variables, Tensor(node.name))
                weights = {"candidate/kernel": Stored(kernel), "candidate/bias": bias or Stored(zeros=(units,))}
                return start, weights, False, start
    return None


def _reset_after(walk: Walk, variables: Variables, product: Node, hidden: Tensor, units: int) -> Any:
    total = first(walk.users(Tensor(product.name), "Add", "AddV2"))
    if total is None:
        return None
    sides = (("input_projection", walk.strip(_other(walk, total, Tensor(product.name)))), ("hidden_projection", hidden))
    weights = {}
    for name, tensor in sides:
        node = walk.node(tensor)
        bias: tuple[str, ...] = ()
        if node.op in ("BiasAdd", "Add", "AddV2"):
            bias, node = variables.at(node.inputs[1]), walk.node(walk.strip(node.inputs[0]))
        kernel = variables.at(node.inputs[1]) if node.op == "MatMul" else ()
        if not kernel:
            return None
        weights[f"candidate/{name}/kernel"] = Stored(kernel)
        weights[f"candidate/{name}/bias"] = Stored(bias) if bias else Stored(zeros=(units,))
    return Tensor(total.name), weights, True, Tensor(total.name)


def _updated(walk: Walk, update: Tensor, start: Tensor) -> tuple[Tensor, Tensor] | None:
    """(the activated candidate, h') of u * h + (1 - u) * n."""
    for product in walk.users(update, "Mul"):
        total = first(walk.users(Tensor(product.name), "Add", "AddV2"))
        if total is None:
            continue
        new = walk.node(walk.strip(_other(walk, total, Tensor(product.name))))
        if new.op != "Mul":
            continue
        for inverse, candidate in (new.inputs, new.inputs[::-1]):
            node = walk.node(walk.strip(inverse))
            if (
                node.op == "Sub"
                and walk.number(node.inputs[0]) == 1
                and walk.strip(node.inputs[1]) == walk.strip(update)
            ):
                return candidate, Tensor(total.name)
    return None


def _plain(walk: Walk, variables: Variables, linear: _Linear) -> tuple[Found, Step] | None:
    """BasicRNNCell: h' = activation(product), which comes back as h."""
    carried = list(_carried(walk, linear.h))
    end = first(each for each in carried if linear.result.node in walk.ancestors(each, 30))
    if not carried:  # written out: the activated product that enters the next step's concat
        end = first(
            Tensor(user.name) for user in walk.users(linear.result) if walk.users(Tensor(user.name), "ConcatV2")
        ) or first(Tensor(user.name) for user in walk.users(linear.result) if len(user.inputs) == 1)
        before = walk.node(walk.strip(linear.h))
        if before.op not in ("Fill", "Const", "ZerosLike", "Placeholder") and end is not None:
            if walk.op(end) != before.op:
                return None
    if end is None:
        return None
    activation = walk.activation(linear.result, end)
    if activation is None:
        return None
    units = _width(walk, variables, linear.kernel, 1)
    weights = {"kernel": linear.kernel, "bias": linear.bias or Stored(zeros=(units,))}
    step = Step(linear.inputs, linear.h, end, {"h": end}, {"h": linear.h})
    return Found(BasicRNN(units, activation), weights), _recurring(walk, step)


def shape_of(walk: Walk, name: str) -> list[int]:
    """The shape that the graph gives a variable; raises Unlike where it gives none."""
    shape = walk.graph.nodes[name].attribute("shape")
    if not shape or min(shape) < 1:
        raise Unlike("a variable of unknown shape")
    return list(shape)


def _columns(walk: Walk, stored: Stored) -> int:
    return shape_of(walk, stored.parts[0])[-1]


def _width(walk: Walk, variables: Variables, kernel: Stored, gates: int) -> int:
    columns = _columns(walk, kernel)
    if columns % gates:
        raise Unlike(f"{columns} columns for {gates} gates")
    return columns // gates
