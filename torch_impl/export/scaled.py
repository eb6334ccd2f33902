"""What both kinds of export share: the scaling that goes with a model, and what can be exported at all."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from torch_impl.models import AnyModel, Regressor

__all__ = ["ExportError", "Scaling", "check_model", "check_scaling"]


# How far from 0, in what they vary by, values are when float32's rounding of them is 2e-6 of that.
_FAR = 32.0


class ExportError(Exception):
    """A model cannot be exported, or a package that this needs is missing. The message is one sentence."""


class Scaling(NamedTuple):
    """(values - shift) / scale goes into the model; predictions * target_scale + target_shift come out.

    shift, scale: numbers [inputs], scale nowhere 0. target_shift, target_scale: [outputs], or None for predictions as
    they are (always for a classifier and a speller).
    """

    shift: Any
    scale: Any
    target_shift: Any = None
    target_scale: Any = None


def check_model(model: Any) -> AnyModel:
    """The model, TypeError for anything but these four."""
    if not isinstance(model, AnyModel):
        raise TypeError(f"model must be a Classifier, Regressor, Tagger or Speller, got {type(model).__name__}")
    return model


def check_scaling(model: AnyModel, scaling: Any, wide: bool | None = None) -> Scaling | None:
    """Scaling as arrays that fit the model, all of one dtype: that which the export takes and gives values in.

    wide: whether that is float64; None for where float32 would round away part of what the values tell, since they lie
    far from 0 or their scale is beyond it. Else it is float32. Raises ValueError for what does not fit.
    """
    if scaling is None:
        return None
    targets = (scaling.target_shift, scaling.target_scale)
    if model.embedding is not None:
        raise ValueError("scaling must be None for a model of tokens")
    if any(part is not None for part in targets) and not isinstance(model, Regressor):
        raise ValueError(f"target_shift and target_scale must be None for a {type(model).__name__}")
    outputs = model.dense.out_features if isinstance(model, Regressor) else 0
    sizes = dict.fromkeys(("shift", "scale"), model.inputs)
    if any(part is not None for part in targets):
        sizes.update(dict.fromkeys(("target_shift", "target_scale"), outputs))
    arrays = {name: np.asarray(getattr(scaling, name), np.float64) for name in sizes}
    for name, size in sizes.items():
        if arrays[name].shape != (size,) or not np.isfinite(arrays[name]).all():
            raise ValueError(f"{name} must be {size} finite numbers, got {arrays[name].tolist()!r:.60}")
        if name.endswith("scale") and not arrays[name].all():
            raise ValueError(f"{name} must be nowhere 0")
    if wide is None:
        with np.errstate(over="ignore"):
            narrow = {name: array.astype(np.float32) for name, array in arrays.items()}
        held = all(np.isfinite(array).all() for array in narrow.values()) and narrow["scale"].all()
        wide = not held or bool((np.abs(arrays["shift"]) > _FAR * np.abs(arrays["scale"])).any())
    return Scaling(**{name: array.astype(np.float64 if wide else np.float32) for name, array in arrays.items()})
