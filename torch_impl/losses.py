"""Losses and the measure of accuracy, with their arguments checked."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own idiom)
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from torch_impl.checks import INTEGER_DTYPES, check_integers, check_size, check_tensor, shown


def check_labels(labels: Any, shape: tuple[int, ...]) -> None:
    """Raise unless labels are integers [batch], each from 0 to classes - 1, for logits of `shape` [batch, classes].

    PyTorch's own loss would ignore a label of -100 without a word. On a GPU this waits for the labels.
    """
    batch, classes = shape
    wanted = f"targets must be integers [batch] = [{batch}], each from 0 to {classes - 1}"
    check_integers("targets", labels, (batch,), classes, wanted)


def _check_logits(logits: Any) -> None:
    if not isinstance(logits, Tensor) or not logits.is_floating_point():
        raise TypeError(f"logits must be a floating-point tensor [batch, classes], got {shown(logits)}")
    if logits.ndim != 2 or 0 in logits.shape:
        raise ValueError(f"logits must be [batch, classes], each at least 1, got {shown(logits)}")


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean over rows of sparse softmax cross-entropy: logits [batch, classes], targets integers [batch] -> a scalar.

    Raises ValueError for a label outside the classes, -100 included.
    """
    _check_logits(logits)
    check_labels(targets, tuple(logits.shape))
    return F.cross_entropy(logits, targets.long())


def mean_square(predictions: Tensor | PackedSequence, targets: Tensor | PackedSequence) -> Tensor:
    """Mean over every entry of the squared error, padded steps included; both of one shape and dtype -> a scalar.

    Of two PackedSequences, packed alike, over the values that they hold: they have no padding.
    """
    values, wanted = unpacked(predictions, targets)
    if not isinstance(values, Tensor) or not values.is_floating_point():
        raise TypeError(f"predictions must be a floating-point tensor or a PackedSequence, got {shown(values)}")
    if values.numel() == 0:
        raise ValueError(f"predictions must hold at least one value, got {shown(values)}")
    check_tensor("targets", wanted, tuple(values.shape), values)
    return F.mse_loss(values, wanted)


def unpacked(predictions: Any, targets: Any) -> tuple[Any, Any]:
    """The values of two PackedSequences that are packed alike; anything but a PackedSequence stays."""
    if not isinstance(predictions, PackedSequence):
        return predictions, targets
    if not isinstance(targets, PackedSequence):
        raise TypeError(f"targets must be a PackedSequence, as the predictions are, got {shown(targets)}")
    for name in ("batch_sizes", "sorted_indices"):
        one, other = getattr(predictions, name), getattr(targets, name)
        if (one is None) != (other is None) or (one is not None and not torch.equal(one, other)):
            raise ValueError(f"targets must be packed as the predictions are, but their {name} differ; pack both alike")
    return predictions.data, targets.data


def in_top_k(logits: Tensor, targets: Tensor, k: int = 1) -> Tensor:
    """Whether fewer than k classes have a logit strictly above the target's, so that ties are hits: TF1's in_top_k.

    logits [batch, classes], targets integers [batch], k at least 1 -> bool [batch]. A row with any non-finite logit, or
    with a target outside the classes, is a miss.
    """
    check_size("k", k)
    _check_logits(logits)
    if not isinstance(targets, Tensor) or targets.dtype not in INTEGER_DTYPES:
        raise TypeError(f"targets must be integers [batch], got {shown(targets)}")
    if targets.shape != logits.shape[:1]:
        raise ValueError(f"targets must be integers [batch] = [{len(logits)}], got {shown(targets)}")
    targets = targets.long()
    known = (targets >= 0) & (targets < logits.shape[1])
    of_target = logits.gather(1, targets.where(known, 0)[:, None])
    above = (logits > of_target).sum(1)
    return known & logits.isfinite().all(1) & (above < k)
