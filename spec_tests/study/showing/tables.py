"""The tables of a report as files of their own: CSV for a spreadsheet, LaTeX for a paper."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any, Mapping

from tabulate import tabulate

from spec_tests.study.showing import report
from spec_tests.study.showing.report_tables import Table, verdict
from unrolled.writing import write_atomically

KINDS = ("csv", "latex")


def write(results: Mapping[str, Any], folder: Path, kind: str) -> list[Path]:
    """tables/NAME.csv or NAME.tex for every table that has rows; kind: one of KINDS. Returns their paths. Raises
    DataError when the folder cannot be written to."""
    report.make(folder / "tables")
    found = []
    for name, table in named(results).items():
        path = folder / "tables" / (name + (".tex" if kind == "latex" else ".csv"))
        text = _latex(table) if kind == "latex" else _csv(table)
        write_atomically(path, text.encode("utf-8"))
        found.append(path)
    return found


def named(results: Mapping[str, Any]) -> dict[str, Table]:
    """The tables by a name for a file: number, section and place in it."""
    several = [("verdict", verdict(results))]
    several += [(section.title, list(section.tables)) for section in report.sections(results)]
    found = {}
    for number, (title, tables) in enumerate(several, 1):
        for place, table in enumerate((table for table in tables if table.rows), 1):
            found["%d-%s-%d" % (number, re.sub(r"\W+", "-", title.lower()), place)] = table
    return found


def _csv(table: Table) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(table.headers)
    writer.writerows(table.rows)
    return stream.getvalue()


def _latex(table: Table) -> str:
    """For `booktabs`; what LaTeX reads as a command is escaped, and the caption is a comment."""
    shown = tabulate(table.rows, headers=table.headers, tablefmt="latex_booktabs", disable_numparse=True)
    return "%% %s\n%s\n" % (" ".join(table.caption.split()), shown)
