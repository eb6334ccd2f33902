"""Program 1: two steps written out by hand, y0 = f(x0 Wx + b), y1 = f(y0 Wy + x1 Wx + b)."""

import numpy as np

from spec_tests import oracle
from spec_tests.questions import makers
from spec_tests.questions.makers import BATCH, UNITS
from spec_tests.suite.marks import each_activation, each_dtype, needs
from spec_tests.tolerances import exact
from unrolled.networks import BasicRNN

pytestmark = needs("two_step")

CHAPTER_X0 = [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 0, 1]]
CHAPTER_X1 = [[9, 8, 7], [0, 0, 0], [6, 5, 4], [3, 2, 1]]


@each_activation
@each_dtype
def test_two_steps_match_the_oracle(backend, dtype, activation, compare):
    case = makers.sequences(dtype, activation)
    x0, x1 = case.inputs[:, 0], case.inputs[:, 1]
    y0, y1 = backend.two_step(case.network, case.weights, x0, x1)
    expected0, expected1 = oracle.two_step(case.network, case.weights, x0, x1)
    compare("outputs", y0, expected0, dtype, "y0")
    compare("outputs", y1, expected1, dtype, "y1")


@needs("tanh")
@each_dtype
def test_chapter_batch_matches_the_oracle(backend, dtype, compare):
    """The chapter's own batch, with 3 inputs and 5 units; small weights, since its values from 0 to 9 saturate tanh."""
    random = np.random.RandomState(6)
    weights = {"kernel": random.normal(0.0, 0.1, (8, 5)).astype(dtype), "bias": np.zeros(5, dtype)}
    x0, x1 = np.array(CHAPTER_X0, dtype), np.array(CHAPTER_X1, dtype)
    network = BasicRNN(5)
    found = backend.two_step(network, weights, x0, x1)
    for name, y, expected in zip(("y0", "y1"), found, oracle.two_step(network, weights, x0, x1), strict=True):
        compare("outputs", y, expected, dtype, name)


@needs("tanh", "float64")
def test_first_output_does_not_see_the_second_input(backend):
    case = makers.sequences("float64")
    x0, x1 = case.inputs[:, 0], case.inputs[:, 1]
    y0, y1 = backend.two_step(case.network, case.weights, x0, x1)
    other0, other1 = backend.two_step(case.network, case.weights, x0, x1 + 1.0)
    exact(other0, y0, "y0 after x1 is changed")
    assert y1.shape == (BATCH, UNITS), "y1 has shape %s, expected %s" % (list(y1.shape), [BATCH, UNITS])
    assert (other1 != y1).all(), "y1 must change with x1"
