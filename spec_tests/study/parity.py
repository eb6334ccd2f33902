"""Parity: each behaviour's largest error against the oracle, recorded TensorFlow 1.15.5, and the other backends."""

from __future__ import annotations

import functools
import itertools
import math
from typing import Any, Iterable, Mapping

import numpy as np

from spec_tests.questions import cases
from spec_tests.questions.behaviours import (
    BEHAVIOURS,
    asks_of,
    behaviour_of,
    kind_of,
    recorded_name,
    recorded_tensor,
)
from spec_tests.study.pieces import JUDGE_LABEL
from spec_tests.study.store import Found
from spec_tests.tolerances import LIMITS
from unrolled.datasets import recorded

Answers = Mapping[str, np.ndarray]  # "<question>|<tensor>" -> array


def error_of(found: Any, expected: Any) -> tuple[float, float]:
    """The largest absolute error, and the same relative to the largest expected magnitude; infinite where the shapes
    differ or either is not finite. Where all that is expected is zero, the relative error is 0 or infinite."""
    if np.shape(found) != np.shape(expected):
        return math.inf, math.inf
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    if not found.size:
        return 0.0, 0.0
    with np.errstate(invalid="ignore"):
        absolute = float(np.abs(found - expected).max())
    if not math.isfinite(absolute):
        return math.inf, math.inf
    scale = float(np.abs(expected).max())
    return absolute, 0.0 if absolute == 0.0 else absolute / scale if scale else math.inf


def worst(found: Answers, expected: Answers, entries: Iterable[str]) -> dict[str, Any] | None:
    """The entry with the largest relative error among those that both have; None where there is none."""
    largest: dict[str, Any] | None = None
    for entry in entries:
        if entry in found and entry in expected:
            absolute, relative = error_of(found[entry], expected[entry])
            if largest is None or relative > largest["relative"]:
                largest = {"absolute": absolute, "relative": relative, "where": entry}
    return largest


_load = functools.lru_cache(maxsize=None)(recorded.load)  # opening the archive each time takes as long as all else


def recorded_answers(entries: Iterable[str], dtype: str) -> dict[str, np.ndarray]:
    """What TensorFlow 1.15.5 answered, of these entries, where it was recorded."""
    known, found = set(recorded.names()), {}
    for question, several in itertools.groupby(entries, key=lambda entry: entry.split("|")[0]):
        name = recorded_name(question, dtype)
        if name in known:
            answer = _load(name).answer
            for entry in several:
                tensor = recorded_tensor(question, entry.split("|")[1])
                if tensor in answer:
                    found[entry] = answer[tensor]
    return found


def summarize(answers: Mapping[tuple[str, str], Found]) -> list[dict[str, Any]]:
    """A row by dtype and behaviour, from the parity pieces by (label, dtype), the judge's among them.

    oracle, recorded: label -> error; pairs: that between every two backends; between: the largest of them; failed:
    label -> reason; kind: of the network; asks: "numbers" or "training"; within: whether every error is within the
    limit, and nothing failed.
    """
    rows = []
    for dtype in cases.DTYPES:
        judge = answers.get((JUDGE_LABEL, dtype))
        backends = {label: found for (label, kind), found in answers.items() if kind == dtype and label != JUDGE_LABEL}
        if judge is None or not backends:
            continue
        entries = sorted({entry for found in [judge, *backends.values()] for entry in found.arrays})
        reference = recorded_answers(entries, dtype)
        for behaviour in BEHAVIOURS:
            mine = [entry for entry in entries if behaviour_of(*entry.split("|")) == behaviour]
            row = _row(behaviour, dtype, mine, judge.arrays, reference, backends)
            if row["oracle"] or row["failed"]:
                rows.append(row)
    return rows


def _unlike(found: set[str], judge: set[str], entries: list[str]) -> list[str]:
    """Tensors that a backend's answer to a question lacks, or has beside those of the oracle's."""
    told = []
    for question, several in itertools.groupby(entries, key=lambda entry: entry.split("|")[0]):
        tensors = set(several)
        expected, answered = tensors & judge, tensors & found
        if expected and answered:
            told += ["%s: lacks %s" % (question, entry.split("|")[1]) for entry in sorted(expected - answered)]
            told += ["%s: has %s, too" % (question, entry.split("|")[1]) for entry in sorted(answered - expected)]
    return told


def _row(
    behaviour: str, dtype: str, entries: list[str], judge: Answers, reference: Answers, backends: Mapping[str, Found]
) -> dict[str, Any]:
    limit = getattr(LIMITS[BEHAVIOURS[behaviour].quantity], dtype)
    against = {label: worst(found.arrays, judge, entries) for label, found in backends.items()}
    past = {label: worst(found.arrays, reference, entries) for label, found in backends.items()}
    failed = {}
    for label, found in backends.items():
        reasons = [why for question, why in found.values["failed"].items() if behaviour_of(question) == behaviour]
        reasons += _unlike(set(found.arrays), set(judge), entries)
        if reasons:
            failed[label] = "; ".join(dict.fromkeys(reasons))
    pairs = []
    for one, other in itertools.combinations(backends, 2):
        apart = worst(backends[one].arrays, backends[other].arrays, entries)
        if apart:
            pairs.append(dict(apart, one=one, other=other))
    errors = [error for error in [*against.values(), *past.values()] if error]
    return {
        "behaviour": behaviour,
        "title": BEHAVIOURS[behaviour].title,
        "kind": kind_of(behaviour),
        "asks": asks_of(behaviour),
        "dtype": dtype,
        "limit": limit,
        "oracle": {label: error for label, error in against.items() if error},
        "recorded": {label: error for label, error in past.items() if error},
        "pairs": pairs,
        "between": max(pairs, key=lambda error: error["relative"], default=None),
        "failed": failed,
        "within": not failed and all(error["relative"] <= limit for error in errors),
    }
