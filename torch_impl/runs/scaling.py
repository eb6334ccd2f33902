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

    It holds "shift" and "scale", lists of numbers by input. A regressor that was trained to continue a table (its
    "kind" is "table") predicts scaled values of the first inputs, those that the data name as "targets" (else all), the
    nearest row first; "target_shift" and "target_scale" are by output (else the inputs' own), and "reading" and "log"
    tell how the series is read. Raises CheckpointError for anything but as many finite numbers, scales above 0.
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
    outputs, names = model.dense.out_features, data.get("targets")
    targets = len(names) if isinstance(names, list) else inputs
    steps, rest = divmod(outputs, targets) if 0 < targets <= inputs else (0, 1)
    if rest:
        raise CheckpointError(f"its {outputs} outputs are no continuation of {targets} columns; use another checkpoint")
    reading, log = found.get("reading", "level"), found.get("log", False)
    if reading not in ("level", "relative", "difference") or type(log) is not bool:
        raise CheckpointError(f"its series is read as {reading!r:.40}, which is unknown here; use another checkpoint")
    if "target_shift" not in found:  # as written before a series could be read in several ways
        return Scaling(shift, scale, np.tile(shift[:targets], steps), np.tile(scale[:targets], steps))
    ahead = [_numbers(found, name, outputs) for name in ("target_shift", "target_scale")]
    if not (ahead[1] > 0).all():
        raise CheckpointError('its "target_scale" is not above 0 everywhere; use another checkpoint')
    return Scaling(shift, scale, ahead[0], ahead[1], reading, log, targets)


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
