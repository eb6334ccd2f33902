"""Cells over whole sequences in compiled code: forward, backward, and the gradients of weights and inputs.

For all kinds: what a kind computes from its products is in `torch_impl.unrolling.pointwise`, called by its address. See
`torch_impl.unrolling.tables` for the arguments, and for how memory is laid out.
"""

from __future__ import annotations

from torch_impl.unrolling.jit import at, call, compiled, missing
from torch_impl.unrolling.tables import (
    BACK,
    BACKWARD,
    BATCH,
    BELOW,
    BY_CELL,
    BY_OUTPUTS,
    BY_STATE,
    CARRIES,
    CARRY,
    DENSE,
    DENSE_BACK,
    EVERY,
    FIRST,
    FIRST_CELL,
    FORWARD,
    GATES,
    GATES_ROW,
    GRADIENT,
    GRADIENTS,
    HISTORY,
    INPUTS,
    KEEP,
    MIDDLE,
    MULTIPLY,
    ONE,
    ORDER,
    OUTPUTS,
    PACKED,
    ROW,
    ROWS,
    SIZE,
    SIZES,
    STATE_ROW,
    STEP,
    STEP_BACK,
    STEP_BACKWARD,
    STEP_FORWARD,
    STEPS,
    STRIDE,
    SUMS,
    TURN,
    UNITS,
    WANTED,
    ZERO,
    copy,
    fill,
    offsets_of,
    padded,
)  # fmt: skip
from torch_impl.unrolling.tiles import flush_denormals, restore_denormals

DEPTH = 96  # rows of history multiplied at a time into the weights' gradients: what the first-level cache holds

ADDED_TO_STATE, CELL = 1, 2  # what a kind's `carry` is: see `kinds.kind`


@compiled
def place_of(ints, t, b):
    """Which row of the inputs, of all their steps one after the other, belongs to step t of row b."""
    sizes, offsets = ints[SIZES], offsets_of(ints)
    if sizes[STRIDE] == 0:
        return offsets[t + 1] - sizes[BATCH] + b
    return ints[ROWS][sizes[TURN] * sizes[BATCH] + b] * sizes[STRIDE] + t


@compiled
def rows_at(offsets, t, steps, end):
    """The end of the rows, of those before `end`, that take step t."""
    if t >= steps:
        return 0
    count = offsets[t + 2] - offsets[t + 1]
    return count if count < end else end


@compiled
def _begin(ints, row, given, place, units, width):
    """A state before the first step: the one that was given, if there is one and if the row has steps."""
    if missing(given):
        fill(row, width, 0)
    else:
        copy(row, at(given, place * ints[SIZES][STATE_ROW]), units)
        fill(at(row, units), width - units, 0)


