"""What a run applied to its data before training, by its checkpoint; undone in what it predicts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from torch_impl.checkpoints.errors import CheckpointError
from torch_impl.export.scaled import Scaling
from torch_impl.models import Regressor

__all__ = ["scaling_of"]


def scaling_of(data: Mapping[str, Any], model: Any) -> Scaling | None:
    """The scaling in a run's "data", its arrays float64; None where it has none.

    It holds "shift" and "scale", lists of numbers by input. A regressor that was trained to continue its own inputs
    (its "kind" is "table") predicts scaled values: `outputs / inputs` steps of all inputs, the nearest first. Raises
    CheckpointError for anything but as many finite numbers, scales above 0.
    """
    found = data.get("scaling")
    if found is None:
        return None
    given = found.get("shift") if isinstance(found, dict) else None
    inputs = getattr(model, "inputs", len(given) if isinstance(given, list) else 0)
    shift, scale = (_numbers(found, name, inputs) for name in ("shift", "scale"))
    if not (scale > 0).all():
        raise CheckpointError('its "scale" is not above 0 everywhere; use another checkpoint')
    if not isinstance(model, Regressor) or data.get("kind") != "table":
        return Scaling(shift, scale)
    steps, rest = divmod(model.dense.out_features, inputs)
    if rest:
        raise CheckpointError(
            f"its {model.dense.out_features} outputs are no continuation of {inputs} columns; use another checkpoint"
        )
    return Scaling(shift, scale, np.tile(shift, steps), np.tile(scale, steps))


def _numbers(found: Any, name: str, count: int) -> np.ndarray:
    values = found.get(name) if isinstance(found, dict) else None
    numbers = values if isinstance(values, list) else []
    if len(numbers) != count or not all(type(value) in (int, float) and _finite(value) for value in numbers):
        raise CheckpointError(f'its "{name}" is not {count} finite numbers; use another checkpoint')
    return np.array(numbers, np.float64)


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond all floating-point numbers
        return False
