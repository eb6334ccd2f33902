"""in_top_k: fewer than k classes strictly above the target's logit, so a tie is a hit."""

import numpy as np
import pytest

from spec_tests import oracle
from spec_tests.suite.marks import each_dtype, needs, refused

pytestmark = needs("in_top_k")
NAN, INF = np.nan, np.inf


def check(backend, logits, targets, k, expected, dtype="float32"):
    found = backend.in_top_k(np.array(logits, dtype), np.array(targets), k)
    assert found.dtype == bool, "in_top_k must give bool, found %s" % found.dtype
    assert found.shape == (len(targets),), "in_top_k must give one value per row, found shape %s" % list(found.shape)
    for row, (one, other) in enumerate(zip(found, expected, strict=True)):
        assert one == other, "logits %s, target %d, k %d: found %s, expected %s" % (
            logits[row],
            targets[row],
            k,
            "a hit" if one else "a miss",
            "a hit" if other else "a miss",
        )


@each_dtype
def test_the_largest_logit_is_a_hit(backend, dtype):
    logits = [[0.1, 0.7, 0.2], [0.9, -3.0, 0.5], [-2.0, -1.0, -3.0], [0.1, 0.7, 0.2]]
    check(backend, logits, [1, 0, 1, 2], 1, [True, True, True, False], dtype)


@needs("float32")
@pytest.mark.parametrize("target", range(4))
def test_a_tie_is_a_hit(backend, target):
    check(backend, [[2.0, 2.0, 1.0, 2.0]], [target], 1, [target != 2])


@needs("float32")
def test_all_classes_tied_are_all_hits(backend):
    check(backend, [[0.0] * 4] * 4, range(4), 1, [True] * 4)


@needs("float32")
@pytest.mark.parametrize("k", [1, 2, 3, 4, 5])
def test_k_counts_the_classes_strictly_above(backend, k):
    """Of 5, 4, 4, 3: 5 is a hit from k = 1, both 4s from k = 2, 3 from k = 4; k may exceed the classes."""
    logits = [[4.0, 5.0, 3.0, 4.0]] * 4
    check(backend, logits, range(4), k, [k >= 2, k >= 1, k >= 4, k >= 2])


@needs("float32")
@pytest.mark.parametrize("bad", [NAN, INF, -INF], ids=["nan", "inf", "-inf"])
@pytest.mark.parametrize("k", [1, 3])
def test_a_row_with_a_non_finite_logit_is_a_miss(backend, bad, k):
    """Wherever it stands, whatever k; the other rows are judged as ever."""
    logits = [[bad, 2.0, 1.0], [3.0, bad, 1.0], [3.0, 2.0, bad], [3.0, 2.0, 1.0]]
    check(backend, logits, [1, 0, 2, 0], k, [False, False, False, True])
    check(backend, logits, [0, 1, 0, 0], k, [False, False, False, True])


@needs("float32")
@pytest.mark.parametrize("k", [1, 3])
def test_a_target_out_of_range_is_a_miss(backend, k):
    check(backend, [[3.0, 2.0, 1.0]] * 5, [-1, 3, -3, 100, 0], k, [False, False, False, False, True])


@needs("float32")
@pytest.mark.parametrize("k", [0, -1])
def test_k_below_one_is_an_error(backend, k):
    with refused("k"):
        backend.in_top_k(np.zeros((2, 3), "float32"), np.array([0, 1]), k)


@needs("float32")
def test_targets_of_wrong_size_are_an_error(backend):
    with refused("targets"):
        backend.in_top_k(np.zeros((2, 3), "float32"), np.array([0, 1, 2]), 1)


@each_dtype
@pytest.mark.parametrize("k", [1, 2, 4])
def test_random_rows_with_many_ties_match_the_oracle(backend, dtype, k):
    random = np.random.RandomState(7)
    logits = random.randint(-2, 3, (60, 7)).astype(dtype)
    targets = random.randint(-1, 8, 60)
    check(backend, logits, targets, k, oracle.in_top_k(logits, targets, k), dtype)
