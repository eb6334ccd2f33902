"""Several results files beside each other: two machines, two versions, two dates."""

from __future__ import annotations

from typing import Any, Callable, Mapping, Sequence

from spec_tests.study import programs, verdict
from spec_tests.study.findings import joined, number
from spec_tests.study.showing.report_tables import Table
from spec_tests.study.showing.terminal_table import difference, finals, milliseconds, quantity_title

Read = Mapping[str, Mapping[str, Any]]  # where a results file came from -> results


def sentences(read: Read) -> list[str]:
    """What each says is not as it should be, or is undecided; else that all is decided."""
    found = []
    for name, each in read.items():
        open_lines = ["undecided: " + line for line in verdict.undecided(each)]
        found.append("%s: %s." % (name, joined([*each["problems"], *open_lines] or ["every question is decided"])))
    return found


def verdicts(read: Read) -> Table:
    """A row for every pair and question."""
    return _aligned(read, "backends and question", _verdict)


def _verdict(results: Mapping[str, Any]) -> dict[str, str]:
    return {
        "%s: %s" % (pair["title"], line["question"]): "%s (%s)" % (line["verdict"], line["by"])
        for pair in results["verdict"]
        for line in pair["lines"]
    }


def sections(read: Read) -> list[tuple[str, str, Sequence[Table]]]:
    """Title, text and tables; a column for each results file."""
    return [
        ("Verdict", "", [verdicts(read)]),
        ("Where and with what", "", [_facts(read)]),
        ("Parity", "The largest relative error against the oracle.", [_aligned(read, "behaviour", _parity)]),
        (
            "Lockstep",
            "Drift of the weights after the last step, and the largest ratio to a backend's own drift.",
            [_aligned(read, "program, dtype and backends", _lockstep)],
        ),
        (
            "Accuracy",
            "Mean final test accuracy, and differences in percentage points.",
            [_aligned(read, "backend or pair", _accuracy)],
        ),
        ("Cost", "Medians; ratios round by round.", [_aligned(read, "quantity", _cost)]),
    ]


def _aligned(read: Read, first: str, entries: Callable[[Mapping[str, Any]], dict[str, str]]) -> Table:
    """One row for each entry that any file has."""
    columns = {name: entries(results) for name, results in read.items()}
    names = list(dict.fromkeys(entry for column in columns.values() for entry in column))
    rows = [[entry, *(column.get(entry, "") for column in columns.values())] for entry in names]
    return Table("", [first, *columns], rows)


def _facts(read: Read) -> Table:
    def entries(results: Mapping[str, Any]) -> dict[str, str]:
        given = dict(results["machine"])
        packages = given.pop("packages")
        found = {
            name: str(value) for name, value in {**given, **packages, "profile": results["profile"]["name"]}.items()
        }
        for label, facts in results["backends"].items():
            found[label] = "%s %s, %s thread(s)" % tuple(
                facts.get(key, "?") for key in ("framework", "version", "threads")
            )
        return found

    return _aligned(read, "", entries)


def _parity(results: Mapping[str, Any]) -> dict[str, str]:
    return {
        "%s, %s: %s" % (row["title"], row["dtype"], label): number(error["relative"])
        for row in results["parity"]
        for label, error in row["oracle"].items()
    }


def _lockstep(results: Mapping[str, Any]) -> dict[str, str]:
    found = {}
    for pair in results["lockstep"]["pairs"]:
        name = "%s, %s: %s and %s" % (programs.title(pair["program"]), pair["dtype"], pair["one"], pair["other"])
        ratio = "" if pair["ratio"] is None else "; ratio %s, %s" % (number(pair["ratio"]), pair["verdict"])
        found[name] = "%s after %d steps%s" % (number(pair["weights"][-1]), pair["steps"][-1], ratio)
    return found


def _accuracy(results: Mapping[str, Any]) -> dict[str, str]:
    found = {}
    for part, how in (("paired", "shared start"), ("accuracy", "own start")):
        for program, by_label in finals(results, part).items():
            for label, final in by_label.items():
                name = "%s, %s: %s" % (programs.title(program), how, label)
                found[name] = "%.2f%% over %d seeds" % (100 * sum(final) / len(final), len(final))
        for pair in results[part]["pairs"]:
            place = programs.title(pair.get("program", "mnist"))
            name = "%s, %s: %s - %s" % (place, how, pair["one"], pair["other"])
            found[name] = "%s: %s" % (difference(pair), pair["verdict"])
    return found


def _cost(results: Mapping[str, Any]) -> dict[str, str]:
    if not results["cost"]:
        return {}
    found = {}
    for label, each in results["cost"]["backends"].items():
        for quantity, median in each["median_s"].items():
            found["%s: %s" % (quantity_title(quantity), label)] = milliseconds(median)
        for name, title in (("start_s", "start-up"), ("peak_bytes", "peak memory")):
            if each[name] is not None:
                shown = "%.1f s" % each[name] if name == "start_s" else "%.0f MB" % (each[name] / 1e6)
                found["%s: %s" % (title, label)] = shown
    for ratio in results["cost"]["ratios"]:
        name = "%s: %s / %s" % (quantity_title(ratio["quantity"]), ratio["other"], ratio["one"])
        interval = "" if ratio["low"] is None else " (%.3g to %.3g)" % (ratio["low"], ratio["high"])
        found[name] = "%.3g%s" % (ratio["ratio"], interval)
    return found
