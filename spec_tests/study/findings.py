"""The three sentences that open a report, and what is wrong: both made from the numbers, with their limits."""

from __future__ import annotations

import math
from typing import Any, Mapping, Sequence

Results = Mapping[str, Any]
PROGRAMS = {
    "mnist": "MNIST",
    "series-stacked": "the series (stacked projection)",
    "series-wrapped": "the series (wrapped projection)",
}


def sentences(results: Results) -> list[str]:
    """On parity, on lockstep, and on accuracy and cost."""
    return [_parity(results), _lockstep(results), _accuracy_and_cost(results)]


def problems(results: Results) -> list[str]:
    """What a right study of right backends has none of. Accuracy that cannot be told apart is no problem."""
    found = []
    for piece in results["cells"]:
        if piece["status"] == "failed":
            found.append("the piece %s failed: %s" % (piece["cell"], piece["reason"]))
    for row in results["parity"]:
        if not row["within"]:
            found.append("%s in %s: %s" % (row["title"], row["dtype"], _excess(row)))
    for pair in results["lockstep"]["pairs"]:
        if pair["verdict"] == "more than rounding":
            found.append(
                "%s and %s drift apart on %s in %s, %s times as far as one unit in the last place explains, by step %d"
                % (pair["one"], pair["other"], pair["program"], pair["dtype"], number(pair["ratio"]), pair["at"])
            )
    for pair in results["accuracy"]["pairs"]:
        if pair["verdict"] == "different":
            found.append(
                "the accuracies of %s and %s differ by more than %s percentage points"
                % (pair["one"], pair["other"], points(pair["margin"]))
            )
    for row in results["accuracy"]["initial"]:
        if not row["right"]:
            found.append("%s does not draw %s of %s by TF1's rule" % (row["backend"], row["weight"], row["program"]))
    if results["cost"]:
        found += ["the cost of %s was not measured: %s" % pair for pair in results["cost"]["failed"].items()]
    return found


def _excess(row: Mapping[str, Any]) -> str:
    if row["failed"]:
        return "; ".join("%s failed: %s" % pair for pair in row["failed"].items())
    above = []
    for against in ("oracle", "recorded"):
        for label, error in row[against].items():
            if error["relative"] > row["limit"]:
                above.append("%s has an error of %s" % (label, number(error["relative"])))
    return "%s, above the limit of %s" % (" and ".join(dict.fromkeys(above)), number(row["limit"]))


def _parity(results: Results) -> str:
    rows = results["parity"]
    counts = {label: len({row["behaviour"] for row in rows if label in row["oracle"]}) for label in results["backends"]}
    labels = [label for label, number_of in counts.items() if number_of]
    if not labels:
        return "No behaviour was compared: the pieces of the parity part failed."
    dtypes = list(dict.fromkeys(row["dtype"] for row in rows))
    spoken = []
    for dtype in dtypes:
        errors = [error["relative"] for row in rows if row["dtype"] == dtype for error in row["oracle"].values()]
        spoken.append("%s in %s" % (number(max(errors, default=math.inf)), dtype))
    count = max(counts.values())
    fewer = ["%s over %d" % (label, counts[label]) for label in labels if counts[label] < count]
    absent = [label for label in counts if label not in labels]
    over = "%d behaviours%s" % (count, " (%s)" % joined(fewer) if fewer else "")
    wrong = len({row["behaviour"] for row in rows if not row["within"]})
    verdict = "all are within their limits" if not wrong else "%d of them exceed their limits or fail" % wrong
    past = [error["relative"] for row in rows for error in row["recorded"].values()]
    against = ", and at most %s from what TensorFlow 1.15.5 answered" % number(max(past)) if past else ""
    return (
        "Given the same weights and inputs, %s at most %s, relative, from a float64 oracle over %s%s: %s; "
        "this covers the cases asked, small ones and 60 optimizer steps, and no others%s."
        % (
            _are(labels),
            " and ".join(spoken),
            over,
            against,
            verdict,
            "; nothing was compared of %s" % joined(absent) if absent else "",
        )
    )


def _are(labels: Sequence[str]) -> str:
    return "%s is" % labels[0] if len(labels) == 1 else "%s are" % joined(labels)


def joined(words: Sequence[str]) -> str:
    words = list(words)
    return words[0] if len(words) == 1 else "%s and %s" % (", ".join(words[:-1]), words[-1])


