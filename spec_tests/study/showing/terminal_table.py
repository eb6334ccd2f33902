"""What `compare` prints: the verdict, and the table of all numbers: errors, learning curves, accuracies, seconds."""

from __future__ import annotations

from typing import Any, Iterator, Mapping, NamedTuple, Sequence

from tabulate import tabulate

from spec_tests.study import programs
from spec_tests.study.findings import number, signed_points
from spec_tests.study.verdict import heading

ERRORS = "largest error against the float64 oracle, relative to the largest magnitude"


class Row(NamedTuple):
    """One line: a value per backend as it is shown, the largest difference between any two of them, and a limit."""

    section: str
    name: str
    values: list[str]
    difference: str = ""
    limit: str = ""


def verdict(results: Mapping[str, Any]) -> str:
    """For every two backends their names, and a line for each question: the verdict and what it rests on."""
    if not results["verdict"]:
        return "One backend alone: there is nothing to compare it with."
    found = []
    for pair in results["verdict"]:
        found.append(heading(pair))
        width = max(len(line["verdict"]) for line in pair["lines"])
        for line in pair["lines"]:
            found.append("  %-13s  %-*s  %s" % (line["question"], width, line["verdict"], line["by"]))
    return "\n".join(found)


def rows(results: Mapping[str, Any]) -> list[Row]:
    """Every row of the table."""
    labels = list(results["backends"])
    found = list(_parity(results, labels))
    found += _mnist(results, labels)
    for projection in ("stacked", "wrapped"):
        found += _series(results, labels, projection)
    found += _drift(results, labels)
    found += _independent(results, labels)
    found += _cost(results, labels)
    return found


def text(results: Mapping[str, Any]) -> str:
    """The table as lines of text, a heading before each section."""
    lines: list[list[str]] = []
    section = ""
    for row in rows(results):
        if row.section != section:
            section = row.section
            lines.append([section.upper() if not lines else "\n" + section.upper()])
        lines.append(["  " + row.name, *row.values, row.difference, row.limit])
    headers = ["", *results["backends"], "difference", "limit"]
    return tabulate(lines, headers=headers, disable_numparse=True, preserve_whitespace=True)


def _parity(results: Mapping[str, Any], labels: Sequence[str]) -> Iterator[Row]:
    for row in results["parity"]:
        values = []
        for label in labels:
            error = row["oracle"].get(label)
            values.append("failed" if label in row["failed"] else number(error["relative"]) if error else "not offered")
        between = number(row["between"]["relative"]) if row["between"] else ""
        limit = number(row["limit"]) + ("" if row["within"] else "  ABOVE")
        yield Row(ERRORS, "%s, %s" % (row["title"], row["dtype"]), values, between, limit)


def _runs(results: Mapping[str, Any], program: str, dtype: str) -> dict[str, Any]:
    return {
        run["backend"]: run for run in results["lockstep"]["runs"] if (run["program"], run["dtype"]) == (program, dtype)
    }


def apart(values: Sequence[float | None]) -> float | None:
    """The largest relative difference between any two values; None for fewer than two."""
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return None
    scale = max(abs(value) for value in known)
    return (max(known) - min(known)) / scale if scale else 0.0


def _shown(value: float | None) -> str:
    return "" if value is None else "%.5g" % value


def _difference(values: Sequence[float | None]) -> str:
    found = apart(values)
    return "" if found is None else number(found)


def _mnist(results: Mapping[str, Any], labels: Sequence[str]) -> Iterator[Row]:
    section = "MNIST in lockstep, float32: same weights and batches"
    runs = _runs(results, "mnist", "float32")
    epochs = max((len(run["test_accuracy"]) for run in runs.values()), default=0)
    for epoch in range(epochs):
        for name, title in _EPOCH:
            values = [runs[label][name][epoch] if label in runs else None for label in labels]
            yield Row(section, "epoch %d: %s" % (epoch + 1, title), list(map(_shown, values)), _difference(values))
    if runs:
        yield Row(section, "seconds", ["%.1f" % runs[label]["seconds"] if label in runs else "" for label in labels])


_EPOCH = (
    ("epoch_loss", "mean loss"),
    ("train_accuracy", "accuracy, last batch"),
    ("test_accuracy", "accuracy, 10,000 test images"),
)


