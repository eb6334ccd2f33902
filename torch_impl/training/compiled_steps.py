"""Whole training steps in compiled code: batch, forward, dense layer, loss, backward, and TF1's Adam.

A step has two parts, so that threads may share it: everything that belongs to a row of the batch, and everything that
belongs to a unit, its weights' gradients, their update and their layout for the next step, with the dense layer as part
of the first. `train` has them in turn for many steps; where threads share the steps, each calls it once, and they wait
for each other after each part. For the tables see `torch_impl.unrolling.tables`; of those which only these kernels know

    DENSE_PACKED [units + 1, padded(outputs)], DENSE_BACK [outputs, width]: the dense layer, in panels
    DENSE       [dense steps, batch, padded(outputs)]: predictions, then the cost's gradient by them
    DENSE_SUMS  [outputs, width + PADDING]: the gradients of the dense weight and, at column width, bias
    LAST        [batch, width + PADDING]: a classifier's final states, and 1
    PARAMETERS  weight and two moments of each parameter, then of the dense weight [outputs, units] and bias
    SETTINGS    beta1, beta2, epsilon, 1;  RATES, LOSSES: lr_t and the loss of each step
    ROW_LOSSES  [batch] in float64;  PIECES: addresses of the kernels of each part
    SHARES      [steps of the call, 2]: which rows of the batch are this thread's; FIRST_UNIT, LAST_UNIT: which units
    MET         how often threads have come to where they wait, the only number that several threads write; THREADS: how
                many they are; GIVE_WAY: the address of the function by which a thread lets others run, or 0

A classifier's dense layer has one step, the last of each row; a regressor's has all of them, and rows of one length.
"""

from __future__ import annotations

import math

import numpy as np

from torch_impl.unrolling.jit import PADDING, add_one, at, call, compiled, distinct, doubles, missing, shared_value
from torch_impl.unrolling.tables import (
    BATCH,
    BY_STATE,
    DENSE,
    DENSE_BACK,
    DENSE_PACKED,
    DENSE_SUMS,
    FIRST_UNIT,
    GIVE_WAY,
    HISTORY,
    LABELS,
    LAST,
    LAST_UNIT,
    LENGTHS,
    LOSSES,
    MET,
    MULTIPLY,
    ONE,
    OUTPUTS,
    PARAMETERS,
    PART,
    PARTS,
    PIECES,
    RATES,
    ROW,
    ROW_LOSSES,
    ROWS,
    SETTINGS,
    SHARES,
    SIZES,
    STEPS,
    STRIDE,
    SUMS,
    TARGETS,
    THREADS,
    TURN,
    UNITS,
    ZERO,
    copy,
    copy_to_panels,
    in_panels,
    offsets_of,
    padded,
)  # fmt: skip
from torch_impl.unrolling.tiles import flush_denormals, restore_denormals

# Looks at whether the others have come before a thread gives way: some 20 microseconds, less than it takes to wake one.
LOOKS = 1000


@compiled
def _cross_entropy(values, outputs, label, batch):
    """The loss of one row of logits, which become the gradient of the mean over the batch."""
    largest = values[0]
    for o in range(outputs):
        largest = values[o] if values[o] > largest else largest
    total = 0.0
    for o in range(outputs):
        total += math.exp(values[o] - largest)
    loss = math.log(total) - (values[label] - largest)
    for o in range(outputs):
        share = math.exp(values[o] - largest) / total
        values[o] = (share - (1.0 if o == label else 0.0)) / batch
    return loss


@compiled
def _mean_square(values, targets, outputs, count):
    """The sum of squared errors; values become the gradient of the mean over `count` entries."""
    loss = 0.0
    for o in range(outputs):
        error = values[o] - targets[o]
        loss += error * error
        values[o] = 2 * error / count
    return loss


def head(ints, floats, begin, end):
    """Fill DENSE with the gradient by the predictions, ROW_LOSSES, and for a classifier BY_STATE, for these rows."""
    before = flush_denormals()
    sizes, offsets, labels = ints[SIZES], offsets_of(ints), ints[LABELS]
    rows = at(ints[ROWS], sizes[TURN] * sizes[BATCH])
    units, outputs, batch, steps = sizes[UNITS], sizes[OUTPUTS], sizes[BATCH], sizes[STEPS]
    width, columns = padded(units), padded(outputs)
    losses = doubles(ints[ROW_LOSSES])
    first = steps - 1 if not missing(labels) else 0
    for b in range(begin, end):
        losses[b] = 0.0
        length = steps if missing(ints[LENGTHS]) else ints[LENGTHS][sizes[TURN] * batch + b]
        final = at(floats[HISTORY], (offsets[length] + b) * sizes[ROW])
        if missing(labels):
            final[width] = 1  # in every block but the last it is there
        else:
            copy(at(floats[LAST], b * (width + PADDING)), final, width)
            floats[LAST][b * (width + PADDING) + width] = 1
    for t in range(first, steps):
        row = sizes[ROW] if missing(labels) else width + PADDING
        states = at(floats[LAST], begin * row)
        if missing(labels):
            states = at(floats[HISTORY], (offsets[t + 1] + begin) * row)
        dense = at(floats[DENSE], ((t - first) * batch + begin) * columns)
        call(
            sizes[MULTIPLY],
            (
                dense, columns, 0, states, row, 1, units, at(states, width), 1, floats[DENSE_PACKED], 0, units + 1,
                end - begin, columns,
            ),
        )  # fmt: skip
        for b in range(begin, end):
            values = at(dense, (b - begin) * columns)
            if missing(labels):
                wanted = at(floats[TARGETS], (rows[b] * sizes[STRIDE] + t) * outputs)
                losses[b] += _mean_square(values, wanted, outputs, batch * steps * outputs)
            else:
                losses[b] = _cross_entropy(values, outputs, labels[rows[b]], batch)
    if not missing(labels):
        dense = at(floats[DENSE], begin * columns)
        call(
            sizes[MULTIPLY],
            (
                at(floats[BY_STATE], begin * width), width, 0, dense, columns, 1, outputs, dense, 0, floats[DENSE_BACK],
                0, outputs, end - begin, width,
            ),
        )  # fmt: skip
    restore_denormals(before)


