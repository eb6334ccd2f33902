"""The plain RNN over whole sequences in compiled code: forward, backward, and the gradients of the weights.

Compiled by Numba at first use and cached on disk. Every function works on rows (or, for the weights' gradients, on
units) from `begin` to `end` only, and none depends on another's rows, so that threads may share a batch.

Memory is flat and time-major, rows padded to whole vectors (`padded`):

    history [steps + 1, batch, row]   of step t: the state before it [padded(units)], then 1 and the inputs
                                      [padded(1 + inputs)]; the last step has a state only
    grads   [steps, batch, padded(units)]   the cost's gradient by the argument of each step's activation

With the 1 in the row, one product gives the gradients of both weights and of the bias at once.

Inside these functions denormal numbers count as zero: gradients that fade over many steps become denormal, and a
product over those is up to a hundred times slower. The error is below the smallest normal number.
"""

from __future__ import annotations

from torch_impl.unrolling.activations import tanh
from torch_impl.unrolling.jit import cached, compiled
from torch_impl.unrolling.layout import copy, fill, padded
from torch_impl.unrolling.tiles import ONE, ZERO, flush_denormals, multiply, restore_denormals

DEPTH = 96  # rows of history multiplied at a time into the weights' gradients: what the first-level cache holds


@compiled
def _last_step(lengths, steps, begin, end):
    """The number of steps that some row needs. lengths may be empty: all of them."""
    if lengths.size == 0:
        return steps
    longest = 0
    for b in range(begin, end):
        longest = lengths[b] if lengths[b] > longest else longest
    return longest


@compiled
def _rows_at(lengths, t, begin, end):
    """How many rows there are from begin to the last one that needs step t.

    Rows sorted by length, as they come from a PackedSequence, are then spared all of their padding.
    """
    if lengths.size == 0:
        return end - begin
    while end > begin and lengths[end - 1] <= t:
        end -= 1
    return end - begin


@compiled
def over_time(history, inputs, rows, initial_state, lengths, weights, units, relu, begin, end):
    """Fill history from inputs [any, steps, inputs], initial_state [batch, units] or [0, units], and packed weights.

    rows [batch]: which of the inputs the batch is; [0] for all, in order.
    The padding of history is zero: steps past a row's length, and the state before a row of length 0.
    """
    batch, steps, size = inputs.shape
    if rows.size:
        batch = rows.size
    width = padded(units)
    row = width + padded(1 + size)
    last = _last_step(lengths, steps, begin, end)
    for b in range(begin, end):
        first = history[b * row : b * row + units]
        if initial_state.shape[0] == 0 or (lengths.size and lengths[b] == 0):
            fill(first, 0)
        else:
            copy(first, initial_state[b])
    for t in range(steps):
        here, following = (t * batch + begin) * row, ((t + 1) * batch + begin) * row
        for b in range(begin, end):
            at = (t * batch + b) * row + width
            if t >= last or (lengths.size and t >= lengths[b]):
                fill(history[at : at + 1 + size], 0)
            else:
                history[at] = 1
                copy(history[at + 1 : at + 1 + size], inputs[rows[b] if rows.size else b, t])
        if t < last:
            multiply(
                history, following, row, ZERO, history, here, row, ONE, units, here + width, 1 + size,
                weights, ZERO, width, _rows_at(lengths, t, begin, end), width,
            )  # fmt: skip
        for b in range(begin, end):
            at = ((t + 1) * batch + b) * row
            state = history[at : at + width]
            if t >= last or (lengths.size and t >= lengths[b]):
                fill(state, 0)
            elif relu:
                zero = state.dtype.type(0)
                for j in range(width):
                    state[j] = zero if state[j] < zero else state[j]
            else:
                for j in range(width):
                    state[j] = tanh(state[j])


@compiled
def _activation_gradient(grad, state, relu):
    """grad times the activation's derivative, in place; state is the activation's result."""
    zero, one = grad.dtype.type(0), grad.dtype.type(1)  # plain 0 and 1 would make it a sum in float64
    if relu:
        for j in range(grad.size):
            grad[j] = zero if state[j] <= zero else grad[j]
    else:
        for j in range(grad.size):
            grad[j] = grad[j] * (one - state[j] * state[j])