def _series(results: Mapping[str, Any], labels: Sequence[str], projection: str) -> Iterator[Row]:
    section = "series in lockstep, %s projection, float32: same weights" % projection
    runs = _runs(results, "series-" + projection, "float32")
    curves = {label: runs[label]["curve"] for label in labels if label in runs}
    if not curves:
        return
    steps = next(iter(curves.values()))["steps"]
    places = sorted({round(part * (len(steps) - 1) / 5) for part in range(6)})
    for place in places:
        values = [curves[label]["loss"][place] if label in curves else None for label in labels]
        title = "MSE near iteration %.0f" % steps[place]
        yield Row(section, title, list(map(_shown, values)), _difference(values))
    yield Row(section, "seconds", ["%.1f" % runs[label]["seconds"] if label in runs else "" for label in labels])


def _drift(results: Mapping[str, Any], labels: Sequence[str]) -> Iterator[Row]:
    section = "drift of the weights after the last step of lockstep, relative to the largest magnitude"
    pairs = results["lockstep"]["pairs"]
    for pair in pairs:
        own = [number(pair["itself"][label]["weights"][-1]) if label in pair["itself"] else "" for label in labels]
        title = "%s, %s, %d steps" % (programs.title(pair["program"]), pair["dtype"], pair["steps"][-1])
        if len(pairs) > len(_kinds(pairs)):
            title += ": %s, %s" % (pair["one"], pair["other"])
        limit = "" if pair["ratio"] is None else pair["verdict"]
        yield Row(section, title + " (each: itself, 1 ulp away)", own, number(pair["weights"][-1]), limit)


def _kinds(pairs: Sequence[Mapping[str, Any]]) -> set[tuple[str, str]]:
    return {(pair["program"], pair["dtype"]) for pair in pairs}


def _independent(results: Mapping[str, Any], labels: Sequence[str]) -> Iterator[Row]:
    for part, section in (
        ("paired", "test accuracy after training, the same weights and batches in each seed"),
        ("accuracy", "test accuracy after training, own initial values and batches"),
    ):
        final = finals(results, part)
        for program, by_label in final.items():
            values = [_mean(by_label.get(label, [])) for label in labels]
            seeds = max(map(len, by_label.values()))
            yield Row(
                section, "%s, mean of %d seed%s" % (programs.title(program), seeds, "" if seeds == 1 else "s"), values
            )
        for pair in results[part]["pairs"]:
            place = programs.title(pair.get("program", "mnist"))
            title = "%s: %s less %s, points (90%% interval)" % (place, pair["one"], pair["other"])
            yield Row(section, title, [""] * len(labels), difference(pair), pair["verdict"])


def finals(results: Mapping[str, Any], part: str) -> dict[str, dict[str, list[float]]]:
    """program -> label -> the final accuracy of each seed, of the "paired" or the "accuracy" part."""
    if part == "accuracy":
        found = {label: each["final"] for label, each in results[part]["backends"].items()}
        return {"mnist": found} if found else {}
    by_program: dict[str, dict[str, list[float]]] = {}
    for run in results[part]["runs"]:
        by_program.setdefault(run["program"], {})[run["backend"]] = run["final"]
    return by_program


def _mean(final: Sequence[float]) -> str:
    return "%.2f%%" % (100 * sum(final) / len(final)) if final else ""


def difference(pair: Mapping[str, Any]) -> str:
    """In percentage points, with its interval where there is one."""
    interval = "" if pair["low"] is None else " (%s to %s)" % tuple(map(signed_points, (pair["low"], pair["high"])))
    return signed_points(pair["difference"]) + interval


def _cost(results: Mapping[str, Any], labels: Sequence[str]) -> Iterator[Row]:
    if not results["cost"]:
        return
    section, backends = "cost: medians of rounds in turn", results["cost"]["backends"]
    quantities = list(dict.fromkeys(name for each in backends.values() for name in each["median_s"]))
    for quantity in quantities:
        medians = [backends.get(label, {}).get("median_s", {}) for label in labels]
        values = [milliseconds(each[quantity]) if quantity in each else "" for each in medians]
        yield Row(section, quantity_title(quantity), values)
    for name, title in (("start_s", "seconds to start"), ("peak_bytes", "peak memory, MB")):
        found = [backends.get(label, {}).get(name) for label in labels]
        scale = 1e6 if name == "peak_bytes" else 1.0
        yield Row(section, title, ["" if each is None else "%.3g" % (each / scale) for each in found])


def milliseconds(median: float | None) -> str:
    """A timing of `cost.summarize`, of seconds."""
    return "below the noise" if median is None else "%.3g ms" % (1000 * median)


def quantity_title(quantity: str) -> str:
    """ "mnist/step" in words."""
    program, _, what = quantity.partition("/")
    where = {"mnist": "MNIST, batch of 150", "series-stacked": "series"}.get(program) or programs.title(program)
    return "%s: %s" % (where, "training step" if what == "step" else "prediction")
