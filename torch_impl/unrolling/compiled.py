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
from torch_impl.unrolling.kinds.kind import EXTRA, X
from torch_impl.unrolling.memory import DTYPES, Layout, Tables, layout_of

__all__ = ["compiled"]

# Without a graph, rows at a time on each thread: as many as have their steps in half of a second-level cache; and since
# the weights are read anew for each such block, GOOD_BLOCK where their steps take no more than BLOCK_BYTES, and where
# they take more, LEAST_BLOCK at least, below which the tiles of the product are not full.
CACHE_BYTES, BLOCK_BYTES, GOOD_BLOCK, LEAST_BLOCK = 1 << 20, 1 << 23, 48, 16

# Weights that are laid out stay so for the next call without a graph, and their memory, for other values, for the next
# with one: up to so many numbers. LAYOUTS_KEPT: of one shape.
MOST_KEPT, LAYOUTS_KEPT = 1 << 20, 4

# What it costs to lay out a number of the weights, and to copy one of their gradients, in multiply-adds.
PACKING, UNPACKING = 20.0, 10.0


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
    weights: Weights

    def states(self) -> tuple[Tensor, Tensor | None]:
        """h and c of all blocks, each [offsets[-1], units]."""
        units, extra = self.layout.units, self.layout.columns[EXTRA]
        h = self.history[:, :units]
        return h, self.history[:, extra : extra + units] if self.layout.kind.states == 2 else None

    def work(self, columns: int) -> float:
        """Multiply-adds of all valid steps with a matrix of this layout's blocks and so many columns."""
        return self.z.shape[0] * float(self.layout.gates_row) * columns

    def over_rows(self, function: Any) -> None:
        """A kernel, on the rows of the batch, shared between threads."""
        lengths = self.arrangement.lengths
        weights = None if lengths is None else lengths.tolist()
        self.tables.share(self.layout.piece(function), self.arrangement.batch, self.work(self.layout.units), weights)

    def over_units(self, function: Any) -> None:
        """A kernel, on the units."""
        self.tables.share(self.layout.piece(function), self.layout.units, self.work(self.layout.units))


def _own(tensor: Tensor | None) -> Tensor | None:
    """In one piece of memory, with no graph."""
    return None if tensor is None else tensor.detach().contiguous()


def run_forward(call: Call, inputs: Tensor, state: tuple[Tensor | None, Tensor | None], weights: Weights) -> Run:
    """The forward pass with all that a backward pass needs."""
    arrangement, kind = call.arrangement, call.kind
    units = len(weights[0]) // kind.parts[0].blocks
    layout = layout_of(kind, units, inputs.shape[-1], DTYPES[inputs.dtype])
    steps, offsets = arrangement.steps, arrangement.offsets
    given = Tables(layout, arrangement.batch, steps, arrangement.stride, offsets)
    history = inputs.new_empty(int(offsets[-1]), layout.row)
    z = inputs.new_empty(int(offsets[-2]), layout.gates_row)
    pack_into(given, layout, weights, call.shifts, True)
    h, c = state
    given.set_ints({tables.ROWS: arrangement.rows, tables.ORDER: arrangement.order})
    given.set(
        {
            tables.HISTORY: history, tables.GATES: z, tables.INPUTS: _own(inputs), tables.FIRST: _own(h),
            tables.FIRST_CELL: _own(c),
        }
    )  # fmt: skip
    given.sizes[tables.STEP] = layout.address(False)
    run = Run(given, layout, arrangement, history, z, weights)
    run.over_rows(compiled_loops.forward)
    return run


def pack_into(given: Tables, layout: Layout, weights: Weights, shifts: tuple[float, ...], back: bool) -> None:
    """Lay out the weights. back: whether for the way back, too."""
    like = weights[0]
    packed, backward = layout.take_spare() if back else (like.new_zeros(layout.packed_size), None)
    given.set({tables.PACKED: packed, tables.BACK: backward, tables.ADDED: layout.added(shifts)})
    given.set({tables.PARAMETERS + 3 * number: _own(weight) for number, weight in enumerate(weights)})
    moved = layout.packed_size + (layout.back_size if back else 0)
    given.share(layout.piece(tables.pack), layout.units, PACKING * moved)


