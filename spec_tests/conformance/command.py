"""`python -m spec_tests conform`: hold backends to the whole suite, and print and write what they showed."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import click

from spec_tests.backends.process import without_posix
from spec_tests.conformance.progress import Progress
from unrolled.showing import shown_lines

FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option(
    "--backend",
    "names",
    multiple=True,
    metavar="NAME",
    help="Backend to hold to the spec, repeatable: torch_impl, tf_reference, oracle, one that an installed package "
    "registers, or package.module:factory, each with @PYTHON after it where another interpreter has it.  "
    "[default: the environment variable UNROLLED_BACKENDS, or torch_impl and tf_reference]",
)
@click.option("--device", default="cpu", show_default=True, help="Device given to each backend.")
@click.option("--quick", is_flag=True, help="Leave out the training on MNIST, most of the time it takes.")
@click.option("-k", "expression", default="", metavar="EXPRESSION", help="Only the tests that match it, as in pytest.")
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Keep there what each backend shows, and take from there what is still so: of the same sources, of the suite "
    "and of all that the backend imports, and the same packages in its Python. A row that is made anew costs that row.",
)
@click.option("--json", "json_path", type=FILE, help="Also write all of it as JSON.")
@click.option("--markdown", "markdown_path", type=FILE, help="Also write the matrix as Markdown.")
@click.option("--html", "html_path", type=FILE, help="Also write it as one HTML page (needs the extra `report`).")
def conform(
    names: tuple[str, ...],
    device: str,
    quick: bool,
    expression: str,
    keep: Path | None,
    json_path: Path | None,
    markdown_path: Path | None,
    html_path: Path | None,
) -> None:
    """Run the suite over backends, each in a process of its own and, as NAME@PYTHON, in a Python of its own. Print
    behaviours by backends: what passed, failed, is not offered or is known to fail, and the error nearest to its limit.

    \b
    Another Python needs NumPy and the backend's framework, no more:
      python3.12 -m venv flax && flax/bin/pip install numpy flax
      python -m spec_tests conform --backend torch_impl --backend flax@flax/bin/python --keep kept --html matrix.html
    The page says, of each backend in it, how its environment was made.

    Ends with status 1 when something failed, or when nothing was tested of a backend.
    """
    lacking = without_posix("conform, whose backends run in processes of their own,")
    if lacking:
        raise click.ClickException(lacking)
    _check_files({"--json": json_path, "--markdown": markdown_path, "--html": html_path})
    if keep is not None:
        _make(keep)
    results = _results(names, device, quick, expression, keep)
    from spec_tests.conformance import report
    from spec_tests.conformance.matrix import untested

    click.echo(shown_lines(report.text(results)))
    click.echo("\n%s\n%s" % (report.about(results), report.conclusion(results)))
    if json_path is not None:
        _write(json_path, json.dumps(results, indent=1, allow_nan=False) + "\n")
    if markdown_path is not None:
        _write(markdown_path, report.markdown(results))
    if html_path is not None:
        _write(html_path, report.html(results, html_path))
    if untested(results):
        raise click.ClickException("nothing was tested of %s" % ", ".join(untested(results)))
    if results["failures"] or any(backend["lost"] for backend in results["backends"].values()):
        raise click.exceptions.Exit(1)


def _check_files(paths: dict[str, Path | None]) -> None:
    """Find out before the tests run, not after."""
    for option, path in paths.items():
        if path is not None and not path.parent.is_dir():
            raise click.BadParameter("there is no folder %s; make it first." % path.parent, param_hint="'%s'" % option)
    if paths["--html"] is not None and importlib.util.find_spec("jinja2") is None:
        raise click.UsageError("--html needs Jinja2, which is not installed; pip install 'unrolled[report]'")
    for module in ("pytest", "hypothesis"):
        if importlib.util.find_spec(module) is None:
            raise click.ClickException(
                "the suite needs %s, which is not installed; pip install 'unrolled[test]'" % module
            )


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        said = "%s cannot be made (%s); name another folder." % (folder, error.strerror or error)
        raise click.BadParameter(said, param_hint="'--keep'") from error


def _results(names: tuple[str, ...], device: str, quick: bool, expression: str, keep: Path | None) -> dict[str, Any]:
    from spec_tests.backends.loading import BackendError
    from spec_tests.conformance import matrix

    with Progress() as progress:
        try:
            results = matrix.run(names, device, quick, expression, progress.opened, progress.step, keep)
        except (BackendError, matrix.SuiteError) as error:
            raise click.ClickException(" ".join(str(error).split())) from error
    for name, reason in results["not_loaded"].items():
        click.echo("left out %s: %s" % (name, reason))
    return results


def _write(path: Path, content: str) -> None:
    from unrolled.writing import write_atomically

    write_atomically(path, content.encode("utf-8"))
    click.echo("wrote %s" % path)
