"""What is wrong in a study's results, one sentence for each cause; and how its numbers are written."""

from __future__ import annotations

import math
from typing import Any, Mapping, Sequence

Results = Mapping[str, Any]


def problems(results: Results) -> list[str]:
    """What a right study of right backends has none of. Accuracy that cannot be told apart is no problem."""
    found = failures(results)
    found += [_above(row, label) for row in results["parity"] for label in above(row)]
    for pair in results["lockstep"]["pairs"]:
        if pair["verdict"] == "more than rounding":
            found.append(
                "%s and %s drift apart on %s in %s, %s times as far as one unit in the last place explains, by step %d"
                % (pair["one"], pair["other"], pair["program"], pair["dtype"], number(pair["ratio"]), pair["at"])
            )
    for pair in [*results["paired"]["pairs"], *results["accuracy"]["pairs"]]:
        if pair["verdict"] == "differs":
            found.append(
                "the accuracies of %s and %s on %s differ by more than %s percentage points"
                % (pair["one"], pair["other"], pair.get("program", "mnist"), points(pair["margin"]))
            )
    for row in results["initial"]:
        if not row["right"]:
            found.append("%s does not draw %s of %s by TF1's rule" % (row["backend"], row["weight"], row["program"]))
    if results["cost"]:
        found += ["the cost of %s was not measured: %s" % pair for pair in results["cost"]["failed"].items()]
    return found


def failures(results: Results) -> list[str]:
    """The pieces and the questions that failed: for each backend and reason one sentence, whatever it stopped."""
    pieces: dict[tuple[str, str], list[str]] = {}
    for piece in results["cells"]:
        if piece["status"] == "failed":
            title = piece["cell"].rpartition(", " + piece["backend"])[0] or piece["cell"]
            pieces.setdefault((piece["backend"], piece["reason"]), []).append(title)
    questions: dict[tuple[str, str], list[str]] = {}
    for row in results["parity"]:
        for label, reason in row["failed"].items():
            told = "%s in %s" % (row["title"], row["dtype"])
            questions.setdefault((label, reason.partition(": ")[2] or reason), []).append(told)
    found = ["%s failed %s: %s" % (label, _several(titles, "pieces"), why) for (label, why), titles in pieces.items()]
    for (label, why), titles in questions.items():
        found.append("%s failed %s: %s" % (label, _several(titles, "behaviours"), why))
    return found


def _several(titles: Sequence[str], what: str) -> str:
    return titles[0] if len(titles) == 1 else "%d %s (%s and so on)" % (len(titles), what, titles[0])


def above(row: Mapping[str, Any]) -> list[str]:
    """The backends whose error in a row of the parity is above its limit."""
    errors = [pair for against in ("oracle", "recorded") for pair in row[against].items()]
    return list(dict.fromkeys(label for label, error in errors if not error["relative"] <= row["limit"]))


def _above(row: Mapping[str, Any], label: str) -> str:
    worst = max(row[against][label]["relative"] for against in ("oracle", "recorded") if label in row[against])
    told = (row["title"], row["dtype"], label, number(worst), number(row["limit"]))
    return "%s in %s: %s has an error of %s, above the limit of %s" % told


def joined(words: Sequence[str]) -> str:
    words = list(words)
    return words[0] if len(words) == 1 else "%s and %s" % (", ".join(words[:-1]), words[-1])


def times(ratio: Mapping[str, Any]) -> str:
    """ "2.1 times (95% interval 2.0 to 2.2)"."""
    if ratio["low"] is None:
        return "%.2g times" % ratio["ratio"]
    return "%.3g times (95%% interval %.3g to %.3g)" % (ratio["ratio"], ratio["low"], ratio["high"])


def number(value: Any) -> str:
    """An error or a ratio: two digits; limits of thousands in full."""
    if value is None:
        return "-"
    if 1000 <= abs(value) < 1e6:
        return "{:,.0f}".format(float("%.2g" % value))
    if value != 0 and math.isfinite(value) and 0.1 <= abs(value) < 1000:
        return "%.2g" % value if abs(value) < 100 else "%.0f" % value
    return "0" if value == 0 else "%.1e" % value


def points(fraction: float) -> str:
    """A fraction as percentage points."""
    return "%.3g" % (100 * fraction)


def signed_points(fraction: float) -> str:
    return "%+.2f" % (100 * fraction)
