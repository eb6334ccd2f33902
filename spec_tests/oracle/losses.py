"""Cross-entropy, and whether the target is among the k largest logits."""

from __future__ import annotations

import numpy as np


def in_top_k(logits: np.ndarray, targets: np.ndarray, k: int = 1) -> np.ndarray:
    """Fewer than k classes strictly above the target's logit; never for a non-finite row or a target outside."""
    inside = (targets >= 0) & (targets < logits.shape[1])
    target = logits[np.arange(len(logits)), np.where(inside, targets, 0)]
    above = (logits > target[:, None]).sum(axis=1)
    return np.isfinite(logits).all(axis=1) & inside & (above < k)


def cross_entropy(y: np.ndarray, targets: np.ndarray) -> tuple[float, np.ndarray]:
    """Mean over rows of log(sum(exp(y))) - y[target]; gradient (softmax(y) - onehot) / rows."""
    rows = np.arange(len(y))
    shifted = y - y.max(axis=1, keepdims=True)
    log_softmax = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    dy = np.exp(log_softmax)
    dy[rows, targets] -= 1.0
    return float(-np.mean(log_softmax[rows, targets])), dy / len(y)
