"""A cell over a whole sequence in compiled code: one call forward, one backward, whatever the number of steps.

`compiled_loops` does the work; this module makes it a node of autograd and shares a batch between threads. It imports
Numba, so nothing imports it before it is used: see `paths`. Arguments, results and the length law are those of
`torch_impl.unrolling.bptt`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from torch_impl.unrolling import compiled_loops, tables
from torch_impl.unrolling.arrangement import Arrangement
from torch_impl.unrolling.bptt import Call, Weights, differentiable_gradients, finish_forward
from torch_impl.unrolling.memory import DTYPES, Layout, Tables, layout_of, odd
from torch_impl.unrolling.threads import shared

__all__ = ["compiled"]

# Without a graph: what the steps of the rows at hand may take, about half of a second-level cache, and the fewest rows
# at a time, below which the tiles of the product are not full.
CACHE_BYTES, LEAST_BLOCK = 1 << 19, 16


def compiled(
    call: Call, inputs: Tensor, state: Weights | None, weights: Weights, outputs: bool = True
) -> tuple[Tensor | None, Weights]:
    """See `torch_impl.unrolling.bptt.bptt`; float32 or float64 on the CPU."""
    state = () if state is None else state
    if not (torch.is_grad_enabled() and any(t.requires_grad for t in (inputs, *state, *weights))):
        return _without_graph(call, inputs, state, weights, outputs)
    h, c = (*state, None, None)[:2]
    found, *last = Compiled.apply(call, inputs, h, c, *weights)
    return found, tuple(last)


class Run(NamedTuple):
    """All that a pass needs. history: all steps, [offsets[-1], row]. z: the gates."""

    tables: Tables
    layout: Layout
    arrangement: Arrangement
    history: Tensor
    z: Tensor
    back: Tensor
    weights: Weights

    def states(self) -> tuple[Tensor, Tensor | None]:
        """h and c of all blocks, each [offsets[-1], units]."""
        units, extra = self.layout.units, self.layout.columns[3]
        h = self.history[:, :units]
        return h, self.history[:, extra : extra + units] if self.layout.kind.states == 2 else None

    def work(self, columns: int) -> float:
        """Multiply-adds of all valid steps with a matrix of this layout's blocks and so many columns."""
        return self.z.shape[0] * float(self.layout.gates_row) * columns

    def over_rows(self, function: Any) -> None:
        """A kernel, on the rows of the batch, shared between threads."""
        piece, lengths = self.layout.piece(function), self.arrangement.lengths
        shared(
            self.arrangement.batch,
            self.work(self.layout.units),
            lambda begin, end: self.tables.call(piece, begin, end),
            None if lengths is None else lengths.tolist(),
        )

    def over_units(self, function: Any) -> None:
        """A kernel, on the units."""
        piece = self.layout.piece(function)
        shared(
            self.layout.units,
            self.work(self.layout.units),
            lambda begin, end: self.tables.call(piece, begin, end),
        )


def _own(tensor: Tensor | None) -> Tensor | None:
    """In one piece of memory, with no graph."""
    return None if tensor is None else tensor.detach().contiguous()


def _memory(layout: Layout, size: str, weights: Weights) -> Tensor:
    return weights[0].new_zeros(getattr(layout, size + "_size"))


def run_forward(
    call: Call, inputs: Tensor, state: tuple[Tensor | None, Tensor | None], weights: Weights, back: bool
) -> Run:
    """The forward pass with all that a backward pass needs. back: whether the weights for it are laid out too."""
    arrangement, kind = call.arrangement, call.kind
    units = len(weights[0]) // kind.parts[0].blocks
    layout = layout_of(kind, units, inputs.shape[-1], DTYPES[inputs.dtype])
    steps, offsets = arrangement.steps, arrangement.offsets
    given = Tables(layout, arrangement.batch, steps, arrangement.stride, offsets)
    history = inputs.new_empty(int(offsets[-1]), layout.row)
    z = inputs.new_empty(int(offsets[-2]), layout.gates_row)
    run = Run(given, layout, arrangement, history, z, inputs.new_empty(0), weights)
    packed = pack(run, call, back)
    h, c = state
    given.set_ints({tables.ROWS: arrangement.rows, tables.ORDER: arrangement.order})
    given.set(
        {
            tables.HISTORY: history, tables.GATES: z, tables.INPUTS: _own(inputs), tables.FIRST: _own(h),
            tables.FIRST_CELL: _own(c), tables.PACKED: packed,
        }
    )  # fmt: skip
    given.sizes[tables.STEP] = layout.address(False)
    run.over_rows(compiled_loops.forward)
    return run


