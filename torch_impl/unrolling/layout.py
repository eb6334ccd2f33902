"""How compiled code lays out weights in memory: rows padded to whole vectors, and back to PyTorch's shapes.

In Numba only; see `torch_impl.unrolling.compiled_loops` for the layout of everything else.
"""

from __future__ import annotations

from torch_impl.unrolling.jit import cached, compiled
from torch_impl.unrolling.tiles import PADDING


@compiled
def padded(size):
    """size rounded up to whole vectors."""
    return (size + PADDING - 1) // PADDING * PADDING


# Numba's own slice assignment handles overlap and broadcasting, and takes a second to compile at every place. Its own
# min, max and `in` are closures, and not used here either: see torch_impl.unrolling.jit.


@compiled
def fill(vector, value):
    """Set every element."""
    for i in range(vector.size):
        vector[i] = value


@compiled
def copy(vector, values):
    """Copy values to the beginning of vector."""
    for i in range(values.size):
        vector[i] = values[i]


@cached
def pack(weight_ih, weight_hh, bias, forward, backward):
    """Lay out the weights for both directions.

    forward [units + 1 + inputs, padded(units)]: weight_hh transposed, bias, weight_ih transposed.
    backward [units, padded(units)]: weight_hh; it may be empty. Padding is zero.
    """
    units, inputs = weight_ih.shape
    width = padded(units)
    for block in range(0, units, PADDING):  # a block of columns at a time: a transposition by cache lines
        after = block + PADDING if block + PADDING < units else units
        for j in range(units):
            for k in range(block, after):
                forward[k * width + j] = weight_hh[j, k]
    copy(forward[units * width :], bias)
    for k in range(inputs):
        row = forward[(units + 1 + k) * width : (units + 2 + k) * width]
        for j in range(units):
            row[j] = weight_ih[j, k]
    for k in range(units + 1 + inputs):
        fill(forward[k * width + units : (k + 1) * width], 0)
    if backward.size:
        for j in range(units):
            row = backward[j * width : (j + 1) * width]
            copy(row, weight_hh[j])
            fill(row[units:], 0)


@cached
def unpack_gradients(sums, weight_ih, weight_hh, bias):
    """Copy sums, as `compiled_loops.weight_gradients` leaves them, into gradients of the weights' own shapes."""
    units, size = weight_ih.shape
    width = padded(units)
    row = width + padded(1 + size)
    for j in range(units):
        at = j * row
        copy(weight_hh[j], sums[at : at + units])
        bias[j] = sums[at + width]
        copy(weight_ih[j], sums[at + width + 1 : at + width + 1 + size])
