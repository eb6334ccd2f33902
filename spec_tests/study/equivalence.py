"""Whether the means of two samples of accuracies are equivalent, different, or neither can be said.

Not finding a difference proves nothing, with few seeds least of all. So the question is put the other way round: two
one-sided tests (Schuirmann 1987) at a margin stated beforehand, which say "equivalent" only when the data exclude a
difference of that size. Paired samples, of the same weights and batches, are tested by their differences, seed by seed.
The statistics are those of statsmodels and SciPy, imported when they are needed.
"""

from __future__ import annotations

import bisect
import math
from typing import Any, Sequence, Union

import numpy as np

Numbers = Union[Sequence[float], np.ndarray]

MARGIN = 0.005  # of accuracy: 0.5 percentage points
WHY = (
    "0.5 points are twice the standard deviation of one framework's accuracy from seed to seed after ten epochs of "
    "MNIST: what is smaller, nobody who trains once could see."
)
LEVEL = 0.05  # of each one-sided test; the interval that goes with them is 90%
POWER = 0.9  # with which the seeds needed would show equivalence
MOST = 100_000  # seeds that are still said
NO_SPREAD = 1e-12  # below it no seed made any difference


def equivalence(one: Numbers, other: Numbers, margin: float = MARGIN, paired: bool = False) -> dict[str, Any]:
    """Whether the means of two samples are less than margin apart: independent ones (Welch), or, where paired, those of
    the same seeds in the same order.

    difference, low, high: of the means, with the 90% interval. p: of the two one-sided tests; p_different: that of a
    difference beyond the margin. effect: Hedges's g of independent samples, None where neither varies. verdict:
    "equivalent", "differs", "undecided"; see `corrected` for several pairs. power: with which equivalence would be
    shown were there no difference, the spread being as seen. seeds: how many would be needed, see `seeds_needed`.
    """
    difference = float(np.mean(one) - np.mean(other))
    found: dict[str, Any] = {"difference": difference, "margin": margin, "sizes": [len(one), len(other)]}
    found.update(low=None, high=None, p=None, p_different=None, effect=None, power=None, seeds=None)
    found.update(paired=paired, verdict="undecided")
    if min(len(one), len(other)) < 2:
        return found
    apart = np.subtract(one, other) if paired else np.zeros(0)
    spread = float(np.std(apart, ddof=1)) if paired else _pooled(one, other)
    if spread < NO_SPREAD:  # the means are what they are
        certain = {"p": float(abs(difference) >= margin), "p_different": float(abs(difference) <= margin)}
        return corrected([dict(found, low=difference, high=difference, power=1.0, **certain)])[0]
    found.update(_tested_paired(apart, margin) if paired else _tested(one, other, margin))
    found["seeds"] = seeds_needed(difference, spread, margin, paired)
    found["power"] = power_of(min(len(one), len(other)), 0.0, spread, margin, paired)
    return corrected([found])[0]


def _pooled(one: Numbers, other: Numbers) -> float:
    return math.sqrt((np.var(one, ddof=1) + np.var(other, ddof=1)) / 2)


def _tested(one: Numbers, other: Numbers, margin: float) -> dict[str, Any]:
    from statsmodels.stats.meta_analysis import effectsize_smd
    from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

    means = CompareMeans(DescrStatsW(one), DescrStatsW(other))
    low, high = means.tconfint_diff(alpha=2 * LEVEL, usevar="unequal")
    beyond = [
        means.ttest_ind(alternative=side, usevar="unequal", value=value)[1]
        for side, value in (("larger", margin), ("smaller", -margin))
    ]
    sizes = [value for each in (one, other) for value in (np.mean(each), np.std(each, ddof=1), len(each))]
    return {
        "low": float(low),
        "high": float(high),
        "p": float(means.ttost_ind(-margin, margin, usevar="unequal")[0]),
        "p_different": min(1.0, 2 * float(min(beyond))),
        "effect": float(effectsize_smd(*sizes)[0]),
    }


def _tested_paired(apart: np.ndarray, margin: float) -> dict[str, Any]:
    from statsmodels.stats.weightstats import DescrStatsW

    means = DescrStatsW(apart)
    low, high = means.tconfint_mean(alpha=2 * LEVEL)
    beyond = [
        means.ttest_mean(value, alternative=side)[1] for side, value in (("larger", margin), ("smaller", -margin))
    ]
    return {
        "low": float(low),
        "high": float(high),
        "p": float(means.ttost_mean(-margin, margin)[0]),
        "p_different": min(1.0, 2 * float(min(beyond))),
    }


def corrected(pairs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The pairs of one study with their verdicts, where several are tested by Holm's correction: "equivalent" where
    the corrected p, under "p_holm", is below LEVEL, "differs" where that of p_different is, else "undecided"."""
    known = [place for place, pair in enumerate(pairs) if pair["p"] is not None]
    found = [dict(pair, p_holm=None) for pair in pairs]
    if not known:
        return found
    same, different = (_holm([pairs[place][name] for place in known]) for name in ("p", "p_different"))
    for place, equal, apart in zip(known, same, different):
        verdict = "equivalent" if equal < LEVEL else "differs" if apart < LEVEL else "undecided"
        found[place].update(p_holm=equal, verdict=verdict)
    return found


def _holm(several: Sequence[float]) -> list[float]:
    if len(several) == 1:
        return list(several)
    from statsmodels.stats.multitest import multipletests

    return [float(p) for p in multipletests(several, method="holm")[1]]


def power_of(seeds: int, difference: float, spread: float, margin: float = MARGIN, paired: bool = False) -> float:
    """The probability that both one-sided tests succeed, for a true difference and standard deviation as given (of the
    differences, where paired); at least 0, as the two misses are added up."""
    from statsmodels.stats.power import TTestIndPower, TTestPower

    effects = [(margin - abs(difference)) / spread, (margin + abs(difference)) / spread]
    test = TTestPower() if paired else TTestIndPower()
    # What each leaves of certainty adds up: where the power is high, they do not fail together.
    return max(0.0, 1.0 - sum(1.0 - test.power(min(each, 1e3), seeds, LEVEL, alternative="larger") for each in effects))


def seeds_needed(difference: float, spread: float, margin: float = MARGIN, paired: bool = False) -> int | None:
    """The fewest seeds of each backend with which both one-sided tests succeed together with a probability of POWER,
    for a true difference and standard deviation as given; None when that takes more than MOST, as it always does when
    the difference is not within the margin."""
    if margin <= abs(difference):
        return None
    found = 2 + bisect.bisect_left(
        range(2, MOST + 1), True, key=lambda seeds: power_of(seeds, difference, spread, margin, paired) >= POWER
    )
    return found if found <= MOST else None