def forward(ints, floats, begin, end):
    """Fill HISTORY and GATES from INPUTS, the initial state, and PACKED."""
    before = flush_denormals()
    sizes, offsets, products = ints[SIZES], offsets_of(ints), ints[FORWARD]
    history, gates, inputs = floats[HISTORY], floats[GATES], floats[INPUTS]
    steps, units, size, row, gates_row = sizes[STEPS], sizes[UNITS], sizes[SIZE], sizes[ROW], sizes[GATES_ROW]
    width = padded(units)
    extra = width + padded(1 + size)
    unused = (extra if sizes[CARRIES] == CELL else row) - width
    for b in range(begin, end):
        place = b if missing(ints[ORDER]) else ints[ORDER][b]
        if b >= rows_at(offsets, ZERO, steps, end):  # what an unused state holds reaches nothing
            fill(at(history, b * row), row, 0)
            continue
        _begin(ints, at(history, b * row), floats[FIRST], place, units, width)
        if sizes[CARRIES] == CELL:
            _begin(ints, at(history, b * row + extra), floats[FIRST_CELL], place, units, width)
    for t in range(steps):
        here, there = offsets[t], offsets[t + 1]
        present, last = there - here, rows_at(offsets, t, steps, end)
        for b in range(begin, present if present < end else end):
            values = at(history, (here + b) * row + width)
            if b >= last:
                fill(values, unused, 0)
            else:
                values[0] = 1
                copy(at(values, 1), at(inputs, place_of(ints, t, b) * size), size)
                fill(at(values, 1 + size), extra - width - 1 - size, 0)
        if last <= begin:
            continue
        z = at(gates, ((here if sizes[KEEP] else 0) + begin) * gates_row)
        old, new = at(history, (here + begin) * row), at(history, (there + begin) * row)
        for number in range(products[0]):
            p = at(products, 1 + number * STEP_FORWARD)
            call(
                sizes[MULTIPLY],
                (
                    at(z, p[1]), gates_row, 0, at(old, p[3]), row, 1, p[4], at(old, p[5]), p[6],
                    at(floats[PACKED], p[7]), 0, p[4] + p[6], last - begin, p[2],
                ),
            )  # fmt: skip
            if p[0] >= 0:
                call(sizes[STEP], (p[0], z, gates_row, old, new, row, width, extra, last - begin))
    restore_denormals(before)


@compiled
def _by_results(ints, floats, t, begin, end, later, units, width):
    """Fill BELOW with the cost's gradient by the outputs of step t, and for the rows from `later` on, whose last step
    it is, add that by their final state and begin their CARRY."""
    sizes = ints[SIZES]
    below, carry = floats[BELOW], floats[CARRY]
    used = not missing(floats[BY_OUTPUTS])
    for b in range(begin, end):
        row = at(below, b * width)
        if used:
            copy(row, at(floats[BY_OUTPUTS], place_of(ints, t, b) * units), units)
            fill(at(row, units), width - units, 0)
        else:
            fill(row, width, 0)
    if sizes[EVERY]:  # a dense layer on every output
        columns = padded(sizes[OUTPUTS])
        dense = at(floats[DENSE], (t * sizes[BATCH] + begin) * columns)
        call(
            sizes[MULTIPLY],
            (
                at(below, begin * width), width, 0, dense, columns, 1, sizes[OUTPUTS], dense, 0, floats[DENSE_BACK],
                0, sizes[OUTPUTS], end - begin, width,
            ),
        )  # fmt: skip
    for b in range(later, end):
        place = b if missing(ints[ORDER]) else ints[ORDER][b]
        if not missing(floats[BY_STATE]):
            given, row = at(floats[BY_STATE], place * sizes[STATE_ROW]), at(below, b * width)
            for j in range(units):
                row[j] += given[j]
        row = at(carry, b * width)
        if missing(floats[BY_CELL]):
            fill(row, width, 0)
        else:
            copy(row, at(floats[BY_CELL], place * sizes[STATE_ROW]), units)
            fill(at(row, units), width - units, 0)


@compiled
def _through(ints, floats, kind, result, z, add, begin, end, units, width):
    """result = or += what the gradients in z are, by the products of the stage, of the state (kind 0) or of extra."""
    sizes, products = ints[SIZES], ints[BACKWARD]
    for number in range(products[0]):
        p = at(products, 1 + number * STEP_BACKWARD)
        if p[0] == kind:
            call(
                sizes[MULTIPLY],
                (
                    at(result, begin * width), width, add, at(z, p[1]), sizes[GATES_ROW], 1, units, z, 0,
                    at(floats[BACK], p[2]), 0, units, end - begin, width,
                ),
            )  # fmt: skip
            add = 1


