"""What kernels are given, and the small loops that they share. `torch_impl.unrolling.memory` makes it.

Every kernel has the arguments (ints, floats, begin, end): tables of pointers to int64 and to float32 or float64, and
the rows of the batch (or the units, where it says so) to work on. None depends on another's rows, so that threads may
share a batch. Memory is flat and time-major, and only valid steps take part in it: rows are sorted by length, longest
first, and block t of `offsets` holds those of at least t steps, so that the first of them are those that take step t.

    HISTORY     [offsets[steps + 1], row]   in block t, the state before step t [width], then 1 and the inputs of step t
                [padded(1 + inputs)], then what its kind calls extra [width]; 0 and not 1 in rows that end there
    GATES       [offsets[steps], gates row]  in block t, the blocks [width] of what the step computes from its products;
                after the backward pass the cost's gradient by each product's result, 0 in rows that end there
    PACKED, BACK   the weights for either direction, in panels: see `tiles.multiply`
    SUMS        the gradients of the weights, a matrix for each product

width is units rounded up to whole vectors. With the 1 in the row, one product gives the gradients of the weights and of
the bias at once. Inside the kernels denormal numbers count as zero: gradients that fade over many steps become
denormal, and a product over those is up to a hundred times slower. The error is below the smallest normal number.
"""

from __future__ import annotations

import numpy as np

from torch_impl.unrolling.jit import MAX_WIDTH, PADDING, add_one, at, call, compiled, missing
from torch_impl.unrolling.tiles import lanes_of

# Tables of int64. ROWS: which of the inputs each row of the batch is. ORDER: where in a state that was given or is
# wanted it is; null for the same place. LENGTHS: of the rows; null: all steps. PARTS and others: see `memory.Layout`.
(
    SIZES, OFFSETS, ROWS, ORDER, FORWARD, BACKWARD, GRADIENTS, PARTS, LENGTHS, LABELS, ROW_LOSSES, PIECES, SHARES, MET,
) = range(14)  # fmt: skip

# In SIZES. STRIDE: steps of each of the inputs, 0 where they are packed. KEEP: whether the way forward leaves the GATES
# of every step, or those of one. CARRIES: what `carry` is, see `kinds.kind`. WANTED: whether the initial state's
# gradient is. MULTIPLY, STEP, STEP_BACK: addresses of kernels. STATE_ROW: how far the rows of states that are given are
# apart. TURN: which of many batches is trained on; OFFSETS_ROW: how far their offsets are apart. EVERY: whether a dense
# layer is on every output.
(
    BATCH, STEPS, STRIDE, UNITS, SIZE, ROW, GATES_ROW, KEEP, CARRIES, WANTED, MULTIPLY, STEP, STEP_BACK,
    STATE_ROW, OUTPUTS, EVERY, TURN, OFFSETS_ROW, THREADS, FIRST_UNIT, LAST_UNIT, GIVE_WAY,
) = range(22)  # fmt: skip

# Tables of scalars. FIRST, FIRST_CELL: the initial state [batch, units]; null: zeros. BY_OUTPUTS, BY_STATE, BY_CELL:
# the cost's gradients, laid out as inputs and states are; null: zeros. BELOW, CARRY, MIDDLE: [batch, width], see
# `backward`. The rest: `torch_impl.training.compiled_steps`.
(
    HISTORY, GATES, INPUTS, FIRST, FIRST_CELL, PACKED, BACK, ADDED, BY_OUTPUTS, BY_STATE, BY_CELL, BELOW, CARRY, MIDDLE,
    SUMS, TARGETS, DENSE_PACKED, DENSE_BACK, DENSE, DENSE_SUMS, LAST, SETTINGS, RATES, LOSSES, PARAMETERS,
) = range(25)  # fmt: skip

# A line of PARTS, one for each parameter [blocks * units, columns]; of FORWARD, BACKWARD and GRADIENTS: one product.
PART, STEP_FORWARD, STEP_BACKWARD, GRADIENT = 11, 10, 3, 6

# What threads share that take pieces of a kernel's work: how many were taken, how many there are, the kernel's address
# and its first two arguments, and where each piece begins.
TAKEN, COUNT, KERNEL, INTS, FLOATS, BOUNDS = range(6)

