"""What a classifier is judged by, beside hand-made counts."""

from __future__ import annotations

import numpy as np
import pytest

from unrolled.command_line.scores import balanced_accuracy, confusion_matrix, cross_entropy, macro_f1


def test_scores_of_a_matrix_counted_by_hand() -> None:
    confusion = confusion_matrix(np.array([0, 0, 0, 0, 1, 1]), np.array([0, 0, 0, 1, 1, 2]), 4)
    np.testing.assert_array_equal(confusion, [[3, 1, 0, 0], [0, 1, 1, 0], [0] * 4, [0] * 4])
    assert balanced_accuracy(confusion) == pytest.approx((3 / 4 + 1 / 2) / 2)  # class 2 and 3 have no rows
    assert macro_f1(confusion) == pytest.approx((6 / 7 + 2 / 4 + 0) / 3)  # class 2 was given, class 3 is nowhere


def test_cross_entropy_is_right_for_large_logits_and_never_best_where_they_are_not_finite() -> None:
    logits = np.array([[1e4, 1e4], [np.log(3.0), 0.0]], np.float32)
    assert cross_entropy(logits, np.array([1, 0])) == pytest.approx((np.log(2) + np.log(4 / 3)) / 2)
    assert cross_entropy(np.array([[np.nan, 0.0]]), np.array([0])) > 1e38