class Compiled(torch.autograd.Function):
    """See `compiled`."""

    @staticmethod
    def forward(
        ctx: Any, call: Call, inputs: Tensor, h: Tensor | None, c: Tensor | None, *weights: Tensor
    ) -> tuple[Tensor, ...]:
        run = run_forward(call, inputs, (h, c), weights)
        return finish_forward(ctx, call, (inputs, h, c, *weights), run.states(), run, None)

    @staticmethod
    def backward(ctx: Any, by_outputs: Tensor | None, *by_state: Tensor | None) -> tuple[Tensor | None, ...]:
        call, (inputs, h, c, *weights), needed = ctx.call, ctx.saved_tensors, ctx.needs_input_grad[1:]
        if torch.is_grad_enabled():
            return None, *differentiable_gradients(call, inputs, (h, c), weights, (by_outputs, *by_state), needed)
        run, ctx.memory = ctx.memory, None  # z becomes gradients: who comes again computes it anew
        if run is None or ctx.changed():
            run = run_forward(call, inputs, (h, c), tuple(weights))
        firsts = _through_time(run, by_outputs, by_state, any(needed[1:3]))
        by_weights = _weight_gradients(run, needed[3:]) if any(needed[3:]) else (None,) * len(weights)
        by_inputs = _input_gradients(run) if needed[0] else None
        keep_spare(run)
        return None, by_inputs, *(f if need else None for f, need in zip(firsts, needed[1:3], strict=True)), *by_weights


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


def keep_spare(run: Run) -> None:
    """Keep the memory of these weights for the next call: its padding is zero, and stays so."""
    layout, kept = run.layout, run.tables.kept
    if layout.packed_size + layout.back_size <= MOST_KEPT and not layout.spare:
        layout.spare.append((kept[1, tables.PACKED], kept[1, tables.BACK]))


def _weight_gradients(run: Run, needed: tuple[bool, ...]) -> tuple[Tensor | None, ...]:
    """The gradients by the weights, in their own shapes."""
    found = [
        torch.empty_like(w, memory_format=torch.contiguous_format) if n else None
        for w, n in zip(run.weights, needed, strict=True)
    ]
    sums = run.z.new_empty(run.layout.sums_size)
    if not len(run.z):
        sums.zero_()
    run.tables.set({tables.SUMS: sums, **{tables.PARAMETERS + 3 * i: gradient for i, gradient in enumerate(found)}})
    run.over_units(compiled_loops.weight_gradients)
    run.tables.share(run.layout.piece(tables.unpack), run.layout.units, UNPACKING * run.layout.sums_size)
    return tuple(found)


def _input_gradients(run: Run) -> Tensor:
    """The gradient by the inputs: of padded ones without lengths a view of time-major memory."""
    kind, layout, arrangement = run.layout.kind, run.layout, run.arrangement
    width, units = layout.width, layout.units
    result = run.z.new_zeros(len(run.z), layout.inputs)
    for part, weight in zip(kind.parts, run.weights, strict=True):
        if part.segment != X:
            continue
        for block in range(part.blocks):
            first = (part.first + block) * width
            result.addmm_(run.z[:, first : first + units], weight.detach()[block * units : (block + 1) * units])
    return arrangement.scatter(arrangement.taken(result))


