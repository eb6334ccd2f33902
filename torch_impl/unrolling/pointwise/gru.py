"""The GRUs: z has r, u and n, with the reset gate after the product also that product, m; carry is the part of the
gradient by the state that does not go through the products."""

from __future__ import annotations

from torch_impl.unrolling.activations import sigmoid, tanh
from torch_impl.unrolling.jit import at, compiled, distinct, one_of


@compiled
def _after(r, u, n, m, h, new, width):
    distinct()
    one = one_of(r)
    for j in range(width):
        r[j] = sigmoid(r[j])
        u[j] = sigmoid(u[j])
        n[j] = tanh(n[j] + r[j] * m[j])
        new[j] = u[j] * h[j] + (one - u[j]) * n[j]


def after_forward(stage, z, z_row, old, new, row, width, extra, rows):
    """n' = tanh(n + sigmoid(r) m); h' = sigmoid(u) h + (1 - sigmoid(u)) n'."""
    for k in range(rows):
        r = at(z, k * z_row)
        _after(r, at(r, width), at(r, 2 * width), at(r, 3 * width), at(old, k * row), at(new, k * row), width)


@compiled
def _after_back(r, u, n, m, h, below, carry, width):
    distinct()
    one = one_of(r)
    for j in range(width):
        r_, u_, n_ = r[j], u[j], n[j]
        by_h = below[j] + carry[j]
        by_n = by_h * (one - u_) * (one - n_ * n_)
        r[j] = by_n * m[j] * r_ * (one - r_)
        u[j] = by_h * (h[j] - n_) * u_ * (one - u_)
        n[j] = by_n
        m[j] = by_n * r_
        carry[j] = by_h * u_


def after_backward(stage, z, z_row, old, new, row, width, extra, rows, below, carry, middle):
    """Its derivative."""
    for k in range(rows):
        r = at(z, k * z_row)
        u, n, m = at(r, width), at(r, 2 * width), at(r, 3 * width)
        _after_back(r, u, n, m, at(old, k * row), at(below, k * width), at(carry, k * width), width)


@compiled
def _gates(r, u, h, reset, width):
    distinct()
    for j in range(width):
        r[j] = sigmoid(r[j])
        u[j] = sigmoid(u[j])
        reset[j] = r[j] * h[j]


@compiled
def _candidate(u, n, h, new, width):
    distinct()
    one = one_of(u)
    for j in range(width):
        n[j] = tanh(n[j])
        new[j] = u[j] * h[j] + (one - u[j]) * n[j]


def before_forward(stage, z, z_row, old, new, row, width, extra, rows):
    """Stage 0: extra = sigmoid(r) h. Stage 1, with n from that: h' = sigmoid(u) h + (1 - sigmoid(u)) tanh(n)."""
    for k in range(rows):
        r, h = at(z, k * z_row), at(old, k * row)
        if stage == 0:
            _gates(r, at(r, width), h, at(h, extra), width)
        else:
            _candidate(at(r, width), at(r, 2 * width), h, at(new, k * row), width)


@compiled
def _candidate_back(u, n, h, below, carry, width):
    distinct()
    one = one_of(u)
    for j in range(width):
        u_, n_ = u[j], n[j]
        by_h = below[j] + carry[j]
        n[j] = by_h * (one - u_) * (one - n_ * n_)
        u[j] = by_h * (h[j] - n_) * u_ * (one - u_)
        carry[j] = by_h * u_


@compiled
def _gates_back(r, h, middle, carry, width):
    distinct()
    one = one_of(r)
    for j in range(width):
        r_ = r[j]
        carry[j] += middle[j] * r_
        r[j] = middle[j] * h[j] * r_ * (one - r_)


def before_backward(stage, z, z_row, old, new, row, width, extra, rows, below, carry, middle):
    """Stage 1: the derivative as far as the product with extra, whose gradient is `middle` then; stage 0: the rest."""
    for k in range(rows):
        r, h, on = at(z, k * z_row), at(old, k * row), at(carry, k * width)
        if stage:
            _candidate_back(at(r, width), at(r, 2 * width), h, at(below, k * width), on, width)
        else:
            _gates_back(r, h, at(middle, k * width), on, width)
