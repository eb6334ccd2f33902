"""Program 8's series."""

import math

import numpy as np
import pytest

from unrolled.datasets import series


def test_the_points():
    points = series.points()
    assert points.shape == (101,) and points.dtype == np.float64
    assert points[0] == 12 and points[-1] == 15
    np.testing.assert_allclose(np.diff(points), 0.03, rtol=1e-12)


@pytest.mark.parametrize(("pair", "first"), [(series.training_pair, 0), (series.prediction_pair, 1)])
def test_the_pairs_in_float64(pair, first):
    inputs, targets = pair(np.float64)
    assert inputs.shape == targets.shape == (1, 100, 1) and inputs.dtype == targets.dtype == np.float64
    x = [12 + 0.03 * (first + step) for step in range(100)]
    expected = [value * math.sin(value) / 3 + 2 * math.sin(5 * value) for value in x]
    np.testing.assert_allclose(inputs[0, :, 0], x, rtol=1e-15)
    np.testing.assert_allclose(targets[0, :, 0], expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("pair", [series.training_pair, series.prediction_pair])
def test_float32_is_the_default_and_is_float64_rounded_once(pair):
    for single, double in zip(pair(), pair(np.float64)):
        assert single.dtype == np.float32
        np.testing.assert_array_equal(single, double.astype(np.float32))


def test_the_prediction_pair_is_the_training_pair_shifted_by_one():
    for training, prediction in zip(series.training_pair(), series.prediction_pair()):
        np.testing.assert_array_equal(training[:, 1:], prediction[:, :-1])


@pytest.mark.parametrize("dtype", [np.float16, np.int64])
def test_another_dtype_is_an_error(dtype):
    with pytest.raises(ValueError, match="dtype is %s, expected float32 or float64" % np.dtype(dtype)):
        series.training_pair(dtype)