def pack(run: Run, call: Call, back: bool) -> Tensor:
    """Lay out the weights; returns those for the way forward."""
    layout, given = run.layout, run.tables
    packed = _memory(layout, "packed", run.weights)
    added = packed.new_zeros(layout.kind.blocks, layout.width)
    added[:] = packed.new_tensor(call.shifts)[:, None]
    given.set({tables.PACKED: packed, tables.ADDED: added})
    given.set({tables.BACK: _memory(layout, "back", run.weights) if back else None})
    given.set({tables.PARAMETERS + 3 * number: _own(weight) for number, weight in enumerate(run.weights)})
    given.call(layout.piece(tables.pack), 0, layout.units)
    return packed


class Compiled(torch.autograd.Function):
    """See `compiled`."""

    @staticmethod
    def forward(
        ctx: Any, call: Call, inputs: Tensor, h: Tensor | None, c: Tensor | None, *weights: Tensor
    ) -> tuple[Tensor, ...]:
        run = run_forward(call, inputs, (h, c), weights, True)
        return finish_forward(ctx, call, (inputs, h, c, *weights), run.states(), run, None)

    @staticmethod
    def backward(ctx: Any, by_outputs: Tensor | None, *by_state: Tensor | None) -> tuple[Tensor | None, ...]:
        call, (inputs, h, c, *weights), needed = ctx.call, ctx.saved_tensors, ctx.needs_input_grad[1:]
        if torch.is_grad_enabled():
            return None, *differentiable_gradients(call, inputs, (h, c), weights, (by_outputs, *by_state), needed)
        run = ctx.memory
        if run is None or ctx.changed():
            run = run_forward(call, inputs, (h, c), tuple(weights), True)
        ctx.memory = None  # z becomes gradients: who comes again computes it anew
        firsts = _through_time(run, by_outputs, by_state, any(needed[1:3]))
        by_weights = _weight_gradients(run, needed[3:]) if any(needed[3:]) else (None,) * len(weights)
        by_inputs = _input_gradients(run) if needed[0] else None
        return None, by_inputs, *(f if need else None for f, need in zip(firsts, needed[1:3])), *by_weights


def _through_time(
    run: Run, by_outputs: Tensor | None, by_state: tuple[Tensor | None, ...], wanted: bool
) -> tuple[Tensor | None, Tensor | None]:
    """Turn z into gradients; the gradients by the initial h and c."""
    layout, batch, given = run.layout, run.arrangement.batch, run.tables
    below, carry = (run.z.new_empty(batch, layout.width) for _ in range(2))
    middle = torch.empty_like(below) if layout.kind.stages == 2 else None
    by_h, by_c = (*by_state, None)[:2]
    given.set(
        {
            tables.BY_OUTPUTS: _own(by_outputs), tables.BY_STATE: _own(by_h), tables.BY_CELL: _own(by_c),
            tables.BELOW: below, tables.CARRY: carry, tables.MIDDLE: middle,
        }
    )  # fmt: skip
    given.sizes[tables.STEP_BACK], given.sizes[tables.WANTED] = layout.address(True), int(wanted)
    run.over_rows(compiled_loops.backward)
    if not wanted:
        return None, None
    units, order = layout.units, run.arrangement.given_order
    return order(below[:, :units]), order(carry[:, :units]) if layout.kind.states == 2 else None


def _weight_gradients(run: Run, needed: tuple[bool, ...]) -> tuple[Tensor | None, ...]:
    """The gradients by the weights, in their own shapes."""
    found = [torch.empty_like(w, memory_format=torch.contiguous_format) if n else None for w, n in zip(run.weights, needed)]
    sums = run.z.new_empty(run.layout.sums_size)
    if not len(run.z):
        sums.zero_()
    run.tables.set({tables.SUMS: sums, **{tables.PARAMETERS + 3 * i: gradient for i, gradient in enumerate(found)}})
    run.over_units(compiled_loops.weight_gradients)
    run.tables.call(run.layout.piece(tables.unpack), 0, run.layout.units)
    return tuple(found)


def _input_gradients(run: Run) -> Tensor:
    """The gradient by the inputs: of padded ones without lengths a view of time-major memory."""
    kind, layout, arrangement = run.layout.kind, run.layout, run.arrangement
    width, units = layout.width, layout.units
    result = run.z.new_zeros(len(run.z), layout.inputs)
    for part, weight in zip(kind.parts, run.weights, strict=True):
        if part.segment != 2:
            continue
        for block in range(part.blocks):
            first = (part.first + block) * width
            result.addmm_(run.z[:, first : first + units], weight.detach()[block * units : (block + 1) * units])
    return arrangement.scatter(arrangement.taken(result))


def _without_graph(
    call: Call, inputs: Tensor, state: Weights, weights: Weights, outputs: bool
) -> tuple[Tensor | None, Weights]:
    run = run_forward(call, inputs, (*state, None, None)[:2], weights, False)
    h, c = run.states()
    arrangement = call.arrangement
    found = arrangement.scatter(h[arrangement.batch :]) if outputs else None
    parts = [(h, 0), (c, 1)][: call.kind.states]
    return found, tuple(arrangement.last(part, state[i] if state else None) for part, i in parts)
