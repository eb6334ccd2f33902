"""Layers: each reads the outputs of the one below, from a state of its own."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np

from spec_tests.oracle.arrays import Arrays
from unrolled.networks import Layers, below, prefixed


def unroll(
    over_time: Callable[..., Any],
    network: Layers,
    w: Arrays,
    x: np.ndarray,
    valid: np.ndarray,
    state: Arrays,
    factors: Arrays,
) -> tuple[np.ndarray, Arrays, Any]:
    last, kept = {}, []
    for number, layer in enumerate(network.layers):
        name = "cell_%d/" % number
        x, after, needed = over_time(layer, below(name, w), x, valid, below(name, state), below(name, factors))
        last.update(prefixed(name, after))
        kept.append(needed)
    return x, last, kept


def bptt(
    back_in_time: Callable[..., Any],
    network: Layers,
    w: Arrays,
    kept: Any,
    valid: np.ndarray,
    doutputs: np.ndarray,
    dstate: Arrays,
) -> tuple[Arrays, np.ndarray, Arrays]:
    """From the top down: a layer's dx is the doutputs of the one below."""
    dweights, dinitial = {}, {}
    for number, layer in reversed(list(enumerate(network.layers))):
        name = "cell_%d/" % number
        dw, doutputs, before = back_in_time(layer, below(name, w), kept[number], valid, doutputs, below(name, dstate))
        dweights.update(prefixed(name, dw))
        dinitial.update(prefixed(name, before))
    return dweights, doutputs, dinitial
