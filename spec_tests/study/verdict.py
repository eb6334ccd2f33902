"""The answer of a study: for every pair of backends one line per question, made from the numbers and their limits.

The questions: the same numbers (outputs, losses and gradients from given weights), the same training (optimizer steps
from given weights on given batches, of the kinds whose numbers are the same), the same accuracy, and which is faster.
A verdict is "equivalent", "differs", "undecided", or "not asked" where a backend does not offer what is asked or the
profile leaves it out; of speed it names the faster one.
"""

from __future__ import annotations

import itertools
from typing import Any, Iterable, Mapping, Sequence

from spec_tests.study import programs
from spec_tests.study.findings import above, joined, number, points, signed_points

Results = Mapping[str, Any]
EQUIVALENT, DIFFERS, UNDECIDED, NOT_ASKED = "equivalent", "differs", "undecided", "not asked"


def of(results: Results) -> list[dict[str, Any]]:
    """For every two backends: one, other, title, control (whether they are the same backend twice), and lines, each
    with question, verdict and by: the numbers that it rests on."""
    names = named(results["backends"])
    return [_pair(results, names, one, other) for one, other in itertools.combinations(results["backends"], 2)]


def named(backends: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Label -> the framework and its version: "PyTorch 2.15.0", "genuine TensorFlow 1.15.5"; with the label where two
    backends have the same."""
    found = {}
    for label, facts in backends.items():
        framework, version = (str(facts.get(key, "")).strip() for key in ("framework", "version"))
        name = ("%s %s" % (framework, version)).strip() or label
        found[label] = "genuine " + name if framework == "TensorFlow" and version.startswith("1.") else name
    names = list(found.values())
    return {label: name if names.count(name) == 1 else "%s (%s)" % (name, label) for label, name in found.items()}


def heading(pair: Mapping[str, Any]) -> str:
    """A pair's title, and whether it is a control."""
    return pair["title"] + (" (a control: the same backend twice)" if pair["control"] else "")


def undecided(results: Results) -> list[str]:
    """The lines that are, in words; and accuracies from own initial values where pairs of seeds decide the line."""
    found = []
    for pair in results["verdict"]:
        found += [
            "%s: %s" % (pair["title"], line["question"]) for line in pair["lines"] if line["verdict"] == UNDECIDED
        ]
        both = pair["one"], pair["other"]
        if _of(results["paired"]["pairs"], both) and _open(results, both):
            found.append("%s: accuracy from own initial values" % pair["title"])
    return found


def _open(results: Results, both: Sequence[str]) -> list[Mapping[str, Any]]:
    """Comparisons of runs from own initial values that are undecided."""
    return [pair for pair in _of(results["accuracy"]["pairs"], both) if pair["verdict"] == UNDECIDED]


def _pair(results: Results, names: Mapping[str, str], one: str, other: str) -> dict[str, Any]:
    both = (one, other)
    control = results["backends"][one].get("given") == results["backends"][other].get("given")
    numbers, kinds = _numbers(results, names, both)
    lines = [numbers, _training(results, names, both, kinds), _accuracy(results, names, both)]
    told = [
        {"question": question, "verdict": verdict, "by": by}
        for question, (verdict, by) in zip(("same numbers", "same training", "same accuracy"), lines)
    ]
    verdict, by = _speed(results, names, both)
    told.append({"question": "faster", "verdict": verdict, "by": by})
    title = "%s and %s" % (names[one], names[other])
    return {"one": one, "other": other, "title": title, "control": control, "lines": told}


def _of(pairs: Iterable[Mapping[str, Any]], both: Sequence[str]) -> list[Mapping[str, Any]]:
    """Those between these two."""
    return [pair for pair in pairs if (pair["one"], pair["other"]) == tuple(both)]


def _asked(results: Results, both: Sequence[str], asks: str) -> list[Mapping[str, Any]]:
    """Rows of the parity that both backends were asked for."""
    rows = [row for row in results["parity"] if row["asks"] == asks]
    return [row for row in rows if all(label in row["oracle"] or label in row["failed"] for label in both)]


def _wrong(rows: Iterable[Mapping[str, Any]], names: Mapping[str, str], both: Sequence[str]) -> list[str]:
    """For each backend with errors above their limits, in how many behaviours and the largest one."""
    found = []
    rows = list(rows)
    for label in both:
        mine = [row for row in rows if label in above(row)]
        if mine:
            errors = {row["title"]: row["oracle"].get(label, {"relative": 0.0})["relative"] for row in mine}
            worst = max(errors, key=lambda title: errors[title])
            rest = "" if len(errors) == 1 else " and %d more behaviours" % (len(errors) - 1)
            found.append("%s is off by %s in %s%s" % (names[label], number(errors[worst]), worst, rest))
    return found


def _failed(results: Results, names: Mapping[str, str], both: Sequence[str], part: str) -> list[str]:
    found = []
    for label in both:
        pieces = [piece for piece in results["cells"] if piece["backend"] == label and piece["part"] == part]
        failed = sum(piece["status"] == "failed" for piece in pieces)
        if failed:
            found.append("%s failed %d of %d runs" % (names[label], failed, len(pieces)))
    return found


def _numbers(results: Results, names: Mapping[str, str], both: Sequence[str]) -> tuple[tuple[str, str], set[str]]:
    """The line, and the kinds of network in which they differ."""
    rows = _asked(results, both, "numbers")
    kinds = {row["kind"] for row in rows if any(label in above(row) for label in both)}
    wrong, failed = _wrong(rows, names, both), _failed(results, names, both, "parity")
    unanswered = {row["title"] for row in rows if row["failed"].keys() & set(both)}
    if wrong:
        return (DIFFERS, "; ".join(wrong)), kinds
    if unanswered:
        who = joined([names[label] for label in both if any(label in row["failed"] for row in rows)])
        failed.append("%s failed %d of %d behaviours" % (who, len(unanswered), len({row["title"] for row in rows})))
    if failed:
        return (UNDECIDED, "; ".join(failed)), kinds
    if not rows:
        return (NOT_ASKED, "no behaviour that both offer was asked"), kinds
    return (EQUIVALENT, _apart(rows, both)), kinds


def _apart(rows: Sequence[Mapping[str, Any]], both: Sequence[str]) -> str:
    told = []
    for dtype in dict.fromkeys(row["dtype"] for row in rows):
        pairs = [pair for row in rows if row["dtype"] == dtype for pair in row["pairs"]]
        apart = [pair["relative"] for pair in _of(pairs, both)]
        told.append("%s in %s" % (number(max(apart, default=0.0)), dtype))
    count = len({row["title"] for row in rows})
    return "%d behaviours, at most %s apart" % (count, joined(told))


def _training(results: Results, names: Mapping[str, str], both: Sequence[str], kinds: set[str]) -> tuple[str, str]:
    rows = [row for row in _asked(results, both, "training") if row["kind"] not in kinds]
    mine = _of(results["lockstep"]["pairs"], both)
    pairs = [pair for pair in mine if programs.kind_of(pair["program"]) not in kinds]
    follows = "; of %s it follows from the numbers" % joined(sorted(kinds)) if kinds else ""
    wrong = _wrong(rows, names, both)
    parted = [pair for pair in pairs if pair["verdict"] == "more than rounding"]
    if parted:
        worst = max(parted, key=lambda pair: pair["ratio"] / pair["limit"])
        told = "the weights part %s times as far as rounding explains on %s in %s, %s allowed"
        place = (number(worst["ratio"]), programs.title(worst["program"]), worst["dtype"], number(worst["limit"]))
        wrong.insert(0, told % place)
    if wrong:
        return DIFFERS, "; ".join(wrong) + follows
    failed = _failed(results, names, both, "lockstep")
    unanswered = sum(bool(row["failed"].keys() & set(both)) for row in rows)
    if unanswered:
        failed.append("%d behaviours failed" % unanswered)
    unmeasured = [programs.title(pair["program"]) for pair in pairs if pair["verdict"] == "not measured"]
    if unmeasured:
        failed.append("no run against itself on %s" % joined(list(dict.fromkeys(unmeasured))))
    if failed:
        return UNDECIDED, "; ".join(failed) + follows
    if not pairs and not rows:
        return NOT_ASKED, "no training that both offer was run" + follows
    if not pairs:
        return EQUIVALENT, "%d behaviours of 60 steps; none was run in lockstep" % len(rows) + follows
    steps: dict[str, int] = {}
    for pair in pairs:
        steps[pair["program"]] = max(steps.get(pair["program"], 0), pair["steps"][-1])
    spoken = ["%s, %d steps" % (programs.title(program), count) for program, count in steps.items()]
    return EQUIVALENT, "no farther apart than rounding explains: %s" % "; ".join(spoken) + follows


def _accuracy(results: Results, names: Mapping[str, str], both: Sequence[str]) -> tuple[str, str]:
    """By the pairs of seeds; by the runs from own initial values where these show a difference, or there are no
    others."""
    paired, alone = (_of(results[part]["pairs"], both) for part in ("paired", "accuracy"))
    differ = [pair for pair in [*paired, *alone] if pair["verdict"] == DIFFERS]
    if differ:
        return DIFFERS, "; ".join(map(_points_apart, differ))
    failed = [told for part in ("paired", "accuracy") for told in _failed(results, names, both, part)]
    if failed:
        return UNDECIDED, "; ".join(dict.fromkeys(failed))
    decisive = paired or alone
    if not decisive:
        return NOT_ASKED, "no accuracy that both offer was measured"
    open_ones = [pair for pair in decisive if pair["verdict"] == UNDECIDED]
    verdict = UNDECIDED if open_ones else EQUIVALENT
    told = list(map(_points_apart, open_ones or decisive))
    if paired:
        told += ["%s, undecided" % _points_apart(pair) for pair in _open(results, both)]
    return verdict, "within %s points: %s" % (points(decisive[0]["margin"]), "; ".join(told))


def _points_apart(pair: Mapping[str, Any]) -> str:
    how = "" if pair["paired"] else " from own initial values"
    place = programs.title(pair.get("program", "mnist")) + how
    if pair["low"] is None:
        return "%s %s, one seed" % (place, signed_points(pair["difference"]))
    shown = tuple(map(signed_points, (pair["difference"], pair["low"], pair["high"])))
    if pair["low"] == pair["high"]:
        return "%s %s in every seed" % (place, shown[0])
    return "%s %s (%s to %s)" % (place, *shown)


def _speed(results: Results, names: Mapping[str, str], both: Sequence[str]) -> tuple[str, str]:
    """By the training steps."""
    cost = results["cost"]
    if not cost:
        return NOT_ASKED, "no cost was measured"
    failed = [names[label] for label in both if label in cost["failed"]]
    if failed:
        return UNDECIDED, "the cost of %s was not measured" % joined(failed)
    ratios = [ratio for ratio in _of(cost["ratios"], both) if ratio["quantity"].endswith("/step")]
    if not ratios:
        return NOT_ASKED, "no training step that both offer was timed"
    if any(ratio["low"] is None for ratio in ratios):
        return UNDECIDED, "fewer than three rounds were timed"
    told: list[tuple[str, str]] = []  # who is faster, "" for neither, and by how much
    for ratio in ratios:
        place = programs.title(ratio["quantity"].partition("/")[0])
        low, middle, high = ratio["low"], ratio["ratio"], ratio["high"]
        if low <= 1.0 <= high:
            told.append(("", "%s alike (%.2f to %.2f)" % (place, low, high)))
            continue
        who = names[both[0] if middle > 1.0 else both[1]]
        if middle < 1.0:
            low, middle, high = 1 / high, 1 / middle, 1 / low
        told.append((who, "%s %.3g times (%.3g to %.3g)" % (place, middle, low, high)))
    faster = {who for who, _ in told if who}
    if len(faster) > 1:
        return "it depends", "a training step, " + "; ".join("%s: %s" % each if each[0] else each[1] for each in told)
    return "".join(faster) or "alike", "a training step, " + "; ".join(much for _, much in told)
