"""The forecasts that a model has to beat."""

from __future__ import annotations

import numpy as np

from unrolled.own_data.compared import Comparison
from unrolled.own_data.naive import forecasts_to_beat, found_season, ridge


def wave(rows: int, period: int, noise: float = 0.0) -> np.ndarray:
    time = np.arange(rows)
    random = np.random.default_rng(0).normal(0, noise, rows)
    return (50 + time / 10 + 5 * np.sin(2 * np.pi * time / period) + random)[:, None]


def test_a_season_is_found_and_none_where_there_is_none() -> None:
    assert found_season(wave(240, 12, 0.3)) == 12
    assert found_season(wave(1000, 52, 0.1)) == 52
    year = 3 * np.sin(2 * np.pi * np.arange(600) / 52.18)[:, None]  # of weeks; the first peak alone is at 47
    assert found_season(year + np.random.default_rng(0).normal(0, 0.15, (600, 1))) == 52
    assert found_season(wave(100, 40, 0.1)) is None  # not three of them
    assert found_season(np.cumsum(np.random.default_rng(0).normal(size=(300, 1)), axis=0)) is None
    assert found_season(np.arange(100.0)[:, None]) is None and found_season(np.zeros((4, 1))) is None


def test_the_simple_ones_by_hand() -> None:
    series = np.stack([np.arange(20.0), np.zeros(20)], 1)
    found = forecasts_to_beat(series, 1, np.array([10, 11]), 6, np.array([7.0]), 4)
    assert found["last value"][:, :, 0].tolist() == [[9.0] * 6, [10.0] * 6]
    assert found["seasonal naive"][0, :, 0].tolist() == [6, 7, 8, 9, 6, 7]  # the last whole season, again
    assert (found["mean"] == 7).all() and found["mean"].shape == (2, 6, 1)
    assert "seasonal naive" not in forecasts_to_beat(series, 1, np.array([3]), 1, np.array([7.0]), 4)


def test_a_ridge_regression_knows_a_linear_law_and_nothing_of_what_it_is_judged_by() -> None:
    series = np.concatenate([wave(200, 12), wave(200, 7)], 1)
    origins = np.arange(180, 196)
    found = ridge(series, 1, 160, 180, 24, origins, 5)
    assert found is not None
    came = series[origins[:, None] + np.arange(5)][..., :1]
    np.testing.assert_allclose(found, came, atol=0.02)
    other = series.copy()
    other[196:] = 1e6
    np.testing.assert_array_equal(ridge(other, 1, 160, 180, 24, origins[:1], 5), found[:1])
    assert ridge(series, 1, 160, 180, 2001, origins, 5) is None


def test_what_is_best_is_said() -> None:
    values = wave(100, 10)
    facts = {"window": 10, "horizon": 2, "targets": ["a"], "means": [50.0], "season": 10}
    facts["split"] = {"train": (0, 80), "validation": (80, 90)}
    compared = Comparison.of(facts, values, np.arange(90, 99), values)
    rmse = compared.with_model(compared.truth + 0.5)
    assert rmse["model"] == 0.5 and set(rmse) == {
        "model", "last value", "seasonal naive", "mean", "ridge regression"
    }  # fmt: skip
    assert compared.verdict(rmse).startswith("the ridge regression forecasts better than the model")
    assert compared.verdict({"model": 1.0, "mean": 2.0}).startswith("the model forecasts best")
    apart = Comparison.of(facts, values, np.arange(90, 99), None)
    assert "ridge regression" not in apart.forecasts
    moved = Comparison.of(facts, values[20:], np.arange(70, 79), values)  # another table than it is fitted on
    np.testing.assert_allclose(moved.forecasts["ridge regression"], compared.forecasts["ridge regression"])
