"""The entry by which pytest finds the suite's options: all that is loaded of Unrolled in a project that does not ask.

pytest loads it in every project beside which Unrolled is installed, whatever that project's version of pytest. The
suite's own plugin, `spec_tests.plugin`, is imported only where the suite is run or a backend is named. In a checkout
that is not installed: `python -m pytest -p unrolled.pytest_plugin`.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any, Generator

import pytest

ROOT = Path(__file__).resolve().parents[1]  # the folder of the packages: site-packages, or a checkout
SUITE = ROOT / "spec_tests" / "suite"
NOT_OURS = pytest.StashKey["list[str]"]()  # the short options that were given and are the project's own


SHORT = {"--backend": "--unrolled-backend", "--device": "--unrolled-device"}  # and the names that are always ours


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


@pytest.hookimpl(hookwrapper=True)  # the newer wrapper=True is unknown to pytest 7
def pytest_load_initial_conftests(
    early_config: pytest.Config, parser: pytest.Parser, args: list[str]
) -> Generator[None, None, None]:
    """Take the short names, --backend and --device, once the project's conftest.py has taken what it wants."""
    yield
    if all(_is_free(parser, name) for name in SHORT):
        _add_options(parser, *SHORT)
        return
    given = {word.partition("=")[0] for word in args if isinstance(word, str)}  # with what settings add
    early_config.stash[NOT_OURS] = [name for name, own in SHORT.items() if name in given and own not in given]


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


def _refuse_not_ours(config: pytest.Config) -> None:
    """What the suite was asked for by an option that is the project's own must not be passed over."""
    for name in config.stash.get(NOT_OURS, []):
        raise pytest.UsageError(
            "%s was given, but it is an option of this project (%s), so that the suite does not see it: say %s for the "
            "suite, beside it or in its place" % (name, config.rootpath, SHORT[name])
        )


def load_suite(config: pytest.Config) -> Any:
    """Register the suite's plugin, once; it reads the options above. Raises UsageError where it cannot be had, or where
    an option was meant for it that is the project's."""
    _take_name()
    from spec_tests import plugin

    _refuse_not_ours(config)
    if not config.pluginmanager.is_registered(plugin):
        config.pluginmanager.register(plugin, plugin.__name__)
    return plugin


def _take_name() -> None:
    """See that `spec_tests` means the one beside this package, whatever folder of that name the project has."""
    ours = SUITE.parent
    if ours.name not in sys.modules:
        sys.path.insert(0, str(ROOT))
        try:
            importlib.import_module(ours.name)
        finally:
            sys.path.remove(str(ROOT))
    known = sys.modules[ours.name]
    if ours not in [Path(place).resolve() for place in getattr(known, "__path__", [])]:
        raise pytest.UsageError(
            "the suite is in %s, but spec_tests has been imported from %s, and one process holds one package of a "
            "name: run the suite from another folder, with pytest --unrolled-suite" % (ours, _origin(known))
        )


def _origin(package: Any) -> str:
    return getattr(package, "__file__", None) or ", ".join(getattr(package, "__path__", ["nowhere"]))


def _runs_suite(config: pytest.Config) -> bool:
    """Whether this run was asked for the suite: its folder, something in it, or the project that holds it."""
    places = [_place(config, argument.split("::")[0]) for argument in config.args]
    return any(place in (SUITE, SUITE.parent, ROOT) or SUITE in place.parents for place in places)


def _place(config: pytest.Config, name: str) -> Path:
    """Where pytest looks for an argument: with --pyargs a package comes before a path. Nothing is imported."""
    package, *inside = name.split(".")
    if config.option.pyargs and package == SUITE.parent.name:
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.submodule_search_locations:
            return Path(next(iter(spec.submodule_search_locations)), *inside).resolve()
    return Path(config.invocation_params.dir, name).resolve()
