"""Program 8, the time series: 500 iterations of both forms of the projection, beside the oracle's own trajectory."""

import functools

import pytest

from spec_tests import oracle
from spec_tests.questions import cases
from spec_tests.suite.marks import each_dtype, needs

pytestmark = needs("regressor", "training", "relu")
ITERATIONS, EARLY = 500, 150


def arguments(projection, dtype):
    return cases.training_case("series-" + projection, dtype, ITERATIONS).arguments


@functools.lru_cache(maxsize=None)
def oracle_losses(dtype):
    """Without lengths both projections are the same formulas, so one trajectory serves both."""
    return oracle.train(**arguments("stacked", dtype))[0]


@pytest.mark.parametrize("projection", ["stacked", "wrapped"])
@each_dtype
def test_500_iterations_follow_the_oracle(backend, projection, dtype, compare):
    losses, _, _ = backend.train(**arguments(projection, dtype))
    expected = oracle_losses(dtype)
    early = "the losses of the first %d iterations" % EARLY
    compare("series losses, 150 steps", losses[:EARLY], expected[:EARLY], dtype, early)
    compare("series losses, 500 steps", losses, expected, dtype, "the losses of %d iterations" % ITERATIONS)
