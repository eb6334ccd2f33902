"""What a classifier is judged by, beside its accuracy: cross-entropy, macro-F1, balanced accuracy. NumPy alone."""

from __future__ import annotations

import numpy as np

__all__ = ["balanced_accuracy", "confusion_matrix", "cross_entropy", "macro_f1"]

_LARGEST = float(np.finfo(np.float32).max)


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> float:
    """The mean over rows of softmax cross-entropy in float64: logits [rows, classes], labels integers [rows].

    Where a logit is not finite, float32's largest number: a loss to report and to compare, never the best one.
    """
    values = np.asarray(logits, np.float64)
    if not np.isfinite(values).all():
        return _LARGEST
    values = values - values.max(axis=1, keepdims=True)
    found = np.log(np.exp(values).sum(axis=1)) - values[np.arange(len(values)), labels]
    return float(found.mean())


def confusion_matrix(labels: np.ndarray, found: np.ndarray, classes: int) -> np.ndarray:
    """How often each class, by row, was taken for each, by column: int64 [classes, classes]; both integers [rows]."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (labels, found), 1)
    return counts


def balanced_accuracy(confusion: np.ndarray) -> float:
    """The mean recall of the classes that have rows; rows of the matrix are the truth."""
    rows = confusion.sum(axis=1)
    return float(np.mean(np.diag(confusion)[rows > 0] / rows[rows > 0]))


def macro_f1(confusion: np.ndarray) -> float:
    """The mean F1, 2 right / (rows of the class + rows taken for it), of the classes that have rows or were given."""
    either = confusion.sum(axis=1) + confusion.sum(axis=0)
    return float(np.mean(2 * np.diag(confusion)[either > 0] / either[either > 0]))
