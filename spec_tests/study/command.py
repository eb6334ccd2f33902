"""The commands `compare` and `report` of `python -m spec_tests`."""

from __future__ import annotations

import contextlib
import importlib.util
import math
from pathlib import Path
from typing import Any, Iterator, Sequence

import click

from spec_tests.backends.loading import BackendError
from spec_tests.backends.process import WorkerError, without_posix
from spec_tests.study.profiles import PROFILES, Profile
from unrolled.command_line import options
from unrolled.errors import DataError
from unrolled.showing import shown, shown_lines

NEEDED = {"scipy": "scipy", "statsmodels": "statsmodels", "jinja2": "jinja2", "matplotlib": "matplotlib"}
MOST_JOBS = 4  # without being asked: each has a framework in memory, about a gigabyte
INTERRUPTED = "Interrupted; what is finished is kept, and the same command goes on from there."


@contextlib.contextmanager
def plain_failures() -> Iterator[None]:
    """Around a command: what the user can mend becomes one sentence and status 1, Ctrl-C one line and status 130."""
    with options.plain_failures(INTERRUPTED):
        try:
            yield
        except (BackendError, WorkerError) as error:
            raise DataError(str(error)) from error


def _check_extra(executor: str = "local") -> None:
    """End with one sentence when a package of the extra is missing, before anything is measured."""
    needed = dict(NEEDED, **({"ray": "ray"} if executor == "ray" else {}))
    missing = [package for module, package in needed.items() if importlib.util.find_spec(module) is None]
    if missing:
        extra = "ray" if missing == ["ray"] else "study"
        raise click.ClickException(
            "%s not installed; the study needs it: pip install 'unrolled[%s]'" % (" and ".join(missing), extra)
        )


def _jobs(device: str, executor: str) -> int:
    """By default: networks as small as these gain more from a process for each CPU than from threads. Several on one
    accelerator would share its memory, and be timed by each other."""
    from spec_tests.study.workers import shares

    if device != "cpu" or executor != "local":
        return 1
    return min(MOST_JOBS, len(shares(1)[0]))


def _finite(context: click.Context, parameter: click.Parameter, value: float) -> float:
    if not math.isfinite(value):  # a FloatRange lets NaN through
        raise click.BadParameter("%s is not a finite number." % value)
    return value


@click.command()
@click.option(
    "--backend",
    "names",
    multiple=True,
    metavar="NAME",
    help="Backend to compare, repeatable: torch_impl, tf_reference, oracle, one that an installed package registers, "
    "or package.module:factory, each with @PYTHON after it where another interpreter has it.  "
    "[default: the environment variable UNROLLED_BACKENDS, or torch_impl and tf_reference]",
)
@click.option("--quick", is_flag=True, help="2 minutes on 2 cores.  [default]")
@click.option("--standard", is_flag=True, help="Every kind on every data set, 10 own starts of 10 epochs: 20 minutes.")
@click.option("--full", is_flag=True, help="10 seeds of 100 epochs, 10,000 iterations: many hours.")
@click.option("--epochs", type=click.IntRange(min=0), help="Epochs of MNIST, for another number; 0: none.")
@click.option("--iterations", type=click.IntRange(min=0), help="Iterations of the series likewise; 0: none.")
@click.option("--seeds", type=click.IntRange(min=0), help="Seeds of each backend likewise; 0: none.")
@click.option("--rounds", type=click.IntRange(min=0), help="Rounds of timing likewise; 0: no cost.")
@click.option(
    "--margin",
    type=click.FloatRange(min=0, min_open=True, max=100),
    default=0.5,
    show_default=True,
    callback=_finite,
    help="Accuracies are equivalent within this many percentage points.",
)
@click.option("--device", default="cpu", show_default=True, help="Device given to each backend.")
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    help="Pieces at a time; CPUs divided.  [default: as many as CPUs, at most %d; 1 on a GPU or with Ray]" % MOST_JOBS,
)
@click.option(
    "--executor",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Where pieces run: here, or on the Ray cluster of RAY_ADDRESS.",
)
@click.option(
    "--limit",
    type=click.FloatRange(min=1),
    default=7200.0,
    show_default=True,
    callback=_finite,
    help="Seconds for a piece.",
)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("comparison"),
    show_default=True,
    help="Folder for the report, the numbers, and the pieces as they finish; a study that was interrupted goes on.",
)
@click.option("--fresh", is_flag=True, help="Run every piece of this study anew, also those that the folder has.")
@click.option("--json", "path", type=click.Path(dir_okay=False, path_type=Path), help="A copy of the numbers.")
def compare(
    names: tuple[str, ...],
    quick: bool,
    standard: bool,
    full: bool,
    epochs: int | None,
    iterations: int | None,
    seeds: int | None,
    rounds: int | None,
    margin: float,
    device: str,
    jobs: int | None,
    executor: str,
    limit: float,
    output: Path,
    fresh: bool,
    path: Path | None,
) -> None:
    """Compare backends: what is equal, to how many digits, what differs and why, and what it costs.

    Prints a verdict for every two backends and a table of the numbers, and writes a report. Each backend runs in
    processes of its own. A backend that is named twice is a control.
    Ends with status 1 when an error is above its limit, two backends drift apart by more than rounding, initial values
    are not TF1's, or a piece failed.
    """
    if path is not None and not path.parent.is_dir():
        raise click.BadParameter("there is no folder %s; make it first." % path.parent, param_hint="'--json'")
    lacking = without_posix("a study, whose backends run in processes of their own,")
    if lacking:
        raise click.ClickException(lacking)
    _check_extra(executor)
    chosen = [name for name, given in (("quick", quick), ("standard", standard), ("full", full)) if given]
    if len(chosen) > 1:
        raise click.UsageError("--%s: name one profile." % " and --".join(chosen))
    size = PROFILES[(chosen or ["quick"])[0]].resized(epochs, iterations, seeds, rounds)
    with plain_failures():
        results = _study(
            names, device, size, jobs or _jobs(device, executor), margin / 100, limit, executor, output, fresh
        )
        if path is not None:
            from spec_tests.study import results as files

            files.write(path, results)
    _tell(results, output)


