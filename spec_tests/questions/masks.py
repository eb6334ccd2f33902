"""Masks of dropouts, drawn; and those of some rows or steps. Python 3.7 syntax."""

from __future__ import annotations

from typing import Any

import numpy as np

from unrolled.networks import Network


def masks_of(
    random: np.random.RandomState, network: Network, batch: int, steps: int, inputs: int, dtype: str
) -> dict[str, np.ndarray]:
    """Random masks, whole: each entry is 1 with the probability that the network keeps it with."""
    found = {}
    for name, mask in network.masks(inputs).items():
        shape = ((batch, steps) if mask.per_step else ()) + (mask.width,)
        found[name] = (random.uniform(size=shape) < mask.keep).astype(dtype)
    return found


def masks_within(masks: dict[str, np.ndarray], rows: Any, steps: int) -> dict[str, np.ndarray]:
    """Those of some rows, and of the first steps."""
    return {name: mask[rows, :steps] if mask.ndim == 3 else mask for name, mask in masks.items()}


def only_given(masks: dict[str, np.ndarray] | None) -> dict[str, Any]:
    """The argument `masks`, where there are any: a backend without dropout does not have it."""
    return {"masks": masks} if masks else {}
