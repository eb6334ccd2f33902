"""The LSTM: z has i, f, g and o; extra is the cell state c, and carry the gradient by it."""

from __future__ import annotations

from torch_impl.unrolling.activations import sigmoid, tanh
from torch_impl.unrolling.jit import at, compiled, distinct, one_of


@compiled
def _step(i, f, g, o, c, new_c, new_h, width):
    distinct()
    for j in range(width):
        i[j] = sigmoid(i[j])
        f[j] = sigmoid(f[j])
        g[j] = tanh(g[j])
        o[j] = sigmoid(o[j])
        new_c[j] = f[j] * c[j] + i[j] * g[j]
        new_h[j] = tanh(new_c[j]) * o[j]


def forward(stage, z, z_row, old, new, row, width, extra, rows):
    """c' = sigmoid(f) c + sigmoid(i) tanh(g); h' = tanh(c') sigmoid(o)."""
    for r in range(rows):
        i = at(z, r * z_row)
        f, g, o = at(i, width), at(i, 2 * width), at(i, 3 * width)
        _step(i, f, g, o, at(old, r * row + extra), at(new, r * row + extra), at(new, r * row), width)


@compiled
def _step_back(i, f, g, o, c, new_c, below, carry, width):
    distinct()
    one = one_of(i)
    for j in range(width):
        i_, f_, g_, o_ = i[j], f[j], g[j], o[j]
        t = tanh(new_c[j])
        by_c = carry[j] + below[j] * o_ * (one - t * t)
        o[j] = below[j] * t * o_ * (one - o_)
        i[j] = by_c * g_ * i_ * (one - i_)
        f[j] = by_c * c[j] * f_ * (one - f_)
        g[j] = by_c * i_ * (one - g_ * g_)
        carry[j] = by_c * f_


def backward(stage, z, z_row, old, new, row, width, extra, rows, below, carry, middle):
    """Its derivative; tanh(c') is computed anew rather than kept."""
    for r in range(rows):
        i = at(z, r * z_row)
        f, g, o = at(i, width), at(i, 2 * width), at(i, 3 * width)
        c, new_c = at(old, r * row + extra), at(new, r * row + extra)
        _step_back(i, f, g, o, c, new_c, at(below, r * width), at(carry, r * width), width)
