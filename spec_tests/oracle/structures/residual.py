"""A network whose inputs are added to its outputs: y = x + y of the network, and nothing to its state."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np

from spec_tests.oracle.arrays import Arrays
from unrolled.networks import Residual


def unroll(
    over_time: Callable[..., Any],
    network: Residual,
    w: Arrays,
    x: np.ndarray,
    valid: np.ndarray,
    state: Arrays,
    factors: Arrays,
) -> tuple[np.ndarray, Arrays, Any]:
    outputs, last, kept = over_time(network.network, w, x, valid, state, factors)
    return x + outputs, last, kept


def bptt(
    back_in_time: Callable[..., Any],
    network: Residual,
    w: Arrays,
    kept: Any,
    valid: np.ndarray,
    doutputs: np.ndarray,
    dstate: Arrays,
) -> tuple[Arrays, np.ndarray, Arrays]:
    dweights, dx, before = back_in_time(network.network, w, kept, valid, doutputs, dstate)
    return dweights, dx + np.where(valid, doutputs, 0.0), before
