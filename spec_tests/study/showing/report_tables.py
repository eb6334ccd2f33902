"""The tables of a report, from the results: headers and rows of text, the same for HTML and Markdown."""

from __future__ import annotations

from typing import Any, Mapping, NamedTuple, Sequence

from spec_tests.study import programs
from spec_tests.study.findings import number, points, times
from spec_tests.study.lockstep import WEAK
from spec_tests.study.showing.terminal_table import difference, finals, milliseconds, quantity_title
from spec_tests.study.verdict import heading

Results = Mapping[str, Any]


class Table(NamedTuple):
    """caption; headers; rows of cells. marked: numbers of rows that are not as they should be."""

    caption: str
    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    marked: Sequence[int] = ()


# Below this p, divided by the number of pairs (Bonferroni), the table says that early losses differ. It is a mark and
# no problem: of a hundred studies of right backends one would have it.
EARLY_LEVEL = 0.01


def _table(caption: str, headers: Sequence[str], rows: Sequence[tuple[Sequence[str], bool]]) -> Table:
    """rows: the cells, and whether they are as they should be."""
    marked = [place for place, (_, right) in enumerate(rows) if not right]
    return Table(caption, headers, [cells for cells, _ in rows], marked)


def _error(error: Mapping[str, Any] | None, without: str = "") -> str:
    return without if error is None else number(error["relative"])


def verdict(results: Results) -> list[Table]:
    """A table for every two backends: question, verdict, what it rests on."""
    found = []
    for pair in results["verdict"]:
        rows = [
            ([line["question"], line["verdict"], line["by"]], line["verdict"] not in ("differs", "undecided"))
            for line in pair["lines"]
        ]
        found.append(_table(heading(pair), ["question", "verdict", "by"], rows))
    return found


def parity(results: Results, dtype: str) -> Table:
    labels, rows = list(results["backends"]), []
    for row in results["parity"]:
        if row["dtype"] != dtype:
            continue
        cells = [row["title"]]
        for label in labels:
            failed = label in row["failed"]
            offered = failed or label in row["oracle"]
            past = "not recorded" if offered else ""
            cells.append("failed" if failed else _error(row["oracle"].get(label), "not offered"))
            cells.append(_error(row["recorded"].get(label), past))
        rows.append(([*cells, _error(row["between"]), number(row["limit"])], row["within"]))
    headers = ["behaviour"]
    for label in labels:
        headers += [label, "%s: 1.15.5" % label]
    caption = "%s: largest relative error against the oracle, and against what 1.15.5 was recorded to answer" % dtype
    return _table(caption, [*headers, "between backends", "limit"], rows)


def lockstep(results: Results) -> Table:
    rows = []
    for pair in results["lockstep"]["pairs"]:
        own = [each["weights"][-1] for each in pair["itself"].values()]
        cells = [
            programs.title(pair["program"]),
            pair["dtype"],
            "%s, %s" % (pair["one"], pair["other"]),
            str(pair["steps"][-1]),
            number(max(pair["loss"])),
            number(pair["weights"][-1]),
            number(max(own)) if own else "",
            "" if pair["ratio"] is None else "%s (step %d)" % (number(pair["ratio"]), pair["at"]),
            "" if pair["ratio"] is None else number(pair["limit"]),
            pair["verdict"] + (" (*)" if _weak(pair) else ""),
        ]
        rows.append((cells, pair["verdict"] != "more than rounding"))
    headers = [
        "program",
        "dtype",
        "backends",
        "steps",
        "losses apart",
        "weights apart",
        "itself, 1 ulp",
        "ratio, at most",
        "limit",
    ]
    weak = list(dict.fromkeys(_weak(pair) for pair in results["lockstep"]["pairs"] if _weak(pair)))
    caption = "How far two backends drift apart in lockstep, relative" + "".join("; (*) %s" % text for text in weak)
    return _table(caption, [*headers, "verdict"], rows)


def _weak(pair: Mapping[str, Any]) -> str:
    return WEAK.get((programs.data_of(pair["program"]), pair["dtype"]), "")


def epochs(results: Results) -> Table:
    rows = []
    for run in results["lockstep"]["runs"]:
        for epoch, accuracy in enumerate(run["test_accuracy"]):
            cells = [run["backend"], str(epoch + 1), "%.5f" % run["epoch_loss"][epoch]]
            rows.append(([*cells, "%.4f" % run["train_accuracy"][epoch], "%.4f" % accuracy], True))
    rows.sort(key=lambda row: int(row[0][1]))
    headers = ["backend", "epoch", "mean loss", "accuracy, last batch", "accuracy, test images"]
    return _table("MNIST in lockstep, float32", headers, rows)


def accuracy(results: Results, part: str) -> Table:
    """part: "paired" or "accuracy"."""
    import numpy as np

    rows = []
    for program, by_label in finals(results, part).items():
        for label, final in by_label.items():
            spread = points(float(np.std(final, ddof=1))) if len(final) > 1 else "one seed"
            shown = ["%.2f" % (100 * value) for value in (np.mean(final), min(final), max(final))]
            rows.append(([programs.title(program), label, str(len(final)), shown[0], spread, *shown[1:]], True))
    headers = ["program", "backend", "seeds", "mean (%)", "deviation", "lowest", "highest"]
    return _table("Final test accuracy", headers, rows)