def _lockstep(results: Results) -> str:
    pairs = results["lockstep"]["pairs"]
    if not pairs:
        return "No two backends were trained in lockstep."
    steps: dict[str, int] = {}
    for pair in pairs:
        steps[pair["program"]] = max(steps.get(pair["program"], 0), pair["steps"][-1])
    spoken = joined(["%d steps on %s" % (count, PROGRAMS[program]) for program, count in steps.items()])
    losses: dict[str, float] = {}
    for pair in pairs:
        losses[pair["dtype"]] = max(losses.get(pair["dtype"], 0.0), *pair["loss"])
    apart = joined(["%s in %s" % (number(loss), dtype) for dtype, loss in losses.items()])
    judged = [pair for pair in pairs if pair["ratio"] is not None]
    if not judged:
        ending = "no backend was run against itself, so rounding was not told from a fault"
    else:
        worst = max(judged, key=lambda pair: pair["ratio"] / pair["limit"])
        told = "what rounding explains" if worst["verdict"] == "rounding" else "more than rounding explains"
        ending = (
            "where they come nearest to their limit, %s times, the weights part %s times as far as those of one "
            "backend do from a start one unit in the last place away (%s and %s on %s, %s), which is %s; both grow "
            "with every step, so this holds for these lengths and starting weights"
            % (number(worst["limit"]), number(worst["ratio"]), *_place(worst), told)
        )
    return "Trained in lockstep, up to %s, single losses come to differ by %s, relative, and %s." % (
        spoken,
        apart,
        ending,
    )


def _place(pair: Mapping[str, Any]) -> tuple[str, str, str, str]:
    return pair["one"], pair["other"], PROGRAMS[pair["program"]], pair["dtype"]


def _accuracy_and_cost(results: Results) -> str:
    accuracies = _accuracies(results)
    costs = _cost(results)
    if not accuracies and not costs:
        return "Neither accuracy over independent seeds nor cost was compared between two backends."
    return ("%s; %s." % (accuracies or "Accuracy over independent seeds was not compared", costs or _NO_COST)).replace(
        "..", "."
    )


_NO_COST = "cost was not compared"


def _accuracies(results: Results) -> str:
    pairs, epochs = results["accuracy"]["pairs"], results["profile"]["epochs"]
    if not pairs:
        return ""
    return "Over %s of %s from values of their own, %s" % (
        _seeds([size for pair in pairs for size in pair["sizes"]]),
        "one epoch" if epochs == 1 else "%d epochs" % epochs,
        "; ".join(map(_equivalence, pairs)),
    )


def _equivalence(pair: Mapping[str, Any]) -> str:
    start, margin = "the test accuracies of %s and %s" % (pair["one"], pair["other"]), points(pair["margin"])
    if pair["low"] is None:
        return "%s differ by %s percentage points, and one seed says nothing of the spread" % (
            start,
            signed_points(pair["difference"]),
        )
    seen = "difference %s, 90%% interval %s to %s" % tuple(
        map(signed_points, (pair["difference"], pair["low"], pair["high"]))
    )
    if pair["verdict"] == "equivalent":
        return "%s are equivalent within %s percentage points (%s)" % (start, margin, seen)
    if pair["verdict"] == "different":
        return "%s differ by more than %s percentage points (%s)" % (start, margin, seen)
    needed = (
        "about %d seeds each would be needed" % pair["seeds"]
        if pair["seeds"]
        else "the difference seen is not within the margin, so more seeds may well show one"
    )
    return "%s cannot be called equivalent within %s percentage points, nor different (%s; %s)" % (
        start,
        margin,
        seen,
        needed,
    )


def _seeds(sizes: Sequence[int]) -> str:
    low, high = min(sizes), max(sizes)
    return "%d seed%s each" % (low, "" if low == 1 else "s") if low == high else "%d to %d seeds" % (low, high)


def _cost(results: Results) -> str:
    """How many times as long a training step of each backend takes as one of the first; the report has every two."""
    if not results["cost"]:
        return ""
    spoken: dict[tuple[str, str], list[str]] = {}
    for ratio in results["cost"]["ratios"]:
        program, _, what = ratio["quantity"].partition("/")
        if what == "step" and ratio["one"] == next(iter(results["backends"])):
            place = {"mnist": "MNIST"}.get(program, "the series")
            spoken.setdefault((ratio["one"], ratio["other"]), []).append("%s on %s" % (times(ratio), place))
    if not spoken:
        return ""
    told = ["%s takes %s as long as %s" % (other, joined(found), one) for (one, other), found in spoken.items()]
    cpus = results["machine"]["cpus"]
    return "for a training step %s, on this machine (%s, %s CPU%s) and at these sizes alone" % (
        joined(told),
        results["machine"]["processor"],
        cpus,
        "" if cpus == 1 else "s",
    )


def times(ratio: Mapping[str, Any]) -> str:
    """ "2.1 times (95% interval 2.0 to 2.2)"."""
    if ratio["low"] is None:
        return "%.2g times" % ratio["ratio"]
    return "%.3g times (95%% interval %.3g to %.3g)" % (ratio["ratio"], ratio["low"], ratio["high"])


def number(value: Any) -> str:
    """An error or a ratio: two digits."""
    if value is None:
        return "-"
    if value != 0 and math.isfinite(value) and 0.1 <= abs(value) < 1000:
        return "%.2g" % value if abs(value) < 100 else "%.0f" % value
    return "0" if value == 0 else "%.1e" % value


def points(fraction: float) -> str:
    """A fraction as percentage points."""
    return "%.3g" % (100 * fraction)


def signed_points(fraction: float) -> str:
    return "%+.2f" % (100 * fraction)
