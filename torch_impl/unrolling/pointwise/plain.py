"""The plain cell: state' = activation(z)."""

from __future__ import annotations

from torch_impl.unrolling.activations import tanh
from torch_impl.unrolling.jit import at, compiled, distinct, one_of


@compiled
def _tanh(z, h, width):
    distinct()
    for j in range(width):
        h[j] = tanh(z[j])


@compiled
def _relu(z, h, width):
    distinct()
    zero = one_of(z) - one_of(z)
    for j in range(width):
        h[j] = zero if z[j] < zero else z[j]


def tanh_forward(stage, z, z_row, old, new, row, width, extra, rows):
    """tanh."""
    for r in range(rows):
        _tanh(at(z, r * z_row), at(new, r * row), width)


def relu_forward(stage, z, z_row, old, new, row, width, extra, rows):
    """relu."""
    for r in range(rows):
        _relu(at(z, r * z_row), at(new, r * row), width)


@compiled
def _tanh_back(z, h, below, width):
    distinct()
    one = one_of(z)  # a plain 1 would make it a sum in float64
    for j in range(width):
        z[j] = below[j] * (one - h[j] * h[j])


@compiled
def _relu_back(z, h, below, width):
    distinct()
    zero = one_of(z) - one_of(z)
    for j in range(width):
        z[j] = zero if h[j] <= zero else below[j]


def tanh_backward(stage, z, z_row, old, new, row, width, extra, rows, below, carry, middle):
    """Of tanh, from its result."""
    for r in range(rows):
        _tanh_back(at(z, r * z_row), at(new, r * row), at(below, r * width), width)


def relu_backward(stage, z, z_row, old, new, row, width, extra, rows, below, carry, middle):
    """Of relu, from its result."""
    for r in range(rows):
        _relu_back(at(z, r * z_row), at(new, r * row), at(below, r * width), width)
