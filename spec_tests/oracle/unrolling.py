"""A network over time, and back-propagation through time."""

from __future__ import annotations

from typing import Any

import numpy as np

from spec_tests.oracle.arrays import Arrays, at_step, float64
from spec_tests.oracle.cells import CELLS
from spec_tests.oracle.structures import STRUCTURES
from unrolled.networks import Network


def valid_steps(inputs: np.ndarray, lengths: np.ndarray | None = None) -> np.ndarray:
    """valid[row, t, 0] = t < lengths[row]; bool [batch, steps, 1], to broadcast over values."""
    batch, steps = inputs.shape[:2]
    lengths = np.full(batch, steps) if lengths is None else np.asarray(lengths)
    return (np.arange(steps) < lengths[:, None])[:, :, None]


def carried(valid: np.ndarray, after: Arrays, before: Arrays) -> Arrays:
    """Each part of the state as it is after a step on valid rows [batch, 1], on the others as it was before."""
    return {name: np.where(valid, after[name], before[name]) for name in after}


def over_time(
    network: Network, w: Arrays, x: np.ndarray, valid: np.ndarray, state: Arrays, factors: Arrays
) -> tuple[np.ndarray, Arrays, Any]:
    """y_t, s_t = step(x_t, s_t-1) on valid steps; past them y_t = 0 and s_t = s_t-1.

    Returns (outputs [batch, steps, output_size], the last state, what the way back needs).
    """
    if network.kind in STRUCTURES:
        return STRUCTURES[network.kind].unroll(over_time, network, w, x, valid, state, factors)
    outputs, kept = [], []
    for t in range(x.shape[1]):
        output, after, needed = CELLS[network.kind].step(network, w, x[:, t], state, at_step(factors, t))
        outputs.append(np.where(valid[:, t], output, 0.0))
        state = carried(valid[:, t], after, state)
        kept.append(needed)
    return np.stack(outputs).transpose(1, 0, 2), state, kept


def back_in_time(
    network: Network, w: Arrays, kept: Any, valid: np.ndarray, dy: np.ndarray, dstate: Arrays
) -> tuple[Arrays, np.ndarray, Arrays]:
    """dw_t, dx_t, ds_t-1 = step_back(dy_t, ds_t), from the last step to the first; dw = sum over steps of dw_t.

    On the steps past a row's length dy_t and ds_t count as 0, so that dw_t = 0 and dx_t = 0, and ds_t-1 = ds_t.
    Returns (dw, dx [batch, steps, inputs], dstate before the first step).
    """
    if network.kind in STRUCTURES:
        return STRUCTURES[network.kind].bptt(back_in_time, network, w, kept, valid, dy, dstate)
    zeros = {name: np.zeros_like(part) for name, part in dstate.items()}
    gradients: Arrays = {}
    dx = []
    for t in reversed(range(dy.shape[1])):
        dy_t, dstate_t = np.where(valid[:, t], dy[:, t], 0.0), carried(valid[:, t], dstate, zeros)
        dweights, dx_t, before = CELLS[network.kind].step_back(network, w, kept[t], dy_t, dstate_t)
        for name, gradient in dweights.items():
            gradients[name] = gradients.get(name, 0.0) + gradient
        dstate = carried(valid[:, t], before, dstate)
        dx.append(dx_t)
    return gradients, np.stack(dx[::-1], axis=1), dstate


def _factors(network: Network, inputs: np.ndarray, masks: Arrays | None) -> Arrays:
    """What each dropout multiplies by, mask / keep, [batch, steps, width]; none where no masks are given."""
    batch, steps, width = inputs.shape
    asked = network.masks(width)
    return {
        name: np.broadcast_to(np.asarray(mask, np.float64) / asked[name].keep, (batch, steps, asked[name].width))
        for name, mask in (masks or {}).items()
    }


def _given(
    network: Network,
    weights: Arrays,
    inputs: np.ndarray,
    lengths: np.ndarray | None,
    initial_state: Arrays | None,
    masks: Arrays | None,
) -> tuple[Arrays, np.ndarray, np.ndarray, Arrays, Arrays]:
    """What `over_time` takes, in float64: the padding of the inputs is zeros, and so is a state that is not given."""
    valid = valid_steps(inputs, lengths)
    x = np.where(valid, np.asarray(inputs, np.float64), 0.0)
    zeros = {name: np.zeros((len(x), width)) for name, width in network.state.items()}
    state = zeros if initial_state is None else float64(initial_state)
    return float64(weights), x, valid, state, _factors(network, x, masks)


def unroll(
    network: Network,
    weights: Arrays,
    inputs: np.ndarray,
    lengths: np.ndarray | None = None,
    initial_state: Arrays | None = None,
    masks: Arrays | None = None,
) -> tuple[np.ndarray, Arrays]:
    """The network over time: (outputs [batch, steps, output_size], the state after the last step)."""
    return over_time(network, *_given(network, weights, inputs, lengths, initial_state, masks))[:2]


def bptt(
    network: Network,
    weights: Arrays,
    inputs: np.ndarray,
    output_gradients: np.ndarray | None = None,
    state_gradients: Arrays | None = None,
    lengths: np.ndarray | None = None,
    initial_state: Arrays | None = None,
    masks: Arrays | None = None,
) -> Arrays:
    """Back-propagation through time: the gradients by every weight, "inputs", and "initial_state/<part>"."""
    w, x, valid, state, factors = _given(network, weights, inputs, lengths, initial_state, masks)
    outputs, state, kept = over_time(network, w, x, valid, state, factors)
    dy = np.zeros_like(outputs) if output_gradients is None else np.asarray(output_gradients, np.float64)
    zeros = {name: np.zeros_like(part) for name, part in state.items()}
    dstate = zeros if state_gradients is None else float64(state_gradients)
    gradients, dx, dstate = back_in_time(network, w, kept, valid, dy, dstate)
    gradients["inputs"] = dx
    gradients.update({"initial_state/" + name: part for name, part in dstate.items()})
    return gradients
