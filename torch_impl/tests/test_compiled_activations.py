"""tanh and sigmoid of compiled code, number by number."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba", reason="the compiled path needs Numba")

from torch_impl.unrolling.activations import sigmoid as compiled_sigmoid
from torch_impl.unrolling.activations import tanh as compiled_tanh
from torch_impl.unrolling.jit import kernel


def tanh_(values, count):
    for i in range(count):
        values[i] = compiled_tanh(values[i])


def sigmoid_(values, count):
    for i in range(count):
        values[i] = compiled_sigmoid(values[i])


def applied(function: Any, x: np.ndarray) -> np.ndarray:
    """A compiled function of every number, with denormal numbers as they are."""
    result = x.copy()
    kernel(function, x.dtype.name, "fi").call(result.ctypes.data, result.size)
    return result


tanh = partial(applied, tanh_)
sigmoid = partial(applied, sigmoid_)


def units_in_last_place(found: np.ndarray, exact: np.ndarray) -> float:
    """The largest error in units in the last place of the exact value, rounded to the dtype of what was found."""
    place = np.spacing(np.abs(exact.astype(found.dtype))).astype(exact.dtype)
    return float((np.abs(found.astype(exact.dtype) - exact) / place).max())


def test_tanh_in_float32_over_every_exponent() -> None:
    # Every 65,543rd number: all exponents, both signs and the denormals, with other fractions in each.
    x = np.arange(0, 2**32, 0x10007, dtype=np.uint64).astype(np.uint32).view(np.float32)
    with np.errstate(invalid="ignore"):
        found, missing = tanh(x), np.isnan(x)
        assert np.isnan(found[missing]).all() and not np.isnan(found[~missing]).any()
        x, found = x[~missing], found[~missing]
    assert units_in_last_place(found, np.tanh(x.astype(np.float64))) <= 4
    assert np.array_equal(np.signbit(found), np.signbit(x))
    dense = np.linspace(-12, 12, 400_001, dtype=np.float32)
    assert units_in_last_place(tanh(dense), np.tanh(dense.astype(np.float64))) <= 4


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 60, reason="needs a wider type than float64 to compare with")
def test_tanh_in_float64_over_every_exponent() -> None:
    exponents = np.arange(-1074, 1024)
    generator = np.random.default_rng(0)
    x = np.concatenate([generator.uniform(1, 2, (len(exponents), 20)) * np.exp2(exponents.astype(float))[:, None]])
    x = np.concatenate([x.ravel(), -x.ravel(), np.linspace(-20, 20, 200_001)])
    found = tanh(x)
    assert units_in_last_place(found, np.tanh(x.astype(np.longdouble))) <= 4
    assert np.array_equal(np.signbit(found), np.signbit(x))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tanh_of_special_values(dtype: type) -> None:
    x: np.ndarray = np.array(
        [0.0, -0.0, np.inf, -np.inf, np.nan, np.finfo(dtype).smallest_subnormal, np.finfo(dtype).max], dtype
    )
    found = tanh(x)
    expected: np.ndarray = np.array([0.0, -0.0, 1.0, -1.0, np.nan, x[5], 1.0], dtype)
    assert np.array_equal(found, expected, equal_nan=True)
    assert np.array_equal(np.signbit(found[:4]), [False, True, False, True])


def test_sigmoid_is_accurate_where_it_is_small_too() -> None:
    for dtype, wide, least in ((np.float32, np.float64, -87), (np.float64, np.longdouble, -700)):
        x = np.concatenate([np.linspace(least, 40, 200_001), np.linspace(-2, 2, 200_001)]).astype(dtype)
        assert units_in_last_place(sigmoid(x), 1 / (1 + np.exp(-x.astype(wide)))) <= 4
        special: np.ndarray = np.array([0.0, -0.0, np.inf, np.nan], dtype)
        assert np.array_equal(sigmoid(special), np.array([0.5, 0.5, 1.0, np.nan], dtype), equal_nan=True)
        assert 0 <= sigmoid(-special[2:3])[0] < 1e-37
