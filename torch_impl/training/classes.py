"""What a Trainer knows of a classifier's classes: their names, where the labels are text, and their weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own idiom)
from torch import Tensor

from torch_impl.models import Classifier
from torch_impl.types import Lengths

__all__ = ["ClassWeights", "balanced", "numbered"]


def numbered(model: Any, targets: Any) -> tuple[Any, list[str] | None]:
    """(numbers, names of the classes in the order of the numbers, sorted) for text labels [rows] of a classifier; any
    other targets as they are, and None. Raises ValueError for another number of names than the model has classes."""
    if isinstance(targets, Tensor) or not isinstance(model, Classifier) or np.asarray(targets).dtype.kind != "U":
        return targets, None
    names, numbers = np.unique(np.asarray(targets), return_inverse=True)
    if len(names) != model.dense.out_features:
        shown = ", ".join(map(str, names[:10]))
        raise ValueError(f"targets name {len(names)} classes ({shown}), the model has {model.dense.out_features}")
    weight = next(model.parameters())
    return torch.from_numpy(numbers.reshape(-1)).to(weight.device), names.tolist()


def balanced(labels: np.ndarray, classes: int) -> tuple[float, ...]:
    """rows / (classes x rows of the class), as scikit-learn's class_weight="balanced"; 0 for a class without rows."""
    counts = np.bincount(labels, minlength=classes)
    return tuple((len(labels) / (classes * np.maximum(counts, 1)) * (counts > 0)).tolist())


class ClassWeights:
    """A classifier's loss with each row's multiplied by the weight of its class; the mean is over all rows, as with
    scikit-learn's and Keras's class_weight."""

    def __init__(self, model: Any, weights: Sequence[float] | str, labels: Tensor) -> None:
        """weights: "balanced", by the labels [rows], or a number of at least 0 for each class. Raises TypeError or
        ValueError."""
        if not isinstance(model, Classifier):
            raise TypeError(f"class_weights are for a Classifier, got {type(model).__name__}")
        count = model.dense.out_features
        if weights == "balanced":
            weights = balanced(labels.cpu().numpy(), count)
        found = np.asarray(weights, np.float64) if not isinstance(weights, str) else np.empty(0)
        if found.shape != (count,) or not np.isfinite(found).all() or (found < 0).any() or not found.any():
            raise ValueError(f"class_weights must be 'balanced' or {count} numbers of at least 0, got {weights!r:.80}")
        like = next(model.parameters())
        self.values: list[float] = found.tolist()
        self._model, self._weights = model, torch.tensor(self.values, dtype=like.dtype, device=like.device)

    def loss(self, inputs: Tensor, targets: Tensor, lengths: Lengths) -> Tensor:
        """The mean weighted loss of these rows, a scalar."""
        rows = F.cross_entropy(self._model(inputs, lengths), targets.long(), reduction="none")
        return (rows * self._weights[targets.long()]).mean()
