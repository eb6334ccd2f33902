"""Whole training steps in compiled code: batch, forward, dense layer, loss, backward, and TF1's Adam.

A step has three parts, so that threads may share it: `begin_step` (packing the weights), `rows_of_step` (everything
that belongs to a row of the batch), `units_of_step` (everything that belongs to a row of weight_ih and weight_hh, with
the dense layer as part of the first). `train` runs many steps on one thread. Memory is laid out as in
`torch_impl.unrolling.compiled_loops`; `buffers` and `weights` are the tuples that `whole_steps` makes:

    buffers   history, grads, forward, backward, sums: as there; dense_forward [units + 1, padded(outputs)] and
              dense_backward [outputs, padded(units)]: the packed dense layer; dense [dense steps, batch,
              padded(outputs)]: predictions, then the cost's gradient by them; dense_sums [outputs, row]: the gradients
              of the dense weight and, at column padded(units), bias; row_losses [batch] in float64
    weights   weight_ih, weight_hh, bias, dense weight [outputs, units], dense bias

A classifier's dense layer has one step, the last; a regressor's has all of them.
"""

from __future__ import annotations

import math

import numpy as np

from torch_impl.unrolling.compiled_loops import over_time, through_time, weight_gradients
from torch_impl.unrolling.jit import cached, compiled
from torch_impl.unrolling.layout import copy, fill, pack, padded
from torch_impl.unrolling.tiles import ONE, ZERO, flush_denormals, multiply, restore_denormals

BEGIN, ROWS, UNITS, END, ALL = 0, 1, 2, 3, 4


@compiled
def begin_step(weights, buffers):
    """Lay out the weights for both directions."""
    weight_ih, weight_hh, bias, dense_weight, dense_bias = weights
    _, _, forward, backward, _, dense_forward, dense_backward, _, _, _ = buffers
    pack(weight_ih, weight_hh, bias, forward, backward)
    outputs, units = dense_weight.shape
    width, columns = padded(units), padded(outputs)
    fill(dense_forward, 0)
    fill(dense_backward, 0)
    for o in range(outputs):
        copy(dense_backward[o * width :], dense_weight[o])
        for j in range(units):
            dense_forward[j * columns + o] = dense_weight[o, j]
        dense_forward[units * columns + o] = dense_bias[o]


@compiled
def _cross_entropy(values, label, batch):
    """The loss of one row of logits, which become the gradient of the mean over the batch."""
    largest = values[0]
    for o in range(values.size):
        largest = values[o] if values[o] > largest else largest
    total = 0.0
    for o in range(values.size):
        total += math.exp(values[o] - largest)
    loss = math.log(total) - (values[label] - largest)
    for o in range(values.size):
        share = math.exp(values[o] - largest) / total
        values[o] = (share - (1.0 if o == label else 0.0)) / batch
    return loss


@compiled
def _mean_square(values, targets, count):
    """The sum of squared errors; values become the gradient of the mean over `count` entries."""
    loss = 0.0
    for o in range(values.size):
        error = values[o] - targets[o]
        loss += error * error
        values[o] = 2 * error / count
    return loss


@compiled
def rows_of_step(inputs, labels, targets, rows, weights, buffers, relu, begin, end):
    """Fill history, dense (with gradients), row_losses and grads for the rows of the batch from begin to end."""
    history, grads, forward, backward, _, dense_forward, dense_backward, dense, _, row_losses = buffers
    outputs, units = weights[3].shape
    batch, steps, size = rows.size, inputs.shape[1], inputs.shape[2]
    width, columns = padded(units), padded(outputs)
    row = width + padded(1 + size)
    lengths = rows[:0]
    over_time(history, inputs, rows, weights[3][:0], lengths, forward, units, relu, begin, end)
    for b in range(begin, end):
        row_losses[b] = 0.0
        fill(history[(steps * batch + b) * row + width : (steps * batch + b + 1) * row], 0)
        history[(steps * batch + b) * row + width] = 1
    first = steps - 1 if labels.size else 0
    for t in range(steps):
        here, at = (t * batch + begin) * width, ((t + 1) * batch + begin) * row
        if t < first:
            fill(grads[here : here + (end - begin) * width], 0)
            continue
        values = ((t - first) * batch + begin) * columns
        multiply(
            dense, values, columns, ZERO, history, at, row, ONE, units, at + width, ONE,
            dense_forward, ZERO, columns, end - begin, columns,
        )  # fmt: skip
        for b in range(begin, end):
            place = ((t - first) * batch + b) * columns
            prediction = dense[place : place + outputs]
            if labels.size:
                row_losses[b] = _cross_entropy(prediction, labels[rows[b]], batch)
            else:
                row_losses[b] += _mean_square(prediction, targets[rows[b], t], batch * steps * outputs)
        multiply(
            grads, here, width, ZERO, dense, values, columns, ONE, outputs, ZERO, ZERO,
            dense_backward, ZERO, width, end - begin, width,
        )  # fmt: skip
    through_time(
        history, grads, True, inputs[:0], weights[3][:0], lengths, backward, grads[:0],
        batch, steps, units, size, relu, begin, end,
    )  # fmt: skip


