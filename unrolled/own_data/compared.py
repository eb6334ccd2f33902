"""A regressor's forecasts beside those that it has to beat, on the same windows."""

from __future__ import annotations

from typing import Any, Mapping, NamedTuple

import numpy as np

from unrolled.own_data.naive import forecasts_to_beat, ridge

__all__ = ["MODEL", "Comparison"]

MODEL = "model"


class Comparison(NamedTuple):
    """origins: the number of the first row that each window forecasts. truth: float64 [windows, horizon, targets].
    forecasts: by name, shaped like it. scale: by column, what errors of several are divided by [targets]."""

    origins: np.ndarray
    truth: np.ndarray
    forecasts: dict[str, np.ndarray]
    scale: np.ndarray

    @classmethod
    def of(
        cls, facts: Mapping[str, Any], values: np.ndarray, origins: np.ndarray, source: np.ndarray | None
    ) -> Comparison:
        """On a table values [rows, columns], those predicted first: `horizon` rows from each origin on are forecast.

        facts: the run's. source: the table that it was trained on, for the ridge regression, None where it is gone.
        """
        window, horizon, targets = facts["window"], facts["horizon"], len(facts["targets"])
        truth = values[origins[:, None] + np.arange(horizon)][..., :targets]
        found = forecasts_to_beat(values, targets, origins, horizon, np.array(facts["means"]), facts["season"])
        if source is not None:
            train, validation = facts["split"]["train"][1], facts["split"]["validation"][1]
            # Fitted where the run was, forecasting here: the two tables one after the other, no window over their seam.
            both = values if source is values else np.concatenate([source, values])
            moved = 0 if source is values else len(source)
            fitted = ridge(both, targets, train, validation, window, origins + moved, horizon)
            if fitted is not None:
                found["ridge regression"] = fitted
        spread = truth.std(axis=(0, 1))
        return cls(origins, truth, found, np.where(spread > 0, spread, 1.0))

    def by_column(self, forecast: np.ndarray, step: int = 0) -> list[float]:
        """Root mean square errors `step + 1` rows ahead, in the data's own units."""
        return [float(error) for error in np.sqrt(np.square(forecast - self.truth)[:, step].mean(axis=0))]

    def with_model(self, forecast: np.ndarray) -> dict[str, float]:
        """Root mean square errors by name over all steps and columns, the model's own among them; of several columns
        each is divided by its standard deviation in the test part."""
        scale = self.scale if len(self.scale) > 1 else 1.0
        every = {MODEL: forecast, **self.forecasts}
        return {name: float(np.sqrt(np.square((each - self.truth) / scale).mean())) for name, each in every.items()}

    @staticmethod
    def verdict(rmse: Mapping[str, float]) -> str:
        """Which is best, in one line."""
        best = min(rmse, key=lambda name: rmse[name])
        listed = ", ".join("%s %.4g" % item for item in sorted(rmse.items(), key=lambda item: item[1]))
        words = "the model forecasts best" if best == MODEL else "the %s forecasts better than the model" % best
        return "%s; RMSE over all rows ahead: %s" % (words, listed)
