"""Parameters that many spec tests share, each with the capability that it needs."""

from __future__ import annotations

import pytest

from spec_tests.makers import LENGTHS

needs = pytest.mark.needs

each_dtype = pytest.mark.parametrize(
    "dtype", [pytest.param("float32", marks=needs("float32")), pytest.param("float64", marks=needs("float64"))]
)
each_activation = pytest.mark.parametrize(
    "activation", [pytest.param("tanh", marks=needs("tanh")), pytest.param("relu", marks=needs("relu"))]
)
_UNROLLINGS = [
    pytest.param("static", marks=needs("static_rnn")),
    pytest.param("dynamic", marks=needs("dynamic_rnn")),
]
each_unrolling = pytest.mark.parametrize("unrolling", _UNROLLINGS)
# Two steps can also be written out by hand.
each_way = pytest.mark.parametrize("way", [pytest.param("by hand", marks=needs("two_step")), *_UNROLLINGS])
each_lengths = pytest.mark.parametrize("lengths", [pytest.param(rows, id=name) for name, rows in LENGTHS.items()])
each_padding = pytest.mark.parametrize("padding", [float("nan"), 1e6], ids=["nan", "1e6"])
each_model = pytest.mark.parametrize(
    "form",
    [
        pytest.param("classifier", marks=needs("classifier", "tanh")),
        pytest.param("stacked", marks=needs("regressor", "relu")),
        pytest.param("wrapped", marks=needs("regressor", "relu")),
    ],
)
