"""Dropout: at every step inputs, outgoing state and outputs are times mask / keep, here the factors m.

y', s' = step(x mx, s);   s = s' ms, which the next step reads;   y = y' my, which it does not

A part of the state without a factor, such as every c, is left as it is.
"""

from __future__ import annotations

from typing import Any, Callable

import numpy as np

from spec_tests.oracle.arrays import Arrays, at_step
from unrolled.networks import Dropout, below


def unroll(
    over_time: Callable[..., Any],
    network: Dropout,
    w: Arrays,
    x: np.ndarray,
    valid: np.ndarray,
    state: Arrays,
    factors: Arrays,
) -> tuple[np.ndarray, Arrays, Any]:
    """The network within is asked for one step at a time."""
    outputs, kept = [], []
    for t in range(x.shape[1]):
        here, m = valid[:, t : t + 1], at_step(factors, t)
        inner = {name: each[:, t : t + 1] for name, each in below("inner/", factors).items()}
        read = x[:, t] * m.get("inputs", 1.0)
        y, after, needed = over_time(network.network, w, read[:, None], here, state, inner)
        state = _dropped(after, m, here)
        outputs.append(y[:, 0] * m.get("outputs", 1.0))
        kept.append((needed, m))
    return np.stack(outputs, axis=1), state, kept


def bptt(
    back_in_time: Callable[..., Any],
    network: Dropout,
    w: Arrays,
    kept: Any,
    valid: np.ndarray,
    doutputs: np.ndarray,
    dstate: Arrays,
) -> tuple[Arrays, np.ndarray, Arrays]:
    """What was multiplied by a factor on the way there has its derivative multiplied by it on the way back."""
    gradients: Arrays = {}
    dx = []
    for t in reversed(range(doutputs.shape[1])):
        here, (needed, m) = valid[:, t : t + 1], kept[t]
        dy = doutputs[:, t] * m.get("outputs", 1.0)
        dw, dread, dstate = back_in_time(network.network, w, needed, here, dy[:, None], _dropped(dstate, m, here))
        for name, gradient in dw.items():
            gradients[name] = gradients.get(name, 0.0) + gradient
        dx.append(dread[:, 0] * m.get("inputs", 1.0))
    return gradients, np.stack(dx[::-1], axis=1), dstate


def _dropped(state: Arrays, m: Arrays, valid: np.ndarray) -> Arrays:
    """Each part times its factor, on the rows whose step is valid, bool [batch, 1, 1]."""
    return {name: np.where(valid[:, 0], part * m.get("state/" + name, 1.0), part) for name, part in state.items()}
