"""A conformance matrix as text for a terminal, as Markdown, and as one HTML page without anything to load."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Iterator

from tabulate import tabulate

from spec_tests.capabilities import GROUPS
from spec_tests.conformance.differing import as_html, differing, link
from spec_tests.conformance.environments import command, environments
from spec_tests.pages import rendered

# Outcome, the gravest first, that decides a cell -> its sign, which says it without colour too.
SIGNS = {"failed": "✗", "known failure": "!", "passed": "✓", "skipped otherwise": "?", "not offered": "\N{EN DASH}"}
TOLD = 20  # causes of a backend's failures told in a terminal


def verdict(counts: dict[str, int]) -> str:
    """The outcome that decides: the gravest there is; "skipped otherwise" where there is none at all."""
    return next((outcome for outcome in SIGNS if counts[outcome]), "skipped otherwise")


def words(counts: dict[str, int]) -> str:
    """ "2 failed, 45 passed": what there is, the gravest first; "not offered" without a number where it is all."""
    there = [outcome for outcome in SIGNS if counts[outcome]]
    if there in ([], ["not offered"]):
        return "not offered" if there else "not run"
    return ", ".join("%d %s" % (counts[outcome], outcome) for outcome in there)


def number(error: float | str | None) -> str:
    if error is None:
        return ""
    return error if isinstance(error, str) else "%.1e" % error if error else "0"


def largest(cell: dict[str, Any]) -> str:
    """The error nearest to its limit, beside it."""
    found = cell["largest"]
    return "" if found is None else "%s of %.0e" % (number(found["error"]), found["limit"])


def conclusion(results: dict[str, Any]) -> str:
    """The one sentence at the head of it all."""
    backends = results["backends"]
    known = {name: backend["counts"]["known failure"] for name, backend in backends.items()}
    but = ", ".join("%d of %s" % (count, name) for name, count in known.items() if count)
    failed = {name: backend["counts"]["failed"] for name, backend in backends.items() if backend["counts"]["failed"]}
    lost = [name for name, backend in backends.items() if backend["lost"]]
    if failed or lost:
        told = ", ".join("%s in %d" % pair for pair in failed.items())
        said = ["%d of %d backends failed tests: %s" % (len(failed), len(backends), told)] if failed else []
        said += ["%d of %d could not be tested to the end: %s" % (len(lost), len(backends), ", ".join(lost))] * bool(
            lost
        )
        return ". ".join(said + ["Known failures: " + but] * bool(but)) + "."
    one = "%s passes" % next(iter(backends)) if len(backends) == 1 else "All %d backends pass" % len(backends)
    whose = "they offer" if len(backends) > 1 else "it offers"
    # --quick and -k leave out others.
    which = "every test that was run of" if results["left_out"] or results["expression"] else "every test of"
    return "%s %s what %s%s." % (one, which, whose, ", but for known failures: " + but if but else "")


def given_up(name: str, backend: dict[str, Any]) -> str:
    """Why a backend was not tested, or no further."""
    rest = "; %d tests were not run" % backend["not_run"] if backend["not_run"] else ""
    return "%s was given up: %s%s" % (name, backend["lost"], rest)


def versions(facts: dict[str, str]) -> str:
    """ "NumPy 2.4.6, python 3.11.7, device cpu": what a backend says of itself."""
    rest = ["%s %s" % fact for fact in facts.items() if fact[0] not in ("framework", "version")]
    return ", ".join([_named(facts), *rest])


def framework(facts: dict[str, str]) -> str:
    """ "Keras 3.15.1, on jax 0.10.2": the framework, and the one that it stands on."""
    return ", ".join(filter(None, [_named(facts), "on " + facts["on"] if "on" in facts else ""]))


def _named(facts: dict[str, str]) -> str:
    return " ".join(facts[key] for key in ("framework", "version") if key in facts)


def about(results: dict[str, Any]) -> str:
    said = "Unrolled %s, Python %s, %s, device %s, %s, %.0f seconds." % (
        results["unrolled"],
        results["python"],
        results["platform"],
        results["device"],
        results["started"],
        results["seconds"],
    )
    kept = [backend["started"] for backend in results["backends"].values() if backend["kept"]]
    if kept:
        said += " Kept, of runs that began from %s to %s: %d of %d backends." % (
            min(kept),
            max(kept),
            len(kept),
            len(results["backends"]),
        )
    if results["left_out"]:
        said += " Left out: %s." % ", ".join(results["left_out"])
    return said + (" Only tests that match %r." % results["expression"] if results["expression"] else "")


def text(results: dict[str, Any]) -> str:
    """Behaviours by backends, then errors by quantity, then the failures."""
    names = list(results["backends"])
    rows = []
    for behaviour in results["behaviours"]:
        cells = [behaviour["cells"][name] for name in names]
        rows.append([behaviour["name"], *(_marked(cell["counts"]) for cell in cells)])
        if any(cell["largest"] for cell in cells):
            rows.append(["", *map(largest, cells)])
    rows.append(["all", *(_marked(results["backends"][name]["counts"]) for name in names)])
    parts = [tabulate(rows, headers=["behaviour", *names], disable_numparse=True)]
    rows = [[label, *cells] for label, cells in _capability_rows(results)]
    parts.append(tabulate(rows, headers=["capability", *names], disable_numparse=True))
    if results["errors"]:
        headers = ["largest relative error", "", "limit", *names]
        parts.append(tabulate(list(_error_rows(results)), headers=headers, disable_numparse=True))
    parts += _failures(results)
    return "\n\n".join(parts)


def _capability_rows(results: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """Each group by its title, then its capabilities: what the tests that need them showed."""
    names, group = list(results["backends"]), ""
    for row in results["capabilities"]:
        if row["group"] != group:
            group = row["group"]
            yield group + ":", [""] * len(names)
        yield row["name"], [capability(results, row, name) for name in names]


def capability(results: dict[str, Any], row: dict[str, Any], name: str) -> str:
    """What the tests that need a capability showed of a backend."""
    backend = results["backends"][name]
    if row["name"] in backend["lacks"] and backend["offers"]:
        return "not offered"
    counts = row["cells"][name]["counts"]
    return _marked(dict(counts, **{"not offered": 0}))  # for lack of another: the row is about this one


def _marked(counts: dict[str, int]) -> str:
    return words(counts).replace("failed", "FAILED")


def _error_rows(results: dict[str, Any]) -> Iterator[list[str]]:
    for row in results["errors"]:
        found = [number(row["errors"].get(name)) or "-" for name in results["backends"]]
        yield [row["quantity"], row["dtype"], "%.0e" % row["limit"], *found]


def told(results: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """The "failures" or "known_failures", the cases of a test together, in the order of the backends."""
    cases: dict[tuple[str, str], list[dict[str, str]]] = {}
    for one in results[key]:
        cases.setdefault((one["backend"], one["test"]), []).append(one)
    names = list(results["backends"])
    return [
        {"backend": backend, "test": test, "cases": found}
        for (backend, test), found in sorted(cases.items(), key=lambda item: names.index(item[0][0]))
    ]


def _failures(results: dict[str, Any]) -> list[str]:
    """Why tests failed, by backend: failures of one cause together."""
    parts = []
    for name, found in results["causes"].items():
        lines = [cause["told"] for cause in found[:TOLD]]
        lines += ["and %d more causes; --json has all failures" % (len(found) - TOLD)] if len(found) > TOLD else []
        if lines:
            failed = sum(cause["count"] for cause in found)
            parts.append("%s failed %d tests, by cause:\n%s" % (name, failed, "\n".join(lines)))
        if results["backends"][name]["lost"]:
            parts.append(given_up(name, results["backends"][name]))
    return parts


def _plural(word: str, counted: Any) -> str:
    return word if len(counted) == 1 else word + "s"


def markdown(results: dict[str, Any]) -> str:
    """The same as Markdown, for a README or an issue."""
    names = list(results["backends"])
    lines = ["# Conformance", "", conclusion(results), "", about(results), ""]
    lines += _table(["backend", "versions", "not offered", "tests"], map(list, _backend_rows(results)))
    lines += ["## Behaviours", "", "Below each count, the error nearest to its limit, and the limit.", ""]
    rows = []
    for behaviour in results["behaviours"]:
        cells = [behaviour["cells"][name] for name in names]
        said = ["%s %s" % (SIGNS[verdict(cell["counts"])], words(cell["counts"])) for cell in cells]
        rows.append([behaviour["name"], *("<br>".join(filter(None, pair)) for pair in zip(said, map(largest, cells)))])
    lines += _table(["", *names], rows)
    lines += ["## Capabilities", "", "What the tests that need each showed.", ""]
    grouped = [["**%s**" % label if not any(cells) else label, *cells] for label, cells in _capability_rows(results)]
    lines += _table(["", *names], grouped)
    lines += ["## Largest errors", "", "Relative to the largest expected magnitude.", ""]
    lines += _table(["quantity", "dtype", "limit", *names], _error_rows(results))
    lost = ["- " + " ".join(given_up(*each).split()) for each in results["backends"].items() if each[1]["lost"]]
    lines += ["## Given up", "", *lost, ""] if lost else []
    for title, key in (("Failures", "failures"), ("Known failures", "known_failures")):
        if results[key]:
            lines += ["## " + title, ""]
            lines += map(_failure_line, told(results, key))
            lines.append("")
    return "\n".join(lines)


def _failure_line(one: dict[str, Any]) -> str:
    said = " ".join(one["cases"][0]["reason"].split())
    counted = "%d %s" % (len(one["cases"]), _plural("case", one["cases"]))
    return "- %s, `%s`, %s: %s" % (one["backend"], one["test"], counted, said)


def _backend_rows(results: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for name, backend in results["backends"].items():
        yield name, versions(backend["facts"]), _lacks(backend["lacks"]), words(backend["counts"])


def _lacks(names: list[str]) -> str:
    """What is not offered, by group."""
    found = [", ".join(name for name in names if name in group) for group in GROUPS.values()]
    return "<br>".join(filter(None, found)) or "-"


def _table(headers: list[str], rows: Any) -> list[str]:
    escaped = [[str(value).replace("|", "\\|") for value in row] for row in [headers, *rows]]
    lines = ["| %s |" % " | ".join(row) for row in escaped]
    return [lines[0], "|" + " --- |" * len(headers), *lines[1:], ""]


def html(results: dict[str, Any], path: Path) -> str:
    """The page that will lie at path. Raises ImportError where Jinja2 is not installed."""
    from markupsafe import Markup

    helpers = (
        verdict,
        words,
        number,
        largest,
        conclusion,
        about,
        versions,
        framework,
        told,
        given_up,
        capability,
        differing,
    )
    named: dict[str, Any] = {function.__name__: function for function in helpers}
    named["prose"] = lambda text: Markup(as_html(text))
    named["link"] = lambda difference: link(difference, path.parent)
    named["environments"] = environments(results)
    named["command"] = command(results, path.name)
    return rendered(__package__, "conform.html", results=results, SIGNS=SIGNS, **named)
