"""What both kinds of export share: the scaling that goes with a model, and what can be exported at all."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from torch_impl.models import AnyModel, Regressor

__all__ = ["ExportError", "Scaling", "check_model", "check_scaling"]


# How far from 0, in what they vary by, values are when float32's rounding of them is 2e-6 of that.
_FAR = 32.0


class ExportError(Exception):
    """A model cannot be exported, or a package that this needs is missing. The message is one sentence."""


class Scaling(NamedTuple):
    """(values - shift) / scale goes into the model; predictions * target_scale + target_shift come out.

    shift, scale: numbers [inputs], scale nowhere 0. target_shift, target_scale: [outputs], or None for predictions as
    they are (always for a classifier and a speller). reading: "level", "relative" or "difference", see
    unrolled.own_data.reading; for the latter two the row read is added to what is predicted, its first `targets` values
    (0 for all) for each row ahead. log: whether the logarithm is taken before, and undone at the end.
    """

    shift: Any
    scale: Any
    target_shift: Any = None
    target_scale: Any = None
    reading: str = "level"
    log: bool = False
    targets: int = 0

    def read(self, values: Tensor) -> Tensor:
        """What the model reads of values [batch, steps, inputs], in their dtype and on their device."""
        values = values.log() if self.log else values
        if self.reading == "relative":
            values = values - values[:, :1]
        elif self.reading == "difference":
            before = (torch.arange(values.shape[1], device=values.device) - 1).clamp(min=0)
            values = values - values.index_select(1, before)  # no slice: torch.export would fix the number of steps
        return (values - _like(self.shift, values)) / _like(self.scale, values)

    def undo(self, predictions: Tensor, values: Tensor) -> Tensor:
        """Predictions [batch, steps, outputs] of values [batch, steps, inputs], in their units, and in the wider of the
        predictions' dtype and the scaling's."""
        if self.target_scale is None:
            return predictions
        scale = torch.as_tensor(self.target_scale).to(predictions.device)
        predictions = predictions.to(torch.promote_types(predictions.dtype, scale.dtype))
        found = predictions * scale + _like(self.target_shift, predictions)
        found = found if self.reading == "level" else found + self._base(values, found)
        return found.exp() if self.log else found

    def wanted(self, targets: Tensor, values: Tensor) -> Tensor:
        """Targets in the units of values as the model is to predict them: the reverse of `undo`."""
        if self.target_scale is None:
            return targets
        found = targets.log() if self.log else targets
        found = found if self.reading == "level" else found - self._base(values, found)
        return (found - _like(self.target_shift, found)) / _like(self.target_scale, found)

    def _base(self, values: Tensor, like: Tensor) -> Tensor:
        read = values[..., : self.targets or values.shape[-1]].to(like)
        return (read.log() if self.log else read).repeat(1, 1, like.shape[-1] // read.shape[-1])


def _like(numbers: Any, values: Tensor) -> Tensor:
    return torch.as_tensor(numbers).to(values)


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
        # Read less their level, values may be as far from 0 as they like, and shift and scale do not tell.
        wide = not held or scaling.reading != "level" or scaling.log
        wide = wide or bool((np.abs(arrays["shift"]) > _FAR * np.abs(arrays["scale"])).any())
    dtype = np.float64 if wide else np.float32
    return scaling._replace(**{name: array.astype(dtype) for name, array in arrays.items()})
