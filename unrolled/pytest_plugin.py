"""The entry by which pytest finds the suite's options: all that is loaded of Unrolled in a project that does not ask.

pytest loads it in every project beside which Unrolled is installed. The suite's own plugin, `spec_tests.plugin`, is
imported only where the suite is run or a backend is named. In a checkout that is not installed:
`python -m pytest -p unrolled.pytest_plugin`.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any, Generator

import pytest

ROOT = Path(__file__).resolve().parents[1]  # the folder of the packages: site-packages, or a checkout
SUITE = ROOT / "spec_tests" / "suite"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Names of our own: every project beside which Unrolled is installed has them, whatever its conftest.py defines."""
    _add_options(parser, "--unrolled-backend", "--unrolled-device", "; also as --%s, unless the project has its own")
    parser.getgroup("unrolled").addoption(
        "--unrolled-suite",
        action="store_true",
        help="run the shared suite, wherever it is installed, and nothing else",
    )


def _add_options(parser: pytest.Parser, backend: str, device: str, also: str = "") -> None:
    group = parser.getgroup("unrolled", "the shared spec of recurrent networks")
    group.addoption(
        backend,
        dest="unrolled_backend",
        action="append",
        default=None,
        metavar="NAME",
        help="backend to hold to the spec: torch_impl, tf_reference, oracle, one that an installed package registers, "
        "or package.module:factory, each with @PYTHON after it where another interpreter has it (repeatable; default: "
        "the environment variable UNROLLED_BACKENDS, names with commas between them, or else torch_impl and "
        "tf_reference, those whose framework is installed%s)" % (also % "backend" if also else ""),
    )
    group.addoption(
        device,
        dest="unrolled_device",
        default="cpu",
        metavar="DEVICE",
        help="device given to each backend: cpu, cuda, ... (default: cpu%s)" % (also % "device" if also else ""),
    )


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(parser: pytest.Parser) -> Generator[None, None, None]:
    """Take the short names, --backend and --device, once the project's conftest.py has taken what it wants."""
    yield
    if _is_free(parser, "--backend") and _is_free(parser, "--device"):
        _add_options(parser, "--backend", "--device")


def _is_free(parser: pytest.Parser, option: str) -> bool:
    try:
        return option in parser.parse_known_and_unknown_args([option])[1]
    except (pytest.UsageError, SystemExit):  # known, and in want of a value
        return False


def pytest_configure(config: pytest.Config) -> None:
    if config.option.unrolled_suite:
        config.args[:] = [str(SUITE)]
    if config.option.unrolled_backend is not None or _runs_suite(config):
        load_suite(config)


def load_suite(config: pytest.Config) -> Any:
    """Register the suite's plugin, once; it reads the options above. Raises UsageError where it cannot be had."""
    _take_name()
    from spec_tests import plugin

    if not config.pluginmanager.is_registered(plugin):
        config.pluginmanager.register(plugin, plugin.__name__)
    return plugin


def _take_name() -> None:
    """See that `spec_tests` means the one beside this package, whatever folder of that name the project has."""
    folder = SUITE.parent
    known = sys.modules.get(folder.name)
    if known is None:
        spec = importlib.util.spec_from_file_location(
            folder.name, str(folder / "__init__.py"), submodule_search_locations=[str(folder)]
        )
        if spec is None or spec.loader is None or not folder.is_dir():
            raise pytest.UsageError("the package spec_tests is not installed beside unrolled; install unrolled again")
        sys.modules[folder.name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    elif folder not in [Path(place).resolve() for place in getattr(known, "__path__", [])]:
        raise pytest.UsageError(
            "this project has imported a package spec_tests of its own (%s), and one process holds one of a name: run "
            "the suite from another folder, with pytest --unrolled-suite" % getattr(known, "__file__", "no file")
        )


def _runs_suite(config: pytest.Config) -> bool:
    """Whether this run was asked for the suite: its folder, something in it, or the project that holds it."""
    for argument in config.args:
        name = argument.split("::")[0]
        path = Path(config.invocation_params.dir, name).resolve()
        if config.option.pyargs and not path.exists():
            path = _place(name) or path
        if path in (SUITE, SUITE.parent, ROOT) or SUITE in path.parents:
            return True
    return False


def _place(name: str) -> Path | None:
    """Where an importable name of the suite's package lies, without importing it."""
    package, _, rest = name.partition(".")
    if package != SUITE.parent.name:
        return None
    spec = importlib.util.find_spec(package)
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0], *rest.split(".")).resolve() if places else None
