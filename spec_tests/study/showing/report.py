"""The report of a study: one self-contained HTML page, the same as Markdown, and the figures as SVG files.

Both are made from the results alone: `sections` says what there is to show, two templates how it looks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Mapping, NamedTuple, Sequence

from spec_tests.pages import rendered
from spec_tests.study import verdict
from spec_tests.study.findings import joined, points
from spec_tests.study.showing import figures, report_tables, side_by_side
from unrolled.errors import DataError
from unrolled.writing import write_atomically


class Section(NamedTuple):
    """A part of a page: what it is about, its tables, and the figures by name."""

    title: str
    text: str
    tables: Sequence[report_tables.Table]
    figures: Sequence[str] = ()


def sections(results: Mapping[str, Any]) -> list[Section]:
    """Those of a report."""
    profile = results["profile"]
    return [
        Section(
            "Parity",
            "Every behaviour of the contract, on the same weights and inputs. An error is the largest difference of "
            "any value, relative to the largest magnitude expected; the limit holds for each backend, against the "
            "oracle and against what TensorFlow 1.15.5 was recorded to answer. It holds for the cases asked, "
            "which are small, and 60 optimizer steps.",
            [report_tables.parity(results, dtype) for dtype in ("float32", "float64")],
        ),
        Section(
            "Lockstep",
            "The same weights, the same batches, many optimizer steps. Two right implementations drift apart too, "
            "since training amplifies every rounding: so each backend is also trained against itself, from weights one "
            "unit in the last place (ulp) away, %d draws of them. Two backends that part many times as fast "
            "differ by more than rounding; each limit lies between what right backends and planted faults showed. "
            "It holds for these numbers of steps and these starting weights." % profile["perturbations"],
            [report_tables.lockstep(results), report_tables.epochs(results)],
            ["drift-mnist", "drift-series"],
        ),
        Section(
            "Accuracy, the same start",
            "%s Each seed gives all backends the same weights and batches, and the differences are tested seed by "
            "seed. The accuracy compared is the mean over the last quarter of the epochs, at least one. Equivalent "
            "means that two one-sided tests at the level of 0.05 exclude a difference of %s percentage points or "
            "more; over several pairs and programs p is corrected by Holm's method. %s Power is the chance of "
            "showing equivalence with so many seeds were there no difference."
            % (profile["why"], points(profile["margin"]), profile["margin_why"]),
            [report_tables.accuracy(results, "paired"), report_tables.equivalence(results, "paired")],
        ),
        Section(
            "Accuracy, own start",
            "Each backend draws its own initial values and batch order, once per seed: what a user of each would see. "
            "The samples are independent (Welch's tests), so that it takes more seeds; seeds needed are those that "
            "show equivalence nine times in ten, were difference and deviation as seen.",
            [report_tables.accuracy(results, "accuracy"), report_tables.equivalence(results, "accuracy")],
            ["learning-curves", "equivalence", "early-curves"],
        ),
        Section(
            "Initial values",
            "What each backend draws, beside TensorFlow 1's rule (Kolmogorov-Smirnov, over the draws together).",
            [report_tables.initial(results)],
        ),
        Section(
            "Series",
            "f(x) = x sin(x) / 3 + 2 sin(5x), from each backend's own initial values, in both forms of the projection.",
            [report_tables.series(results)],
            ["series-curves", "prediction"],
        ),
        Section(
            "Cost",
            "The backends take turns, each in a process of its own, timed inside it; ratios are taken round by round, "
            "with the bootstrap interval of their median. A training step is timed as the difference between a long "
            "call and a short one, so that setting up is not counted, and a prediction as that between a call over all "
            "steps and one over the first, so that handing over the weights is not. "
            "It says nothing of other machines and sizes.",
            [report_tables.cost(results), report_tables.ratios(results)],
            ["cost"],
        ),
        Section("Backends, machine and pieces", "", [report_tables.backends(results), report_tables.machine(results)]),
    ]


def check(results: Mapping[str, Any]) -> None:
    """Look at all that tables are made of. Raises whatever comes of results that do not hold together."""
    sections(results)
    report_tables.verdict(results)
    side_by_side.sections({"": results})


def write(results: Mapping[str, Any], folder: Path) -> None:
    """report.html, report.md and figures/*.svg. Raises DataError when the folder cannot be written to."""
    drawn = figures.all_of(results)
    shown = [
        section._replace(
            tables=[table for table in section.tables if table.rows],
            figures=[name for name in section.figures if name in drawn],
        )
        for section in sections(results)
    ]
    given = {
        "title": "Comparison of %s" % joined(list(verdict.named(results["backends"]).values())),
        "verdicts": report_tables.verdict(results),
        "undecided": verdict.undecided(results),
        "findings": [],
        "problems": results["problems"],
        "sections": [section for section in shown if section.tables or section.figures],
        "figures": drawn,
        "captions": {name: text(results) for name, (text, _) in figures.FIGURES.items()},
        "footer": _footer(results),
    }
    store_figures(drawn, folder)
    _render("report", given, folder)


def write_side_by_side(read: Mapping[str, Mapping[str, Any]], folder: Path) -> None:
    """side-by-side.html and side-by-side.md: several results files, by where they came from."""
    given = {
        "title": "%d studies side by side" % len(read),
        "verdicts": [],
        "undecided": [],
        "findings": side_by_side.sentences(read),
        "problems": [],
        "sections": [Section(*each) for each in side_by_side.sections(read)],
        "figures": {},
        "captions": {},
        "footer": "",
    }
    _render("side-by-side", given, folder)


def _footer(results: Mapping[str, Any]) -> str:
    pieces = results["cells"]
    failed = sum(piece["status"] == "failed" for piece in pieces)
    return "%d pieces, %s failed; profile %s; %.0f seconds for the last run." % (
        len(pieces),
        failed or "none",
        results["profile"]["name"],
        results["seconds"],
    )


def store_figures(drawn: Mapping[str, str], folder: Path) -> None:
    """Each as figures/NAME.svg, for the Markdown."""
    make(folder / "figures")
    for name, svg in drawn.items():
        write_atomically(folder / "figures" / (name + ".svg"), svg.encode("utf-8"))


def make(folder: Path) -> None:
    """Raises DataError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError("%s cannot be made (%s); name another folder" % (folder, error.strerror or error)) from None


def _render(name: str, given: Mapping[str, Any], folder: Path) -> None:
    """NAME.html and NAME.md."""
    make(folder)
    for kind in ("html", "md"):
        text = rendered(__package__, "study." + kind, **given)
        write_atomically(folder / ("%s.%s" % (name, kind)), text.encode("utf-8"))
