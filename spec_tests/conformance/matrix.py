"""The conformance matrix: the suite run over several backends, and what each showed of each behaviour, as plain data.

A behaviour is one file of the suite. The data is what `conform --json` writes; its schema is `SCHEMA`.
"""

from __future__ import annotations

import datetime
import math
import platform
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, Callable, Sequence

from spec_tests import distribution
from spec_tests.backends import attributes, loading
from spec_tests.capabilities import CAPABILITIES, GROUPS, grouped
from spec_tests.causes import Failure, causes
from spec_tests.conformance.apart import Progress, Shown, SuiteError, Verdict, show
from spec_tests.conformance.kept import Kept
from spec_tests.results import OUTCOMES
from unrolled.pytest_plugin import SUITE

SCHEMA = "unrolled.conform/1"
SLOW = ("test_mnist.py",)  # left out by `quick`
FILES = sorted(SUITE.glob("test_*.py"))

# A test's family: that of the first of these that it needs a network of, else RNN, which is the plain cell's, and of
# what needs no network.
RNN = "RNN"
FAMILIES = {
    "structures": frozenset(["layers", "bidirectional", "directions", "residual", "dropout"]),
    "GRU": frozenset(["gru", "gru_reset_after", "keras_gru"]),
    "LSTM": frozenset(["lstm", "lstm_options", "projection", "layer_norm_lstm", "keras_lstm"]),
}

__all__ = ["SCHEMA", "SuiteError", "matrix", "run", "untested"]


