"""Two directions: the backward network reads each row's valid steps in reverse order; its outputs are turned back."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np

from spec_tests.oracle.arrays import Arrays
from unrolled.networks import Bidirectional, below, prefixed


def turned(x: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Of a row with n valid steps, step t is step n - 1 - t, and the padding stays: [batch, steps, ...]. Turned twice,
    all is as it was."""
    t, n = np.arange(x.shape[1])[None, :], valid.sum(axis=1)
    return np.take_along_axis(x, np.where(t < n, n - 1 - t, t)[:, :, None], axis=1)


def unroll(
    over_time: Callable[..., Any],
    network: Bidirectional,
    w: Arrays,
    x: np.ndarray,
    valid: np.ndarray,
    state: Arrays,
    factors: Arrays,
) -> tuple[np.ndarray, Arrays, Any]:
    """y = [y of fw, y of bw]. The last state of bw is the one after it has read the first step."""
    back = turned(x, valid)
    y_fw, state_fw, kept_fw = over_time(
        network.forward, below("fw/", w), x, valid, below("fw/", state), below("fw/", factors)
    )
    y_bw, state_bw, kept_bw = over_time(
        network.backward, below("bw/", w), back, valid, below("bw/", state), below("bw/", factors)
    )
    y_bw = turned(y_bw, valid)
    return np.concatenate([y_fw, y_bw], axis=2), both(state_fw, state_bw), (kept_fw, kept_bw)


def bptt(
    back_in_time: Callable[..., Any],
    network: Bidirectional,
    w: Arrays,
    kept: Any,
    valid: np.ndarray,
    doutputs: np.ndarray,
    dstate: Arrays,
) -> tuple[Arrays, np.ndarray, Arrays]:
    """[dy of fw, dy of bw] = dy; dx is the sum of both directions'."""
    dy_fw, dy_bw = np.split(doutputs, [network.forward.output_size], axis=2)
    dw_fw, dx_fw, before_fw = back_in_time(
        network.forward, below("fw/", w), kept[0], valid, dy_fw, below("fw/", dstate)
    )
    dw_bw, dx_bw, before_bw = back_in_time(
        network.backward, below("bw/", w), kept[1], valid, turned(dy_bw, valid), below("bw/", dstate)
    )
    return both(dw_fw, dw_bw), dx_fw + turned(dx_bw, valid), both(before_fw, before_bw)


def both(fw: Arrays, bw: Arrays) -> Arrays:
    return dict(prefixed("fw/", fw), **prefixed("bw/", bw))
