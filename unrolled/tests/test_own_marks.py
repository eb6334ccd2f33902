"""Rows are known by their marks, wherever they lie, and others are not."""

from __future__ import annotations

import numpy as np
import pytest

from unrolled.own_data.marks import block_length, known_by, marks_of


def test_known_rows_are_found_wherever_they_lie() -> None:
    values = np.random.default_rng(0).normal(size=(300, 2))
    length = block_length(values[:200])
    marks = marks_of(values[:200], length)
    assert length == 1 and marks.shape == (200,) and marks.dtype == np.int64
    order = np.random.default_rng(1).permutation(300)
    np.testing.assert_array_equal(known_by(values[order], marks, length), order < 200)
    assert not known_by(values[:200, ::-1], marks, length).any()
    assert not known_by(values[:200] + 1e-9, marks, length).any()


@pytest.mark.parametrize("most", [2, 30])
def test_rows_that_repeat_are_known_by_their_neighbours(most: int) -> None:
    values = np.random.default_rng(0).integers(0, most, (600, 1)).astype(float)
    length = block_length(values[:400])
    assert length == {2: 16, 30: 4}[most]
    known = known_by(values[200:], marks_of(values[:400], length), length)
    assert known[:200].all() and known[200:].mean() < 0.1


def test_minus_zero_and_a_short_table() -> None:
    assert marks_of(np.array([[-0.0]]), 1) == marks_of(np.array([[0.0]]), 1)
    assert not known_by(np.zeros((3, 1)), marks_of(np.zeros((9, 1)), 8), 8).any()