def run(
    names: Sequence[str],
    device: str,
    quick: bool,
    expression: str,
    opened: Callable[[Shown], Any],
    progress: Progress,
    keep: Path | None = None,
) -> dict[str, Any]:
    """Run the suite over the backends named, or the shipped defaults, each in a process of its own, and return the
    matrix. Raises BackendError for an unknown name, SuiteError when nothing could be run.

    quick: without the tests in `SLOW`. expression: which tests, as pytest's -k; empty for all of them. opened: called
    when a backend has said what it is. keep: a folder, see `kept`.
    """
    started = datetime.datetime.now(datetime.timezone.utc)
    shown, left_out = _shown(names, device, quick, expression, opened, progress, Kept(keep))
    selection = loading.together(shown, left_out)
    verdicts = [verdict._replace(backend=one.name) for one in shown for verdict in one.verdicts]
    seconds = (datetime.datetime.now(datetime.timezone.utc) - started).total_seconds()
    titles: dict[str, str] = {}
    for one in shown:
        titles.update((name, title) for name, title in one.titles.items() if name not in titles)
    return {
        "schema": SCHEMA,
        "unrolled": distribution.version(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": device,
        "started": started.isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "left_out": [path.name for path in FILES if quick and path.name in SLOW],
        "expression": expression,
        **matrix(selection, verdicts, titles),
    }


def _shown(
    names: Sequence[str],
    device: str,
    quick: bool,
    expression: str,
    opened: Callable[[Shown], Any],
    progress: Progress,
    kept: Kept,
) -> tuple[list[Shown], dict[str, str]]:
    """What each backend showed, one that could not be tested too; and the defaults that were left out."""
    asked, source = loading.asked_for(names)
    try:
        loading.check_names(asked)
    except loading.BackendError as error:
        raise loading.BackendError("%s: %s" % (source, error)) from error
    files = [path for path in FILES if not (quick and path.name in SLOW)]
    left_out = {} if asked else {name: loading.missing(name) for name in loading.defaults() if loading.missing(name)}
    shown = []
    for name in dict.fromkeys(asked or [name for name in loading.defaults() if name not in left_out]):
        place = kept.place(name, device, files, expression)
        found = kept.load(place)
        if found is None:
            one = show(name, device, files, expression, opened, progress)
            kept.save(place, one)
        else:
            one = found
            opened(one)
        if one.verdicts or asked or device == "cpu":
            shown.append(one)
        else:
            left_out[name] = one.lost
    if shown and not any(one.verdicts for one in shown):
        raise SuiteError("; ".join(dict.fromkeys(one.lost for one in shown)))
    return shown, left_out


def matrix(selection: Any, verdicts: list[Verdict], titles: dict[str, str]) -> dict[str, Any]:
    """The verdicts by behaviour and backend, the largest errors by quantity, and every failure."""
    names = [backend.name for backend in selection.backends]
    of_test: dict[tuple[str, ...], list[Verdict]] = defaultdict(list)
    of_behaviour: dict[tuple[str, ...], list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        of_test[verdict.behaviour, verdict.test, verdict.backend].append(verdict)
        of_behaviour[verdict.behaviour, verdict.backend].append(verdict)
    return {
        "backends": {backend.name: _facts(backend, verdicts) for backend in selection.backends},
        "not_loaded": dict(selection.left_out),
        "behaviours": [
            {
                "name": behaviour,
                "title": title,
                "cells": {name: _cell(of_behaviour[behaviour, name]) for name in names},
            }
            for behaviour, title in titles.items()
        ],
        "families": _families(verdicts, titles, names),
        "capabilities": _capabilities(selection.backends, verdicts),
        "errors": _errors(verdicts, names),
        "tests": [
            {
                "behaviour": behaviour,
                "test": test,
                "cells": {name: _cell(of_test[behaviour, test, name]) for name in names},
            }
            for behaviour, test in dict.fromkeys((verdict.behaviour, verdict.test) for verdict in verdicts)
        ],
        "failures": _told(verdicts, "failed"),
        "causes": {name: _causes(verdicts, name) for name in names},
        "known_failures": _told(verdicts, "known failure"),
    }


def _facts(backend: Any, verdicts: list[Verdict]) -> dict[str, Any]:
    counts = Counter(verdict.outcome for verdict in verdicts if verdict.backend == backend.name)
    return {
        "asked": getattr(backend, "asked", backend.name),
        "facts": dict(backend.describe()),
        "differences": attributes.differences(backend),
        "offers": [name for name in CAPABILITIES if name in backend.capabilities],
        "groups": grouped(backend.capabilities),
        "lacks": [name for name in CAPABILITIES if name not in backend.capabilities],
        "started": getattr(backend, "started", ""),
        "kept": getattr(backend, "kept", False),
        "lost": getattr(backend, "lost", ""),
        "not_run": getattr(backend, "not_run", 0),
        "counts": {outcome: counts[outcome] for outcome in OUTCOMES},
    }


def _cell(verdicts: list[Verdict]) -> dict[str, Any]:
    """Counts by outcome, and of the errors seen the one nearest to its limit, or farthest above."""
    counts = Counter(verdict.outcome for verdict in verdicts)
    differences = [difference for verdict in _measured(verdicts) for difference in verdict.differences]
    nearest = max(differences, key=lambda difference: difference["relative"] / difference["limit"], default=None)
    return {
        "counts": {outcome: counts[outcome] for outcome in OUTCOMES},
        "largest": None
        if nearest is None
        else {
            "quantity": nearest["quantity"],
            "dtype": nearest["dtype"],
            "error": _number(nearest["relative"]),
            "limit": nearest["limit"],
        },
    }


def family_of(needs: Sequence[str]) -> str:
    """The family of a test by the capabilities that it needs: the first that one of them is of."""
    return next((name for name, kinds in FAMILIES.items() if kinds & set(needs)), RNN)


def _families(verdicts: list[Verdict], titles: dict[str, str], names: list[str]) -> list[dict[str, Any]]:
    """Each family as a whole, and its behaviours, in the suite's order."""
    found: dict[tuple[str, ...], list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        family = family_of(verdict.needs)
        found[family, verdict.backend].append(verdict)
        found[family, verdict.behaviour, verdict.backend].append(verdict)
    order = [RNN, *reversed(FAMILIES)]
    return [
        {
            "name": family,
            "cells": {name: _cell(found[family, name]) for name in names},
            "behaviours": [
                {
                    "name": behaviour,
                    "title": title,
                    "cells": {name: _cell(found[family, behaviour, name]) for name in names},
                }
                for behaviour, title in titles.items()
                if any(found.get((family, behaviour, name)) for name in names)
            ],
        }
        for family in order
        if any(found.get((family, name)) for name in names)
    ]


def _capabilities(backends: Sequence[Any], verdicts: list[Verdict]) -> list[dict[str, Any]]:
    """What the tests that need each capability showed of the backends that offer it, in the contract's groups."""
    found: dict[tuple[str, str], list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        for name in verdict.needs:
            found[name, verdict.backend].append(verdict)

    def cell(name: str, backend: Any) -> dict[str, Any]:
        return _cell(found[name, backend.name] if name in backend.capabilities else [])

    return [
        {
            "group": group,
            "name": name,
            "title": title,
            "cells": {backend.name: cell(name, backend) for backend in backends},
        }
        for group, names in GROUPS.items()
        for name, title in names.items()
    ]


def _measured(verdicts: list[Verdict]) -> list[Verdict]:
    """Those whose errors count: how far off a known failure is says nothing of what is right beside it."""
    return [verdict for verdict in verdicts if verdict.outcome != "known failure"]


def _number(error: float) -> float | str:
    """JSON has no infinity."""
    return float(error) if math.isfinite(error) else "infinite"


def _errors(verdicts: list[Verdict], names: list[str]) -> list[dict[str, Any]]:
    """The largest relative error by quantity and dtype, of each backend, beside its limit."""
    limits: dict[tuple[str, str], float] = {}
    largest: dict[tuple[str, str, str], float] = {}
    for verdict in _measured(verdicts):
        for difference in verdict.differences:
            quantity, dtype = difference["quantity"], difference["dtype"]
            limits[quantity, dtype] = difference["limit"]
            key = (quantity, dtype, verdict.backend)
            largest[key] = max(largest.get(key, 0.0), difference["relative"])
    return [
        {
            "quantity": quantity,
            "dtype": dtype,
            "limit": limit,
            "errors": {
                name: _number(largest[quantity, dtype, name]) for name in names if (quantity, dtype, name) in largest
            },
        }
        for (quantity, dtype), limit in sorted(limits.items())
    ]


def _causes(verdicts: list[Verdict], name: str) -> list[dict[str, Any]]:
    """Why tests of a backend failed, the most frequent cause first: how many, the sentence, the tests."""
    failed = [one for one in verdicts if one.backend == name and one.outcome == "failed"]
    found = causes([Failure(one.test, one.reason, one.differences) for one in failed])
    return [
        {"count": len(cause.failures), "sentence": cause.sentence, "tests": cause.tests(), "told": str(cause)}
        for cause in found
    ]


def _told(verdicts: list[Verdict], outcome: str) -> list[dict[str, str]]:
    keys = ("backend", "behaviour", "test", "case", "reason")
    return [{key: getattr(verdict, key) for key in keys} for verdict in verdicts if verdict.outcome == outcome]


def untested(results: dict[str, Any]) -> list[str]:
    """Backends of which nothing was tested: every test was skipped."""
    counts = {name: backend["counts"] for name, backend in results["backends"].items()}
    return [name for name, count in counts.items() if not count["passed"] + count["failed"] + count["known failure"]]
