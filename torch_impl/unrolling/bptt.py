"""A cell over a whole sequence as one node of autograd: back-propagation through time, written out by hand.

PyTorch's loops on the CPU cost a handful of dispatches and as many autograd nodes per step, and one product per step
for every gradient. Here the input projection of all steps is one product, a step is one product and a few operations
in place on time-major memory, and the gradients of the weights are one product each over all steps. It needs nothing
but torch; `torch_impl.unrolling.compiled` does the same in compiled code.

The length law holds exactly: outputs past a row's length are zero, its state is the one at its last valid step, and
nothing, NaN included, passes between the padding and the rest, in either direction: the padding takes no part.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

from torch_impl.unrolling.arrangement import Arrangement
from torch_impl.unrolling.kinds.kind import ADDED, CELL, EXTRA, ONE, H, Kind, X

__all__ = ["Call", "bptt"]

Weights: TypeAlias = "tuple[Tensor, ...]"


class Call(NamedTuple):
    """What a call has beside tensors.

    shifts: added to the blocks of z, but not trained, such as an LSTM's forget bias. arrangement: of the valid steps.
    again(inputs, state, weights) -> (outputs, state): the same in operations of autograd, for second derivatives.
    """

    kind: Kind
    shifts: tuple[float, ...]
    arrangement: Arrangement
    again: Callable[[Tensor, Weights | None, Weights], tuple[Tensor, Weights]]


def bptt(
    call: Call, inputs: Tensor, state: Weights | None, weights: Weights, outputs: bool = True
) -> tuple[Tensor | None, Weights]:
    """Run the cell over all steps.

    inputs: [batch, steps, inputs], or packed [valid steps, inputs]. state: (h,) or (h, c), each [batch, units], or None
    for zeros. weights: in the order of the kind's parts, in their shapes, all of one floating dtype.
    Returns outputs as inputs are (with a graph and without lengths a view of time-major memory) and the final state. A
    backward pass that builds a graph (`create_graph=True`) goes by `call.again`, so that second derivatives are right.
    outputs: whether they are wanted; where they are not, None may stand for them.
    """
    found, *last = BPTT.apply(call, inputs, *_both(state), *weights)
    return found, tuple(last)


def _both(state: Weights | None) -> tuple[Tensor | None, Tensor | None]:
    """h and c, or None for what there is none of."""
    return (None, None) if state is None else (state[0], state[1] if len(state) == 2 else None)


class Memory(NamedTuple):
    """All steps: z [valid steps, blocks * units], and the history h and extra, each [offsets[-1], units]."""

    z: Tensor
    history: tuple[Tensor, Tensor | None]


class BPTT(torch.autograd.Function):
    """See `bptt`."""

    @staticmethod
    def forward(
        ctx: Any, call: Call, inputs: Tensor, h: Tensor | None, c: Tensor | None, *weights: Tensor
    ) -> tuple[Tensor, ...]:
        x = call.arrangement.gather(inputs)
        memory = run_forward(call, x, (h, c), weights)
        return finish_forward(ctx, call, (inputs, h, c, *weights), memory.history, memory, x)

    @staticmethod
    def backward(ctx: Any, by_outputs: Tensor | None, *by_state: Tensor | None) -> tuple[Tensor | None, ...]:
        call, (inputs, h, c, *weights), needed = ctx.call, ctx.saved_tensors, ctx.needs_input_grad[1:]
        if torch.is_grad_enabled():
            return None, *differentiable_gradients(call, inputs, (h, c), weights, (by_outputs, *by_state), needed)
        memory, ctx.memory = ctx.memory, None  # z becomes gradients: who comes again computes it anew
        if memory is None or ctx.changed():
            memory = run_forward(call, ctx.x, (h, c), tuple(weights))
        below, carry = run_backward(call, memory, tuple(weights), by_outputs, by_state)
        return None, *gradients(call, ctx.x, memory, tuple(weights), (below, carry), by_state, needed)


def finish_forward(
    ctx: Any, call: Call, tensors: tuple[Tensor | None, ...], states: Any, memory: Any, x: Tensor | None
) -> tuple[Tensor, ...]:
    """The results, and in ctx what the way back needs. states: h and c of all blocks; tensors: what has gradients."""
    arrangement = call.arrangement
    outputs = arrangement.scatter(states[0][arrangement.batch :])
    changed = lambda: False  # noqa: E731
    if arrangement.packed or arrangement.order is None:
        outputs, changed = hand_out(outputs)
    ctx.save_for_backward(*tensors)
    ctx.call, ctx.memory, ctx.x, ctx.changed = call, memory, x, changed
    ctx.set_materialize_grads(False)
    given = tensors[1:3]
    return outputs, *(arrangement.last(states[i], given[i]) for i in range(call.kind.states))


def hand_out(view: Tensor) -> tuple[Tensor, Callable[[], bool]]:
    """A tensor of its own over the view's memory, and a function that tells whether it was changed in place since.

    To autograd it is no view, of which one that leaves a Function must not be changed in place. The price: who needs
    the memory later asks, and computes it anew. So the usual case needs no copy.
    """
    tensor = view.data
    same = tensor.detach()  # without the graph, which would hold itself; the count of changes is one for both
    before = same._version
    return tensor, lambda: same._version != before


def _columns(call: Call, z: Tensor, first: int, blocks: int) -> Tensor:
    units = z.shape[1] // call.kind.blocks
    return z[:, first * units : (first + blocks) * units]


def run_forward(call: Call, x: Tensor, state: tuple[Tensor | None, Tensor | None], weights: Weights) -> Memory:
    """x: the valid steps [valid steps, inputs]."""
    kind, arrangement = call.kind, call.arrangement
    parts = dict(zip(kind.parts, weights, strict=True))
    units = weights[0].shape[0] // kind.parts[0].blocks
    biases = {part.first: weight for part, weight in parts.items() if part.segment == ONE}
    shifts = dict(enumerate(call.shifts))
    z = x.new_empty(len(x), kind.blocks * units)
    for first, bias in biases.items():
        if any(call.shifts):
            biases[first] = bias + torch.cat([bias.new_full((units,), shifts[i]) for i in range(len(bias) // units)])
    for part, weight in parts.items():
        if part.segment == X:
            torch.addmm(biases.pop(part.first), x, weight.t(), out=_columns(call, z, part.first, part.blocks))
    for first, bias in biases.items():
        _columns(call, z, first, len(bias) // units).copy_(bias)
    batch, total = arrangement.batch, arrangement.batch + len(x)
    h = x.new_empty(total, units)
    extra = x.new_empty(total, units) if kind.extra else None
    for values, given in zip((h, extra), state, strict=True):
        if values is not None:
            values[:batch].zero_() if given is None else values[:batch].copy_(arrangement.sorted(given))
            values[arrangement.counts[0] if arrangement.steps else 0 : batch].zero_()
    memory = Memory(z, (h, extra))
    by_stage = [
        [(part, weight.t()) for part, weight in parts.items() if part.segment == segment] for segment in (H, EXTRA)
    ]
    for rows, old, new in steps_of(call, memory):
        blocks = rows.split(units, 1)
        for stage in range(kind.stages):
            for part, recurrent in by_stage[stage]:
                _columns(call, rows, part.first, part.blocks).addmm_(old[stage], recurrent)
            kind.forward(stage, blocks, old, new)
    return memory


def steps_of(call: Call, memory: Memory) -> list[tuple[Tensor, Any, Any]]:
    """z and the history before and after, of each step, of the rows that take it."""
    arrangement, (h, extra) = call.arrangement, memory.history
    counts = arrangement.counts
    steps: list[tuple[Tensor, Any, Any]] = []
    here = before = 0
    for count in counts:
        after = before + (arrangement.batch if not steps else counts[len(steps) - 1])
        old, new = slice(before, before + count), slice(after, after + count)
        pair: list[Any] = [(h[rows], None if extra is None else extra[rows]) for rows in (old, new)]
        steps.append((memory.z[here : here + count], *pair))
        here, before = here + count, after
    return steps


def run_backward(
    call: Call, memory: Memory, weights: Weights, by_outputs: Tensor | None, by_state: tuple[Tensor | None, ...]
) -> tuple[Tensor, Tensor]:
    """Turn z into the cost's gradient by each product's result. Returns `below` and `carry` as they are in the end, by
    the state before the first step, [batch, units], rows sorted."""
    kind, arrangement = call.kind, call.arrangement
    z, (h, _) = memory
    batch, units = arrangement.batch, h.shape[1]
    given = None if by_outputs is None else arrangement.gather(by_outputs)
    last = [None if g is None else arrangement.sorted(g) for g in by_state]
    last += [None] * (2 - len(last))
    below, carry = (h.new_zeros(batch, units) for _ in range(2))
    middle = h.new_empty(batch, units) if kind.stages == 2 else None
    back = [[(part, w) for part, w in zip(kind.parts, weights, strict=True) if part.segment == s] for s in (H, EXTRA)]
    later, end = 0, len(z)
    for rows, old, new in reversed(steps_of(call, memory)):
        count = len(rows)
        end -= count
        for place, by in ((below, last[0]), (carry, last[1])):
            if by is not None:
                place[later:count].add_(by[later:count])
        some, on = below[:count], carry[:count]
        if given is not None:
            some.add_(given[end : end + count])
        within = None if middle is None else middle[:count]
        blocks = rows.split(units, 1)
        for stage in range(kind.stages - 1, -1, -1):
            kind.backward(stage, blocks, old, new, some, on, within)
            if stage:
                _through(call, rows, back[1], within)
        _through(call, rows, back[0], some)
        later = count
    return below, carry


def _through(call: Call, rows: Tensor, parts: Any, result: Any) -> None:
    """result = the gradients in rows through these parts."""
    for number, (part, weight) in enumerate(parts):
        torch.addmm(result, _columns(call, rows, part.first, part.blocks), weight, beta=min(number, 1), out=result)


def gradients(
    call: Call,
    x: Tensor,
    memory: Memory,
    weights: Weights,
    by_first: tuple[Tensor, Tensor],
    by_state: tuple[Tensor | None, ...],
    needed: tuple[bool, ...],
) -> tuple[Tensor | None, ...]:
    """The gradients by inputs, h, c and weights, as far as they are needed."""
    kind, arrangement = call.kind, call.arrangement
    z, (h, extra) = memory
    by_inputs = None
    if needed[0]:
        flat = torch.zeros_like(x)
        for part, weight in zip(kind.parts, weights, strict=True):
            if part.segment == X:
                flat.addmm_(_columns(call, z, part.first, part.blocks), weight)
        by_inputs = arrangement.scatter(flat)
    below, carry = by_first
    firsts = [below + carry if kind.carries == ADDED else below, carry if kind.carries == CELL else None]
    found: list[Tensor | None] = [by_inputs]
    for first, by, need in zip(firsts, (*by_state, None), needed[1:3], strict=False):
        if not need or first is None:
            found.append(None)
            continue
        active = arrangement.counts[0] if arrangement.steps else 0
        if active < len(first):
            first[active:] = 0.0 if by is None else arrangement.sorted(by)[active:]
        found.append(arrangement.given_order(first))
    for part, need in zip(kind.parts, needed[3:], strict=True):
        if not need:
            found.append(None)
            continue
        rows = _columns(call, z, part.first, part.blocks)
        if part.segment == ONE:
            found.append(rows.sum(0))
        else:
            segment: Any = h if part.segment == H else extra
            found.append(rows.t() @ (x if part.segment == X else arrangement.taken(segment)))
    return tuple(found)


def differentiable_gradients(
    call: Call,
    inputs: Tensor,
    state: tuple[Tensor | None, Tensor | None],
    weights: Any,
    by_results: tuple[Tensor | None, ...],
    needed: tuple[bool, ...],
) -> tuple[Tensor | None, ...]:
    """The gradients with a graph of their own, from a second run by `call.again`."""
    arguments = (inputs, *state, *weights)
    given = tuple(part for part in state if part is not None)
    outputs, last = call.again(inputs, given or None, tuple(weights))
    pairs = [(r, g) for r, g in zip((outputs, *last), by_results, strict=True) if g is not None]
    wanted = [a for a, need in zip(arguments, needed, strict=True) if need and a is not None]
    if not pairs:
        return (None,) * len(needed)
    roots, grads = zip(*pairs, strict=True)
    found = iter(torch.autograd.grad(roots, wanted, grads, create_graph=True, allow_unused=True))
    return tuple(next(found) if need else None for need in needed)