@compiled
def through_time(
    history,
    grads,
    ready,
    grad_outputs,
    grad_state,
    lengths,
    weights,
    first,
    batch,
    steps,
    units,
    size,
    relu,
    begin,
    end,
):
    """Fill grads, zero in the padding, and first [batch, padded(units)], the initial state's gradient, if not empty.

    ready: whether grads already holds the cost's gradient by the outputs, rather than grad_outputs.
    grad_outputs [batch, steps, units] and grad_state [batch, units] have a batch of 0 where the cost does not use them.
    weights: weight_hh, packed for this direction. size: inputs per step.
    """
    width = padded(units)
    row = width + padded(1 + size)
    last = _last_step(lengths, steps, begin, end)
    used = grad_outputs.shape[0] > 0
    for t in range(steps - 1, -1, -1):
        for b in range(begin, end):
            at = (t * batch + b) * width
            grad = grads[at : at + units]
            if ready:
                continue
            if used and t < last and not (lengths.size and t >= lengths[b]):
                copy(grad, grad_outputs[b, t])
            else:
                fill(grad, 0)
        if t + 1 < last:
            at = (t * batch + begin) * width
            multiply(
                grads, at, width, ONE, grads, at + batch * width, width, ONE, units, ZERO, ZERO,
                weights, ZERO, width, _rows_at(lengths, t + 1, begin, end), width,
            )  # fmt: skip
        for b in range(begin, end):
            length = lengths[b] if lengths.size else steps
            at = (t * batch + b) * width
            grad = grads[at : at + width]
            if t >= length:
                fill(grad, 0)
                continue
            if t == length - 1 and grad_state.shape[0]:
                for j in range(units):
                    grad[j] += grad_state[b, j]
            state = history[((t + 1) * batch + b) * row : ((t + 1) * batch + b) * row + width]
            _activation_gradient(grad, state, relu)
    if first.size:
        multiply(
            first, begin * width, width, ZERO, grads, begin * width, width, ONE, units, ZERO, ZERO,
            weights, ZERO, width, end - begin, width,
        )  # fmt: skip
        for b in range(begin, end):
            if lengths.size and lengths[b] == 0:
                row_of_first = first[b * width : b * width + units]
                if grad_state.shape[0]:
                    copy(row_of_first, grad_state[b])
                else:
                    fill(row_of_first, 0)


@compiled
def weight_gradients(history, grads, sums, units, size, begin, end):
    """sums [units, row] = gradsᵀ history over all steps and rows, for the units from begin to end: the gradients of
    weight_hh [units, units], bias at column padded(units), and weight_ih after it."""
    width = padded(units)
    row = width + padded(1 + size)
    total = grads.size // width
    for k in range(0, total, DEPTH):
        depth = DEPTH if total - k > DEPTH else total - k
        multiply(
            sums, begin * row, row, k, grads, k * width + begin, ONE, width, depth, ZERO, ZERO,
            history, k * row, row, end - begin, row,
        )  # fmt: skip


@cached
def forward(history, inputs, rows, initial_state, lengths, weights, units, relu, begin, end):
    """`over_time`, with denormal numbers as zero."""
    before = flush_denormals()
    over_time(history, inputs, rows, initial_state, lengths, weights, units, relu, begin, end)
    restore_denormals(before)


# What `backward` computes. One function for the three, since each would compile the product anew.
THROUGH_TIME, WEIGHTS, INPUTS = 0, 1, 2


@cached
def backward(
    part,
    history,
    grads,
    grad_outputs,
    grad_state,
    lengths,
    weights,
    result,
    batch,
    steps,
    units,
    size,
    relu,
    begin,
    end,
):
    """One part of the backward pass, with denormal numbers as zero.

    THROUGH_TIME: see `through_time`; result is its `first`. WEIGHTS: see `weight_gradients`; result is its `sums`.
    INPUTS: result [steps * batch, padded(inputs)] = grads weight_ih, rows from begin to end; weights is weight_ih
    [units, padded(inputs)].
    """
    before = flush_denormals()
    if part == THROUGH_TIME:
        through_time(
            history, grads, False, grad_outputs, grad_state, lengths, weights, result,
            batch, steps, units, size, relu, begin, end,
        )  # fmt: skip
    elif part == WEIGHTS:
        weight_gradients(history, grads, result, units, size, begin, end)
    else:
        columns, width = padded(size), padded(units)
        multiply(
            result, begin * columns, columns, ZERO, grads, begin * width, width, ONE, units, ZERO, ZERO,
            weights, ZERO, columns, end - begin, columns,
        )  # fmt: skip
    restore_denormals(before)
