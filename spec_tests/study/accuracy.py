"""Accuracy over independent seeds: learning curves, and a test of equivalence between two backends.

Not finding a difference proves nothing, with few seeds least of all. So the question is put the other way round: two
one-sided tests (Schuirmann 1987) at a margin stated beforehand, which say "equivalent" only when the data exclude a
difference of that size. The statistics are those of statsmodels and SciPy, imported when they are needed.
"""

from __future__ import annotations

import bisect
import itertools
import math
from typing import Any, Mapping, Sequence

import numpy as np

from spec_tests.questions import makers
from spec_tests.study.store import Found
from unrolled.models import Model
from unrolled.programs import MNIST

MARGIN = 0.005  # of accuracy: 0.5 percentage points
LEVEL = 0.05  # of each one-sided test; the interval that goes with them is 90%
POWER = 0.9  # with which the seeds needed would show equivalence
MOST = 100_000  # seeds that are still said
LAST = 4  # the accuracy compared is the mean over the last quarter of the epochs: one epoch alone jumps
EARLY = 61  # steps of the early curve, a sixth of an epoch
DRAWN = 1e-6  # p below which initial values are not from their distribution: rare over any number of studies


def final_accuracy(found: Found) -> float:
    """The mean test accuracy over the last quarter of a run's epochs, at least one."""
    curve = found.arrays["test_accuracy"]
    return float(np.mean(curve[-max(1, len(curve) // LAST) :]))


def equivalence(one: Sequence[float], other: Sequence[float], margin: float = MARGIN) -> dict[str, Any]:
    """Whether the means of two independent samples are less than margin apart.

    difference, low, high: of the means, with the 90% interval (Welch). p: of the two one-sided tests. effect: Hedges's
    g, None where neither sample varies. verdict: "equivalent" (p below 0.05), "different" (the whole interval is beyond
    the margin), "cannot tell". seeds: see `seeds_needed`, were the difference and the spread as seen.
    """
    difference = float(np.mean(one) - np.mean(other))
    found: dict[str, Any] = {"difference": difference, "margin": margin, "sizes": [len(one), len(other)]}
    found.update(low=None, high=None, p=None, effect=None, seeds=None, verdict="cannot tell")
    if min(len(one), len(other)) < 2:
        return found
    spread = math.sqrt((np.var(one, ddof=1) + np.var(other, ddof=1)) / 2)
    if spread < 1e-12:  # no seed made any difference: the means are what they are
        apart = abs(difference)
        return dict(found, low=difference, high=difference, p=0.0, verdict=_certain(apart, margin))
    from statsmodels.stats.meta_analysis import effectsize_smd
    from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

    means = CompareMeans(DescrStatsW(one), DescrStatsW(other))
    low, high = means.tconfint_diff(alpha=2 * LEVEL, usevar="unequal")
    p = means.ttost_ind(-margin, margin, usevar="unequal")[0]
    sizes = [value for each in (one, other) for value in (np.mean(each), np.std(each, ddof=1), len(each))]
    found.update(low=float(low), high=float(high), p=float(p), effect=float(effectsize_smd(*sizes)[0]))
    found["seeds"] = seeds_needed(difference, spread, margin)
    if p < LEVEL:
        found["verdict"] = "equivalent"
    elif low > margin or high < -margin:
        found["verdict"] = "different"
    return found


def _certain(apart: float, margin: float) -> str:
    return "equivalent" if apart < margin else "different" if apart > margin else "cannot tell"


def seeds_needed(difference: float, spread: float, margin: float = MARGIN) -> int | None:
    """The fewest seeds of each backend with which both one-sided tests succeed together with a probability of POWER,
    for a true difference and standard deviation as given; None when that takes more than MOST, as it always does when
    the difference is not within the margin."""
    if margin <= abs(difference):
        return None
    from statsmodels.stats.power import TTestIndPower

    effects = [(margin - abs(difference)) / spread, (margin + abs(difference)) / spread]

    def enough(seeds: int) -> bool:
        # What each leaves of certainty adds up: where the power is high, they do not fail together.
        missed = (1.0 - TTestIndPower().power(each, seeds, LEVEL, alternative="larger") for each in effects)
        return sum(missed) <= 1.0 - POWER

    found = 2 + bisect.bisect_left(range(2, MOST + 1), True, key=enough)
    return found if found <= MOST else None


def early_difference(one: Sequence[np.ndarray], other: Sequence[np.ndarray]) -> dict[str, Any]:
    """The mean loss of the first EARLY steps, one number per seed, compared by Welch's test; p None for one seed."""
    samples = [[float(np.mean(losses[:EARLY], dtype=np.float64)) for losses in each] for each in (one, other)]
    found = {"difference": float(np.mean(samples[0]) - np.mean(samples[1])), "p": None}
    if min(map(len, samples)) > 1 and max(float(np.ptp(each)) for each in samples) > 0.0:
        from scipy.stats import ttest_ind

        found["p"] = float(ttest_ind(*samples, equal_var=False).pvalue)
    return found


def initial_values(model: Model, drawn: Sequence[Mapping[str, np.ndarray]]) -> list[dict[str, Any]]:
    """Each weight of freshly drawn ones beside TF1's rule: uniform within a limit of a value, as the model tells.

    limit: by that rule, 0 where the weight is not drawn; largest: magnitude found, off the rule's value; p: that such
    values come from the rule's distribution (Kolmogorov-Smirnov), None where the limit is 0; right: the verdict.
    """
    rows = []
    for name, weight in model.weights().items():
        limit = weight.limit
        values = np.concatenate([np.ravel(each[name]) for each in drawn]).astype(np.float64) - weight.value
        row: dict[str, Any] = {"weight": name, "largest": float(np.abs(values).max()), "limit": limit, "p": None}
        row["deviation"], row["expected_deviation"] = float(values.std()), limit / math.sqrt(3.0)
        if limit:
            from scipy.stats import kstest, uniform

            row["p"] = float(kstest(values, uniform(-limit, 2 * limit).cdf).pvalue)
        # A float32 may round up to the limit's own neighbour.
        row["right"] = row["largest"] <= row["limit"] * (1 + 1e-6) and (row["p"] is None or row["p"] > DRAWN)
        rows.append(row)
    return rows


def _initial(found: Found) -> dict[str, np.ndarray]:
    start = "initial/"
    return {name[len(start) :]: array for name, array in found.arrays.items() if name.startswith(start)}


def summarize(
    runs: Mapping[str, Mapping[int, Found]], series_runs: Mapping[str, Mapping[str, Found]], margin: float = MARGIN
) -> dict[str, Any]:
    """runs: label -> seed -> the piece of MNIST; series_runs: label -> projection -> the piece of the series."""
    backends, pairs = {}, []
    for label, by_seed in runs.items():
        curves = {name: [found.arrays[name].tolist() for found in by_seed.values()] for name in _CURVES}
        backends[label] = dict(
            curves,
            seeds=list(by_seed),
            final=[final_accuracy(found) for found in by_seed.values()],
            early=np.mean([found.arrays["losses"][:EARLY] for found in by_seed.values()], axis=0).tolist(),
            seconds=[found.values["seconds"] for found in by_seed.values()],
        )
    for one, other in itertools.combinations(runs, 2):
        pair = equivalence(backends[one]["final"], backends[other]["final"], margin)
        losses = [[found.arrays["losses"] for found in runs[label].values()] for label in (one, other)]
        pairs.append(dict(pair, one=one, other=other, early=early_difference(*losses)))
    return {"backends": backends, "pairs": pairs, "initial": _initial_rows(runs, series_runs)}


_CURVES = ("loss", "train_accuracy", "test_accuracy")


def _initial_rows(
    runs: Mapping[str, Mapping[int, Found]], series_runs: Mapping[str, Mapping[str, Found]]
) -> list[dict[str, Any]]:
    rows = []
    for label, by_seed in runs.items():
        drawn = [_initial(found) for found in by_seed.values()]
        rows += [dict(row, backend=label, program="mnist") for row in initial_values(MNIST.model, drawn)]
    for label, by_form in series_runs.items():
        model = makers.TRAINING["series-stacked"].model
        drawn = [_initial(found) for found in by_form.values()]
        # Both forms draw the same weights from the same seed; one of them is enough.
        rows += [dict(row, backend=label, program="series") for row in initial_values(model, drawn[:1])]
    return rows
