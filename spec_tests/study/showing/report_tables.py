"""The tables of a report, from the results: headers and rows of text, the same for HTML and Markdown."""

from __future__ import annotations

from typing import Any, Mapping, NamedTuple, Sequence

from spec_tests.study.findings import number, points, signed_points, times
from spec_tests.study.showing.terminal_table import quantity_title

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


def _error(error: Mapping[str, Any] | None) -> str:
    return "" if error is None else "%s (%s)" % (number(error["relative"]), number(error["absolute"]))


def parity(results: Results, dtype: str) -> Table:
    labels, rows = list(results["backends"]), []
    for row in results["parity"]:
        if row["dtype"] != dtype:
            continue
        cells = [row["title"]]
        for label in labels:
            failed = label in row["failed"]
            cells += ["failed" if failed else _error(row["oracle"].get(label)), _error(row["recorded"].get(label))]
        rows.append(([*cells, _error(row["between"]), number(row["limit"])], row["within"]))
    headers = ["behaviour"]
    for label in labels:
        headers += [label, "%s: 1.15.5" % label]
    caption = (
        "%s: largest relative error (absolute in brackets) against the oracle, and against recorded 1.15.5" % dtype
    )
    return _table(caption, [*headers, "between backends", "limit"], rows)


def lockstep(results: Results) -> Table:
    rows = []
    for pair in results["lockstep"]["pairs"]:
        own = [each["weights"][-1] for each in pair["itself"].values()]
        cells = [
            pair["program"],
            pair["dtype"],
            "%s, %s" % (pair["one"], pair["other"]),
            str(pair["steps"][-1]),
            number(max(pair["loss"])),
            number(pair["weights"][-1]),
            number(max(own)) if own else "",
            "" if pair["ratio"] is None else "%s (step %d)" % (number(pair["ratio"]), pair["at"]),
            "" if pair["ratio"] is None else number(pair["limit"]),
            pair["verdict"],
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
    return _table("How far two backends drift apart in lockstep, relative", [*headers, "verdict"], rows)


def epochs(results: Results) -> Table:
    rows = []
    for run in results["lockstep"]["runs"]:
        for epoch, accuracy in enumerate(run["test_accuracy"]):
            cells = [str(epoch + 1), run["backend"], "%.5f" % run["epoch_loss"][epoch]]
            rows.append(([*cells, "%.4f" % run["train_accuracy"][epoch], "%.4f" % accuracy], True))
    rows.sort(key=lambda row: int(row[0][0]))
    headers = ["epoch", "backend", "mean loss", "accuracy, last batch", "accuracy, test images"]
    return _table("MNIST in lockstep, float32", headers, rows)


def accuracy(results: Results) -> Table:
    import numpy as np

    rows = []
    for label, each in results["accuracy"]["backends"].items():
        final = each["final"]
        spread = points(float(np.std(final, ddof=1))) if len(final) > 1 else ""
        shown = ["%.2f" % (100 * value) for value in (np.mean(final), min(final), max(final))]
        cells = [label, str(len(final)), str(len(each["test_accuracy"][0])), shown[0], spread, *shown[1:]]
        rows.append(([*cells, "%.0f" % np.mean(each["seconds"])], True))
    headers = ["backend", "seeds", "epochs", "mean (%)", "deviation", "lowest", "highest", "seconds a run"]
    return _table("Final test accuracy on MNIST", headers, rows)


def equivalence(results: Results) -> Table:
    rows = []
    for pair in results["accuracy"]["pairs"]:
        known = pair["low"] is not None
        interval = "%s to %s" % (signed_points(pair["low"]), signed_points(pair["high"])) if known else ""
        cells = ["%s - %s" % (pair["one"], pair["other"]), signed_points(pair["difference"]), interval]
        cells += [number(pair["p"]) if pair["p"] is not None else "", number(pair["effect"]), pair["verdict"]]
        early, level = pair["early"]["p"], EARLY_LEVEL / len(results["accuracy"]["pairs"])
        cells += [
            str(pair["seeds"] or ""),
            "" if early is None else number(early) + (", differ" if early < level else ""),
        ]
        rows.append((cells, True))
    headers = ["difference of", "points", "90% interval", "p", "effect (Hedges's g)", "verdict", "seeds needed"]
    return _table("Equivalence of final test accuracies", [*headers, "early losses differ: p"], rows)


def initial(results: Results) -> Table:
    rows = []
    for row in results["accuracy"]["initial"]:
        cells = [row["backend"], row["program"], row["weight"], number(row["largest"]), number(row["limit"])]
        cells += [number(row["deviation"]), number(row["expected_deviation"])]
        cells += ["" if row["p"] is None else number(row["p"]), "TF1's" if row["right"] else "not TF1's"]
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
    rows = []
    for label, each in results["cost"]["backends"].items():
        cells = [label, each["threads"] or ""]
        cells += ["%.3g ms" % (1000 * median) for median in each["median_s"].values()]
        cells += ["" if each[name] is None else "%.1f s" % each[name] for name in ("start_s", "first_step_s")]
        cells.append("" if each["peak_bytes"] is None else "%.0f MB" % (each["peak_bytes"] / 1e6))
        rows.append((cells, label not in results["cost"]["failed"]))
    quantities = next(iter(results["cost"]["backends"].values()))["median_s"]
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
    for piece in results["cells"]:
        if piece["status"] == "failed":
            rows.append((["failed piece: %s" % piece["cell"], piece["reason"]], False))
    return _table("Backends", ["backend", "facts"], rows)


def machine(results: Results) -> Table:
    given = dict(results["machine"])
    packages = given.pop("packages")
    given.update({name: version for name, version in packages.items() if version})
    return _table("Machine", ["", ""], [([name, str(value)], True) for name, value in given.items()])