def backward(ints, floats, begin, end):
    """Turn GATES into the cost's gradient by each product's result.

    BELOW is the gradient by the state after the step at hand, MIDDLE that by its extra, CARRY what its kind says; at
    the end, where WANTED, BELOW and CARRY are the gradients by the initial state's parts.
    """
    before = flush_denormals()
    sizes, offsets = ints[SIZES], offsets_of(ints)
    history, gates, below, carry, middle = floats[HISTORY], floats[GATES], floats[BELOW], floats[CARRY], floats[MIDDLE]
    steps, units, row, gates_row = sizes[STEPS], sizes[UNITS], sizes[ROW], sizes[GATES_ROW]
    width = padded(units)
    extra = width + padded(1 + sizes[SIZE])
    stages = 1 if missing(middle) else 2
    for t in range(steps - 1, -1, -1):
        here, there = offsets[t], offsets[t + 1]
        last, later = rows_at(offsets, t, steps, end), rows_at(offsets, t + 1, steps, end)
        for b in range(last if last > begin else begin, there - here if there - here < end else end):
            fill(at(gates, (here + b) * gates_row), gates_row, 0)
        if last <= begin:
            continue
        later = later if later > begin else begin
        _by_results(ints, floats, t, begin, last, later, units, width)
        if later > begin:
            _through(ints, floats, ZERO, below, at(gates, (there + begin) * gates_row), ONE, begin, later, units, width)
        z = at(gates, (here + begin) * gates_row)
        old, new = at(history, (here + begin) * row), at(history, (there + begin) * row)
        for stage in range(stages - 1, -1, -1):
            call(
                sizes[STEP_BACK],
                (
                    stage, z, gates_row, old, new, row, width, extra, last - begin,
                    at(below, begin * width), at(carry, begin * width), at(middle, begin * width),
                ),
            )  # fmt: skip
            if stage:
                _through(ints, floats, ONE, middle, z, ZERO, begin, last, units, width)
    if sizes[WANTED]:
        _by_initial_state(ints, floats, begin, end, units, width)
    restore_denormals(before)


@compiled
def _by_initial_state(ints, floats, begin, end, units, width):
    """Fill BELOW, and CARRY where it is a part of the state, with the gradient by the initial state; a row without
    steps hands that by its final state through."""
    below, carry = floats[BELOW], floats[CARRY]
    last = rows_at(offsets_of(ints), ZERO, ints[SIZES][STEPS], end)
    last = last if last > begin else begin
    if last > begin:
        z = at(floats[GATES], begin * ints[SIZES][GATES_ROW])
        _through(ints, floats, ZERO, below, z, ZERO, begin, last, units, width)
    if ints[SIZES][CARRIES] == ADDED_TO_STATE:
        for i in range(begin * width, last * width):
            below[i] += carry[i]
    for b in range(last, end):
        place = b if missing(ints[ORDER]) else ints[ORDER][b]
        for part in range(2):
            given, row = floats[BY_STATE + part], at(floats[BELOW + part], b * width)
            if missing(given):
                fill(row, width, 0)
            else:
                copy(row, at(given, place * ints[SIZES][STATE_ROW]), units)


def weight_gradients(ints, floats, begin, end):
    """Fill SUMS: for each product gatesᵀ history over all steps and rows, for the units from begin to end."""
    before = flush_denormals()
    sizes, products = ints[SIZES], ints[GRADIENTS]
    gates_row, row, units = sizes[GATES_ROW], sizes[ROW], sizes[UNITS]
    total, width = offsets_of(ints)[sizes[STEPS]], padded(units)
    for k in range(0, total, DEPTH):
        depth = DEPTH if total - k > DEPTH else total - k
        for number in range(products[0]):
            p = at(products, 1 + number * GRADIENT)
            for block in range(p[1]):
                z = at(floats[GATES], k * gates_row + p[0] + block * width + begin)
                call(
                    sizes[MULTIPLY],
                    (
                        at(floats[SUMS], p[4] + (block * units + begin) * p[5]), p[5], k, z, 1, gates_row, depth, z, 0,
                        at(floats[HISTORY], k * row + p[2]), row, 0, end - begin, p[3],
                    ),
                )  # fmt: skip
    restore_denormals(before)