def equivalence(results: Results, part: str) -> Table:
    """part: "paired" or "accuracy"; early losses only of the latter."""
    rows, pairs = [], results[part]["pairs"]
    for pair in pairs:
        cells = [programs.title(pair.get("program", "mnist")), "%s - %s" % (pair["one"], pair["other"])]
        cells += [difference(pair), *("one seed" if pair["p_holm"] is None else number(pair["p_holm"]),)]
        cells += ["unknown" if pair["power"] is None else "%.2f" % pair["power"]]
        cells += [_needed(pair), pair["verdict"]]
        if part == "accuracy":
            early, level = pair["early"]["p"], EARLY_LEVEL / len(pairs)
            cells.insert(-1, "one seed" if early is None else number(early) + (", differ" if early < level else ""))
        rows.append((cells, pair["verdict"] != "differs"))
    headers = ["program", "difference of", "points (90% interval)", "p (Holm)", "power", "seeds needed"]
    headers += ["early losses: p"] if part == "accuracy" else []
    return _table("Equivalence of final test accuracies", [*headers, "verdict"], rows)


def _needed(pair: Mapping[str, Any]) -> str:
    """The seeds needed, or why no number is said."""
    if pair["seeds"] is not None:
        return str(pair["seeds"])
    if pair["low"] is None:
        return "unknown"
    return "no spread" if pair["low"] == pair["high"] else "difference beyond the margin"


def initial(results: Results) -> Table:
    rows = []
    for row in results["initial"]:
        cells = [
            row["backend"],
            programs.title(row["program"]),
            row["weight"],
            number(row["largest"]),
            number(row["limit"]),
        ]
        cells += [number(row["deviation"]), number(row["expected_deviation"])]
        cells += ["not drawn" if row["p"] is None else number(row["p"]), "TF1's" if row["right"] else "not TF1's"]
        rows.append((cells, row["right"]))
    headers = ["backend", "program", "weight", "largest", "limit", "deviation", "expected", "p", "distribution"]
    return _table("Initial values beside TF1's rule: Glorot uniform kernels, zero biases", headers, rows)


def series(results: Results) -> Table:
    rows = []
    for run in results["series"]["runs"]:
        cells = [
            run["backend"],
            run["projection"],
            str(run["iterations"]),
            "%.4g" % run["first"],
            "%.4g" % run["final"],
        ]
        rows.append(([*cells, "%.4g" % run["predicted"], "%.1f" % run["seconds"]], True))
    headers = ["backend", "projection", "iterations", "MSE, first", "MSE, last", "MSE, prediction", "seconds"]
    return _table("The series", headers, rows)


def cost(results: Results) -> Table:
    if not results["cost"]:
        return Table("", [], [])
    rows, backends = [], results["cost"]["backends"]
    quantities = list(dict.fromkeys(name for each in backends.values() for name in each["median_s"]))
    for label, each in backends.items():
        without = "failed" if label in results["cost"]["failed"] else "not offered"
        medians = each["median_s"]
        cells = [label, each["threads"] or "not said"]
        cells += [milliseconds(medians[name]) if name in medians else without for name in quantities]
        cells += [without if each[name] is None else "%.1f s" % each[name] for name in ("start_s", "first_step_s")]
        cells.append("not said" if each["peak_bytes"] is None else "%.0f MB" % (each["peak_bytes"] / 1e6))
        rows.append((cells, label not in results["cost"]["failed"]))
    headers = ["backend", "threads", *map(quantity_title, quantities), "start-up", "first step", "peak memory"]
    return _table("Medians over the rounds", headers, rows)


def ratios(results: Results) -> Table:
    rows = []
    for ratio in (results["cost"] or {"ratios": []})["ratios"]:
        name = "%s / %s" % (ratio["other"], ratio["one"])
        rows.append(([quantity_title(ratio["quantity"]), name, times(ratio), str(ratio["rounds"])], True))
    return _table("Ratios of time, median over the rounds", ["quantity", "ratio of", "ratio", "rounds"], rows)


def backends(results: Results) -> Table:
    rows = []
    for label, facts in results["backends"].items():
        rows.append(([label, ", ".join("%s %s" % (name, value) for name, value in facts.items())], True))
    rows += [([label, "left out: %s" % reason], True) for label, reason in results["left_out"].items()]
    return _table("Backends", ["backend", "facts"], rows)


def _plain(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def machine(results: Results) -> Table:
    given = dict(results["machine"])
    packages = given.pop("packages")
    given["profile"] = ", ".join(
        "%s %s" % (name, _plain(value)) for name, value in results["profile"].items() if "why" not in name
    )
    given.update({name: version for name, version in packages.items() if version})
    return _table("Machine", ["", ""], [([name, str(value)], True) for name, value in given.items()])