@compiled
def _adam(ints, floats, number, start, gradient, count):
    """TF1's Adam on a part of a parameter."""
    lr_t, settings = floats[RATES][ints[SIZES][TURN]], floats[SETTINGS]
    beta1, beta2, epsilon, one = settings[0], settings[1], settings[2], settings[3]
    weight = at(floats[PARAMETERS + 3 * number], start)
    m, v = at(floats[PARAMETERS + 3 * number + 1], start), at(floats[PARAMETERS + 3 * number + 2], start)
    _update(weight, gradient, m, v, count, lr_t, one - beta1, one - beta2, epsilon)


@compiled
def _update(weight, gradient, m, v, count, lr_t, decay1, decay2, epsilon):
    distinct()
    for i in range(count):
        m[i] += (gradient[i] - m[i]) * decay1
        v[i] += (gradient[i] * gradient[i] - v[i]) * decay2
        weight[i] -= (m[i] * lr_t) / (np.sqrt(v[i]) + epsilon)


def update(ints, floats, begin, end):
    """Adam on the weights of the units from begin to end; on the dense layer too, and the loss, if begin is 0."""
    before = flush_denormals()
    sizes, parts = ints[SIZES], ints[PARTS]
    units, count = sizes[UNITS], parts[0]
    for number in range(count):
        part = at(parts, 1 + number * PART)
        columns = part[1]
        for block in range(part[0]):
            for j in range(block * units + begin, block * units + end):
                _adam(ints, floats, number, j * columns, at(floats[SUMS], part[2] + j * part[3]), columns)
    if begin == 0:
        _dense_update(ints, floats, count)
    restore_denormals(before)


@compiled
def _dense_update(ints, floats, number):
    """The dense layer's gradients and Adam on them; number: its weight's. And the loss, in order of the rows."""
    sizes, offsets = ints[SIZES], offsets_of(ints)
    units, outputs, batch, steps = sizes[UNITS], sizes[OUTPUTS], sizes[BATCH], sizes[STEPS]
    width, columns = padded(units), padded(outputs)
    regressor = missing(ints[LABELS])
    count, row, states = batch, width + PADDING, floats[LAST]
    if regressor:
        count, row, states = steps * batch, sizes[ROW], at(floats[HISTORY], offsets[1] * sizes[ROW])
    call(
        sizes[MULTIPLY],
        (
            floats[DENSE_SUMS], width + PADDING, 0, floats[DENSE], 1, columns, count, floats[DENSE], 0, states, row, 0,
            outputs, width + PADDING,
        ),
    )  # fmt: skip
    for o in range(outputs):
        gradient = at(floats[DENSE_SUMS], o * (width + PADDING))
        _adam(ints, floats, number, o * units, gradient, units)
        _adam(ints, floats, number + 1, o, at(gradient, width), ONE)
    total = 0.0
    for b in range(batch):
        total += doubles(ints[ROW_LOSSES])[b]
    floats[LOSSES][sizes[TURN]] = total / (batch * steps * outputs if regressor else batch)


def pack_dense(ints, floats, begin, end):
    """Lay out the dense layer, if begin is 0. What is padding stays as it is."""
    if begin > 0:
        return
    sizes, number = ints[SIZES], ints[PARTS][0]
    units, outputs = sizes[UNITS], sizes[OUTPUTS]
    weight, bias = floats[PARAMETERS + 3 * number], floats[PARAMETERS + 3 * (number + 1)]
    for o in range(outputs):
        to, step = in_panels(weight, ZERO, o, units + 1, padded(outputs))
        line = at(floats[DENSE_PACKED], to)
        for j in range(units):
            line[j * step] = weight[o * units + j]
        line[units * step] = bias[o]
        copy_to_panels(floats[DENSE_BACK], at(weight, o * units), o, units, outputs, padded(units))


@compiled
def _meet(ints):
    """Wait until all threads have come here."""
    threads, give_way, met = ints[SIZES][THREADS], ints[SIZES][GIVE_WAY], ints[MET]
    if threads == 1:
        return
    due, looks = (add_one(met) // threads + 1) * threads, 0
    while shared_value(met) < due:
        looks += 1
        if looks > LOOKS and give_way != 0:
            call(give_way, ())


def train(ints, floats, begin, end):
    """The steps from begin to end: this thread's share of each."""
    sizes, pieces = ints[SIZES], ints[PIECES]
    for turn in range(begin, end):
        sizes[TURN] = turn
        rows = at(ints[SHARES], 2 * (turn - begin))
        for i in range(3):
            call(pieces[i], (ints, floats, rows[0], rows[1]))
        _meet(ints)
        for i in range(3, 7):
            call(pieces[i], (ints, floats, sizes[FIRST_UNIT], sizes[LAST_UNIT]))
        _meet(ints)
