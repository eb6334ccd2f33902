"""A cell over time, and back-propagation through time."""

from __future__ import annotations

import numpy as np

from spec_tests.oracle.cells import ACTIVATIONS, SLOPES, Arrays, float64
from unrolled.programs import Cell


def valid_steps(inputs: np.ndarray, lengths: np.ndarray | None = None) -> np.ndarray:
    """valid[row, t, 0] = t < lengths[row]; bool [batch, steps, 1], to broadcast over values."""
    batch, steps = inputs.shape[:2]
    lengths = np.full(batch, steps) if lengths is None else np.asarray(lengths)
    return (np.arange(steps) < lengths[:, None])[:, :, None]


def _states(cell: Cell, w: Arrays, x: np.ndarray, valid: np.ndarray, h: np.ndarray | None) -> np.ndarray:
    """h_t = f(concat(x_t, h_t-1) kernel + b) on valid steps, h_t-1 past them: [steps + 1, batch, units], h_0 first."""
    f = ACTIVATIONS[cell.activation]
    states = [np.zeros((len(x), cell.units)) if h is None else np.asarray(h, np.float64)]
    for t in range(x.shape[1]):
        h_new = f(np.concatenate([x[:, t], states[-1]], axis=1) @ w["kernel"] + w["bias"])
        states.append(np.where(valid[:, t], h_new, states[-1]))
    return np.stack(states)


def unroll(
    cell: Cell,
    weights: Arrays,
    inputs: np.ndarray,
    lengths: np.ndarray | None = None,
    initial_state: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """y_t = h_t on valid steps, 0 past them; the final state is h after the last step.

    Returns (outputs [batch, steps, units], state [batch, units]).
    """
    valid = valid_steps(inputs, lengths)
    states = _states(cell, float64(weights), np.where(valid, inputs, 0.0), valid, initial_state)
    return np.where(valid, states[1:].transpose(1, 0, 2), 0.0), states[-1]


def bptt(
    cell: Cell,
    weights: Arrays,
    inputs: np.ndarray,
    output_gradients: np.ndarray | None = None,
    state_gradient: np.ndarray | None = None,
    lengths: np.ndarray | None = None,
    initial_state: np.ndarray | None = None,
) -> Arrays:
    """Back-propagation through time, from the last step to the first, on valid steps only:

    dz_t = (dy_t + dh_t) f'(h_t); dkernel += concat(x_t, h_t-1)^T dz_t; db += sum over rows of dz_t;
    [dx_t, dh_t-1] = dz_t kernel^T. On the steps past a row's length dx_t = 0 and dh_t-1 = dh_t.
    """
    w, valid, slope = float64(weights), valid_steps(inputs, lengths), SLOPES[cell.activation]
    x = np.where(valid, inputs, 0.0)
    states = _states(cell, w, x, valid, initial_state)
    dh = np.zeros_like(states[0]) if state_gradient is None else np.asarray(state_gradient, np.float64)
    dy = np.zeros((1, x.shape[1], 1)) if output_gradients is None else np.asarray(output_gradients, np.float64)
    dkernel, dbias, dx = np.zeros_like(w["kernel"]), np.zeros_like(w["bias"]), np.zeros_like(x)
    for t in reversed(range(x.shape[1])):
        dz = np.where(valid[:, t], (dy[:, t] + dh) * slope(states[t + 1]), 0.0)
        dkernel += np.concatenate([x[:, t], states[t]], axis=1).T @ dz
        dbias += dz.sum(axis=0)
        dx[:, t], dh_before = np.split(dz @ w["kernel"].T, [x.shape[2]], axis=1)
        dh = np.where(valid[:, t], dh_before, dh)
    return {"kernel": dkernel, "bias": dbias, "inputs": dx, "initial_state": dh}