def _without_graph(
    call: Call, inputs: Tensor, state: Weights, weights: Weights, outputs: bool
) -> tuple[Tensor | None, Weights]:
    """The same where nothing is kept for a backward pass: some rows at a time, and one step's gates; all rows where
    outputs of different lengths are wanted."""
    arrangement, kind = call.arrangement, call.kind
    batch, steps, lengths = arrangement.batch, arrangement.steps, arrangement.lengths
    layout = layout_of(kind, len(weights[0]) // kind.parts[0].blocks, inputs.shape[-1], DTYPES[inputs.dtype])
    units, extra = layout.units, layout.columns[EXTRA]
    laid_out = packed_weights(layout, weights, call.shifts)
    x, first = inputs.detach().contiguous(), [_own(part) for part in (*state, None, None)[:2]]
    found = inputs.new_empty(batch, steps, units) if outputs and lengths is None else None
    last = tuple(inputs.new_empty(batch, units) for _ in range(kind.states))
    whole = lengths is not None and (outputs or arrangement.packed)  # of different lengths the outputs lie in one piece
    bytes_of_row = (steps + 1) * layout.row * x.element_size()
    rows = max(LEAST_BLOCK, min(GOOD_BLOCK, BLOCK_BYTES // bytes_of_row), CACHE_BYTES // bytes_of_row)
    size = batch if whole else rows * torch.get_num_threads()
    piece, address = layout.piece(compiled_loops.forward), layout.address(False)
    for start in range(0, batch, size):
        part = arrangement if size >= batch else arrangement.part(start, min(start + size, batch))
        given = Tables(layout, part.batch, part.steps, arrangement.stride, part.offsets)
        history, z = x.new_empty(int(part.offsets[-1]), layout.row), x.new_empty(part.batch, layout.gates_row)
        given.set_ints({tables.ROWS: part.rows, tables.ORDER: part.rows})
        given.set(laid_out)
        given.set({tables.HISTORY: history, tables.GATES: z, tables.INPUTS: x})
        given.set({tables.FIRST: first[0], tables.FIRST_CELL: first[1]})
        given.sizes[tables.KEEP], given.sizes[tables.STEP] = 0, address
        work = float(int(part.offsets[-2])) * layout.gates_row * units
        given.share(piece, part.batch, work, None if part.lengths is None else part.lengths.tolist())
        _hand_over(part, start, history, (0, extra), units, first, last, found)
        if whole and outputs:
            found = arrangement.scatter(history[batch:, :units])
        del given, history, z  # before the next ones are made
    return found, last


def _hand_over(
    part: Arrangement,
    start: int,
    history: Tensor,
    columns: tuple[int, int],
    units: int,
    first: list[Tensor | None],
    last: tuple[Tensor, ...],
    found: Tensor | None,
) -> None:
    """Copy final states, and outputs where they are wanted, to where they belong. Without lengths the part's rows are
    start, start + 1 and so on."""
    end = start + part.batch
    if part.lengths is None:
        for state, column in zip(last, columns, strict=False):
            state[start:end] = history[int(part.offsets[-2]) :, column : column + units]
    else:
        ends, none = part.offsets[part.lengths] + torch.arange(part.batch), part.rows[part.lengths == 0]
        for state, given, column in zip(last, first, columns, strict=False):
            state[part.rows] = history[ends, column : column + units]
            state[none] = 0.0 if given is None else given[none]
    if found is not None:
        blocks = history.unflatten(0, (part.steps + 1, part.batch))
        found[start:end] = blocks[1:, :, :units].transpose(0, 1)


def packed_weights(layout: Layout, weights: Weights, shifts: tuple[float, ...]) -> dict[int, Tensor | None]:
    """The weights as kernels take them for the way forward: those of the last call, where no number of them changed."""
    now, place = [weight.detach() for weight in weights], weights[0].data_ptr()
    kept = layout.kept.get(place)
    if kept is not None and kept[1] == shifts and all(map(torch.equal, kept[0], now)):
        return kept[2]
    given = Tables(layout, 1, 1, 1, torch.zeros(3, dtype=torch.int64))
    pack_into(given, layout, weights, shifts, False)
    found = {tables.PACKED: given.kept[1, tables.PACKED]}
    if layout.packed_size <= MOST_KEPT:
        while len(layout.kept) >= LAYOUTS_KEPT:
            layout.kept.pop(next(iter(layout.kept)), None)
        layout.kept[place] = ([weight.clone() for weight in now], shifts, found)
    return found
