"""The series, both projection forms: MSE curves from each backend's own initial values, prediction against truth."""

from __future__ import annotations

from typing import Any, Mapping

import numpy as np

from spec_tests.study.lockstep import curve
from spec_tests.study.store import Found
from unrolled.datasets import series


def summarize(runs: Mapping[str, Mapping[str, Found]]) -> dict[str, Any]:
    """runs: label -> projection -> the piece. final: the MSE at the last iteration; predicted: that of the prediction
    of the last 100 points."""
    x, truth = (part[0, :, 0] for part in series.prediction_pair(np.float64))
    found = []
    for label, by_form in runs.items():
        for projection, piece in by_form.items():
            losses, prediction = piece.arrays["losses"], piece.arrays["prediction"].astype(np.float64)
            row: dict[str, Any] = {"backend": label, "projection": projection, "iterations": len(losses)}
            row.update(first=float(losses[0]), final=float(losses[-1]), curve=curve(losses))
            row.update(predicted=float(np.mean((prediction - truth) ** 2)), prediction=prediction.tolist())
            found.append(dict(row, seconds=piece.values["seconds"]))
    return {"x": x.tolist(), "truth": truth.tolist(), "runs": found}