def _study(
    names: Sequence[str],
    device: str,
    size: Profile,
    jobs: int,
    margin: float,
    limit_s: float,
    executor: str,
    output: Path,
    fresh: bool,
) -> dict[str, Any]:
    from spec_tests.study import results as files
    from spec_tests.study.display import Progress
    from spec_tests.study.executors import LocalExecutor, RayExecutor
    from spec_tests.study.showing import report as pages
    from spec_tests.study.store import Store
    from spec_tests.study.workers import shares

    study = files.Study(names, device, size, jobs, margin, limit_s)
    store, display = Store(output), Progress()
    with store.locked():
        plan = files.plan(study)
        files.check_folder(study, plan, output)
        if fresh:
            store.clear(plan.files.values())
        for name, reason in plan.left_out.items():
            click.echo("left out %s: %s" % (name, reason))
        for host in plan.backends:
            click.echo("%s: %s" % (host.label, ", ".join("%s %s" % fact for fact in host.described.items())))
        threads = len(shares(jobs)[0])
        runner = RayExecutor(threads, limit_s) if executor == "ray" else LocalExecutor(jobs, limit_s)
        try:
            results = files.run(study, plan, store, runner, display)
        finally:
            display.close()
        pages.write(files.numbers(results), output)
    return results


def _tell(results: dict[str, Any], output: Path) -> None:
    from spec_tests.study import results as files
    from spec_tests.study import verdict
    from spec_tests.study.showing import terminal_table

    numbers = files.numbers(results)
    click.echo(shown_lines(terminal_table.verdict(numbers)))
    click.echo("\n" + shown_lines(terminal_table.text(numbers)))
    click.echo("\n%.0f seconds in all. Report: %s, and %s" % (results["seconds"], *_names(output)))
    open_lines = verdict.undecided(results)
    if open_lines:
        click.echo("Undecided: %s." % shown("; ".join(open_lines)))
    if results["problems"]:
        click.echo("\n  ".join(["Error: this is not as it should be:", *map(shown, results["problems"])]), err=True)
        raise click.exceptions.Exit(1)
    if not open_lines:
        click.echo("Every question that was asked is decided, and every error that has a limit is within it.")


def _names(output: Path) -> tuple[Path, Path]:
    return output / "report.html", output / "report.md"


@contextlib.contextmanager
def _holding_together(place: str) -> Iterator[None]:
    """Around the use of a results file: one that was altered is a DataError, whatever it leads to."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        problem = (place, type(error).__name__, error)
        raise DataError("%s does not hold together (%s: %s); run its study again" % problem) from error


@click.command()
@click.argument("places", metavar="RESULTS...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the report.  [default: that of the first RESULTS]",
)
@click.option("--csv", "kinds", flag_value="csv", multiple=True, help="Every table as a file too: tables/*.csv.")
@click.option("--latex", "kinds", flag_value="latex", multiple=True, help="Likewise, for a paper: tables/*.tex.")
def report(places: tuple[Path, ...], output: Path | None, kinds: tuple[str, ...]) -> None:
    """Make a report anew from a results file, or set several side by side: two machines, two versions.

    RESULTS is a results.json, or the folder that holds one.
    """
    _check_extra()
    from spec_tests.study import results as files
    from spec_tests.study.showing import report as pages
    from spec_tests.study.showing import tables

    if kinds and len(places) > 1:
        raise click.UsageError("--csv and --latex are of one study; name one RESULTS.")
    first = places[0] if places[0].is_dir() else places[0].parent
    folder = output or first
    with plain_failures():
        read = {str(place): files.read(place) for place in places}
        if len(read) != len(places):
            raise click.BadParameter("the same one is named twice.", param_hint="RESULTS")
        for place, results in read.items():
            with _holding_together(place):
                pages.check(results)
        if len(read) == 1:
            with _holding_together(next(iter(read))):
                pages.write(next(iter(read.values())), folder)
                for kind in kinds:
                    tables.write(next(iter(read.values())), folder, kind)
            written = _names(folder)
        else:
            with _holding_together(" and ".join(read)):
                pages.write_side_by_side(read, folder)
            written = (folder / "side-by-side.html", folder / "side-by-side.md")
    click.echo("Report: %s, and %s" % tuple(map(shown, written)))