# As arguments of `compiled` functions: Numba compiles those anew for every literal number.
ZERO, ONE = np.int64(0), np.int64(1)


@compiled
def padded(size):
    """size rounded up to whole vectors."""
    return (size + PADDING - 1) // PADDING * PADDING


@compiled
def offsets_of(ints):
    """OFFSETS of the batch at hand."""
    sizes = ints[SIZES]
    return at(ints[OFFSETS], sizes[TURN] * sizes[OFFSETS_ROW])


@compiled
def fill(values, count, value):
    """Set so many elements."""
    for i in range(count):
        values[i] = value


@compiled
def copy(values, others, count):
    """Copy so many elements of others to values."""
    for i in range(count):
        values[i] = others[i]


@compiled
def in_panels(like, k, column, depth, columns):
    """Where element (k, column) of a matrix in panels is, and how far its next row; like: a pointer to its scalars."""
    panel = MAX_WIDTH * lanes_of(like)
    whole = columns // panel * panel
    if column < whole:
        return column // panel * panel * depth + k * panel + column % panel, panel
    return whole * depth + k * (columns - whole) + column - whole, columns - whole


@compiled
def copy_to_panels(panels, line, k, count, depth, columns):
    """Copy so many elements of a line to row k of a matrix [depth, columns] in panels, a line of a panel at a time."""
    panel, column = MAX_WIDTH * lanes_of(panels), 0
    whole = columns // panel * panel
    while column < count:
        across = panel if column < whole else columns - whole
        left = count - column
        copy(at(panels, column * depth + k * across), at(line, column), across if across < left else left)
        column += across


def take(given):
    """Run pieces until none is left. given: a table of one pointer, to what TAKEN and those after it name."""
    work = given[0]
    while True:
        i = add_one(at(work, TAKEN))
        if i >= work[COUNT]:
            return
        call(work[KERNEL], (work[INTS], work[FLOATS], work[BOUNDS + i], work[BOUNDS + i + 1]))


def pack(ints, floats, begin, end):
    """Lay out the weights of the units from begin to end for both directions. What is padding stays as it is."""
    sizes, parts = ints[SIZES], ints[PARTS]
    units = sizes[UNITS]
    packed, back, added = floats[PACKED], floats[BACK], floats[ADDED]
    width = padded(units)
    for number in range(parts[0]):
        part = at(parts, 1 + number * PART)
        columns, weight = part[1], floats[PARAMETERS + 3 * number]
        start, depth, wide, first, first_row = part[4], part[5], part[6], part[7], part[8]
        for block in range(part[0]):
            j = begin
            while j < end:  # some columns at a time: a transposition by cache lines
                after = (j // PADDING + 1) * PADDING
                after = after if after < end else end
                to, step = in_panels(packed, first_row, first + block * width + j, depth, wide)
                for k in range(columns):
                    line = at(packed, start + to + k * step)
                    column = at(weight, (block * units + j) * columns + k)
                    if after - j == PADDING:  # as many as LLVM knows beforehand
                        for i in range(PADDING):
                            line[i] = column[i * columns]
                    else:
                        for i in range(after - j):
                            line[i] = column[i * columns]
                    if part[10] >= 0:
                        for i in range(j, after):
                            line[i - j] += added[part[10] + block * width + i]
                j = after
            if part[9] >= 0 and not missing(back):
                panels = at(back, part[9] + block * units * width)
                for i in range(begin, end):
                    copy_to_panels(panels, at(weight, (block * units + i) * columns), i, columns, units, width)


def unpack(ints, floats, begin, end):
    """Copy SUMS into gradients of the parameters' own shapes, for the units from begin to end."""
    parts, units, sums = ints[PARTS], ints[SIZES][UNITS], floats[SUMS]
    for number in range(parts[0]):
        part, gradient = at(parts, 1 + number * PART), floats[PARAMETERS + 3 * number]
        if missing(gradient):
            continue
        for block in range(part[0]):
            for j in range(block * units + begin, block * units + end):
                copy(at(gradient, j * part[1]), at(sums, part[2] + j * part[3]), part[1])
