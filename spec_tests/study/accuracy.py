"""Accuracy over seeds: from each backend's own initial values and batches, and from those that all backends share.

The former are independent samples, which tell what a user of each would see; the latter are pairs, which differ by
rounding alone where the backends train alike, so that a few of them decide. `equivalence` has the tests.
"""

from __future__ import annotations

import itertools
import math
from typing import Any, Iterable, Mapping, Sequence

import numpy as np

from spec_tests.study import programs
from spec_tests.study.equivalence import MARGIN, corrected, equivalence
from spec_tests.study.store import Found
from unrolled.models import Model

LAST = 4  # the accuracy compared is the mean over the last quarter of the epochs: one epoch alone jumps
EARLY = 61  # steps of the early curve, a sixth of an epoch
DRAWN = 1e-6  # p below which initial values are not from their distribution: rare over any number of studies


def final_accuracy(found: Found) -> float:
    """The mean test accuracy over the last quarter of a run's epochs, at least one."""
    curve = found.arrays["test_accuracy"]
    return float(np.mean(curve[-max(1, len(curve) // LAST) :]))


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


def summarize(runs: Mapping[str, Mapping[int, Found]], margin: float = MARGIN) -> dict[str, Any]:
    """runs: label -> seed -> the piece of MNIST."""
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
    return {"backends": backends, "pairs": corrected(pairs)}


def summarize_paired(runs: Mapping[str, Mapping[str, Mapping[int, Found]]], margin: float = MARGIN) -> dict[str, Any]:
    """runs: program -> label -> seed -> the piece. Returns "runs", with the final accuracy of each seed and the curves,
    and "pairs", by program, over the seeds that both have."""
    described, pairs = [], []
    for program, by_label in runs.items():
        final = {
            label: {seed: final_accuracy(found) for seed, found in by_seed.items()}
            for label, by_seed in by_label.items()
        }
        for label, by_seed in by_label.items():
            curves = [found.arrays["test_accuracy"].tolist() for found in by_seed.values()]
            row = {"backend": label, "program": program, "seeds": list(by_seed), "test_accuracy": curves}
            seconds = [found.values["seconds"] for found in by_seed.values()]
            described.append(dict(row, final=list(final[label].values()), seconds=seconds))
        for one, other in itertools.combinations(by_label, 2):
            shared = [seed for seed in final[one] if seed in final[other]]
            samples = [[final[label][seed] for seed in shared] for label in (one, other)]
            if shared:
                pair = equivalence(samples[0], samples[1], margin, paired=True)
                pairs.append(dict(pair, one=one, other=other, program=program, seeds_shared=len(shared)))
    return {"runs": described, "pairs": corrected(pairs)}


_CURVES = ("loss", "train_accuracy", "test_accuracy")


def initial_rows(drawn: Iterable[tuple[str, str, Found]]) -> list[dict[str, Any]]:
    """drawn: label, program and piece. The rows of `initial_values`, each with its backend and program."""
    rows = []
    for label, program, found in drawn:
        several = initial_values(programs.studied(program).model, [found.arrays])
        rows += [dict(row, backend=label, program=program) for row in several]
    return rows