@compiled
def _adam(weight, gradient, m, v, settings):
    """TF1's Adam on one vector. settings: lr_t, beta1, beta2, epsilon, in the weights' dtype."""
    lr_t, beta1, beta2, epsilon = settings[0], settings[1], settings[2], settings[3]
    decay1, decay2 = settings[4] - beta1, settings[4] - beta2
    for i in range(weight.size):
        m[i] += (gradient[i] - m[i]) * decay1
        v[i] += (gradient[i] * gradient[i] - v[i]) * decay2
        weight[i] -= (m[i] * lr_t) / (np.sqrt(v[i]) + epsilon)


@compiled
def units_of_step(weights, moments, buffers, settings, begin, end):
    """The weights' gradients for the units from begin to end, and Adam on them; the dense layer's too if begin is 0."""
    history, grads, _, _, sums, _, _, dense, dense_sums, _ = buffers
    weight_ih, weight_hh, bias, dense_weight, dense_bias = weights
    m_ih, m_hh, m_bias, m_dense, m_dense_bias, v_ih, v_hh, v_bias, v_dense, v_dense_bias = moments
    units, size = weight_ih.shape
    width = padded(units)
    row = width + padded(1 + size)
    weight_gradients(history, grads, sums, units, size, begin, end)
    for j in range(begin, end):
        at = j * row
        _adam(weight_hh[j], sums[at : at + units], m_hh[j], v_hh[j], settings)
        at += width
        _adam(bias[j : j + 1], sums[at : at + 1], m_bias[j : j + 1], v_bias[j : j + 1], settings)
        _adam(weight_ih[j], sums[at + 1 : at + 1 + size], m_ih[j], v_ih[j], settings)
    if begin > 0:
        return
    outputs = dense_bias.size
    columns = padded(outputs)
    count = dense.size // columns
    multiply(
        dense_sums, ZERO, row, ZERO, dense, ZERO, ONE, columns, count, ZERO, ZERO,
        history, history.size - count * row, row, outputs, row,
    )  # fmt: skip
    for o in range(outputs):
        at = o * row
        _adam(dense_weight[o], dense_sums[at : at + units], m_dense[o], v_dense[o], settings)
        at += width
        _adam(
            dense_bias[o : o + 1], dense_sums[at : at + 1], m_dense_bias[o : o + 1], v_dense_bias[o : o + 1], settings
        )


@cached
def train(
    part, inputs, labels, targets, batches, losses, weights, moments, buffers, settings, powers, relu, begin, end
):
    """Steps of training on the rows of batches [steps, batch], with the loss before each in losses [steps].

    part: ALL of every step; or BEGIN, ROWS, UNITS and END, in this order, of a step on one row of batches, where ROWS
    and UNITS are done for the rows, or units, from begin to end.
    inputs [any, steps, inputs]; labels [any] and no targets, or targets [any, steps, outputs] and no labels.
    settings: room for lr_t, then beta1, beta2, epsilon, one and lr, in the weights' dtype, from float32 numbers.
    powers: beta1_power, beta2_power, beta1, beta2 in float32; TF1 accumulates the powers so. BEGIN computes lr_t from
    them, END advances them.
    """
    before = flush_denormals()
    units, batch = weights[1].shape[0], batches.shape[1]
    every = part == ALL
    last_row, last_unit = batch if every else end, units if every else end
    for i in range(batches.shape[0]):
        if every or part == BEGIN:
            begin_step(weights, buffers)
            one = settings[4]
            settings[0] = settings[5] * np.sqrt(one - one * powers[1]) / (one - one * powers[0])
        if every or part == ROWS:
            rows_of_step(inputs, labels, targets, batches[i], weights, buffers, relu, begin, last_row)
        if every or part == UNITS:
            units_of_step(weights, moments, buffers, settings, begin, last_unit)
        if every or part == END:
            total = 0.0
            for b in range(batch):
                total += buffers[9][b]
            losses[i] = total / (batch if labels.size else batch * inputs.shape[1] * weights[4].size)
            powers[0] *= powers[2]
            powers[1] *= powers[3]
    restore_denormals(before)
