"""`python -m spec_tests`: the comparison of backends on the shared spec."""

from __future__ import annotations

import json
import platform
import sys
import time
from pathlib import Path
from typing import Any, Sequence

from spec_tests.distribution import of_another_project

if of_another_project():
    sys.stderr.write("Error: %s.\n" % of_another_project())
    sys.exit(2)

import click
from tabulate import tabulate
from tqdm import tqdm

from spec_tests.conform import conform

SCHEMA = "unrolled.compare/1"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Hold backends to one spec, and compare them."""


main.add_command(conform)


@main.command()
@click.option(
    "--backend",
    "names",
    multiple=True,
    metavar="NAME",
    help="Backend to compare, repeatable: torch_impl, tf_reference, oracle, or package.module:factory.  "
    "[default: torch_impl and tf_reference]",
)
@click.option("--epochs", type=click.IntRange(min=0), default=2, show_default=True, help="Epochs of MNIST; 0: none.")
@click.option(
    "--iterations",
    type=click.IntRange(min=0),
    default=1000,
    show_default=True,
    help="Iterations of the series in each projection form; 0: none.",
)
@click.option("--device", default="cpu", show_default=True, help="Device given to each backend.")
@click.option("--json", "path", type=click.Path(dir_okay=False, path_type=Path), help="Also write the table as JSON.")
def compare(names: tuple[str, ...], epochs: int, iterations: int, device: str, path: Path | None) -> None:
    """Train backends from the same weights on the same batches, and print one table of how far they differ.

    Ends with status 1 when an error is above its limit.
    """
    from data.errors import DataError
    from spec_tests import backends
    from spec_tests import compare as comparison
    from spec_tests.process import WorkerError

    if path is not None and not path.parent.is_dir():
        raise click.BadParameter("there is no folder %s; make it first." % path.parent, param_hint="'--json'")
    started = time.perf_counter()
    try:
        selection = backends.select(names, device)
        chosen = selection.backends
        for name, reason in selection.left_out.items():
            click.echo("left out %s: %s" % (name, reason))
        facts = {backend.name: backend.describe() for backend in chosen}
        for name, described in facts.items():
            click.echo("%s: %s" % (name, ", ".join("%s %s" % fact for fact in described.items())))
        bar = _Bar()
        rows = comparison.compare(chosen, epochs, iterations, bar)
        bar.close()
    except (backends.BackendError, DataError, WorkerError) as error:
        raise click.ClickException(str(error)) from error
    seconds = time.perf_counter() - started
    click.echo(_table(rows, list(facts)))
    click.echo("%.0f seconds in all; Python %s, %s" % (seconds, platform.python_version(), platform.platform()))
    if path is not None:
        _write(path, rows, facts, seconds)
    above = [row for row in rows if not row.within]
    if above:
        raise click.ClickException("above the limit: %s" % "; ".join(row.name for row in above))
    click.echo("Every error that has a limit is within it.")


class _Bar:
    """A tqdm bar that starts anew when what is running changes; nothing where standard error is not a terminal."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._name = ""

    def __call__(self, name: str, done: int, total: int) -> None:
        if name != self._name:
            self.close()
            self._name, self._bar = name, tqdm(total=total, desc=name, unit="step", leave=False, disable=None)
        self._bar.update(done)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def _number(value: Any, error: bool) -> str:
    if value is None:
        return ""
    return ("%.1e" if error else "%.5g") % value


def _table(rows: Sequence[Any], names: list[str]) -> str:
    """The rows as one table, a heading line for each section."""
    lines: list[list[str]] = []
    section = ""
    for row in rows:
        if row.section != section:
            section = row.section
            lines.append([section.upper() if not lines else "\n" + section.upper()])
        error = row.limit is not None
        limit = ("%.0e%s" % (row.limit, "" if row.within else "  ABOVE")) if error else ""
        values = [_number(value, error) for value in row.values]
        lines.append(["  " + row.name, *values, _number(row.difference, True), limit])
    return tabulate(lines, headers=["", *names, "difference", "limit"], disable_numparse=True, preserve_whitespace=True)


def _write(path: Path, rows: Sequence[Any], facts: dict[str, dict[str, str]], seconds: float) -> None:
    results = {
        "schema": SCHEMA,
        "backends": facts,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "seconds": seconds,
        "rows": [dict(row._asdict(), within=row.within) for row in rows],
    }
    from data.doors.runs import write_atomically

    write_atomically(path, (json.dumps(results, indent=1) + "\n").encode("utf-8"))


if __name__ == "__main__":
    main(prog_name="python -m spec_tests")
