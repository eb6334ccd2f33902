"""The pytest plugin of the suite: its options, the header of a run, and the tables at its end.

It is an entry point, so pytest loads it in every project beside which `unrolled` is installed: importing it imports
nothing but the standard library and pytest, and it stays silent unless the suite itself is run or --backend is given.
In a checkout that is not installed: `python -m pytest -p spec_tests.plugin`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Generator

import pytest

from spec_tests.distribution import of_another_project, version
from spec_tests.results import PROPERTY, Results, new_record

HERE = Path(__file__).resolve().parent
SELECTION = pytest.StashKey[Any]()
RESULTS = pytest.StashKey[Results]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Names of our own: every project beside which Unrolled is installed has them, whatever its conftest.py defines."""
    _add_options(parser, "--unrolled-backend", "--unrolled-device", "; also as --%s, unless the project has its own")


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
    config.addinivalue_line(
        "markers", "needs(*capabilities): skipped, by name, for a backend that does not declare all of them"
    )
    config.stash[RESULTS] = Results()
    config.pluginmanager.register(config.stash[RESULTS], "spec_tests.results")
    if config.option.unrolled_backend is not None:
        selection(config)


def selection(config: pytest.Config) -> Any:
    """The backends of this run, loaded at the first call. A wrong --backend or --device is a usage error."""
    if SELECTION not in config.stash:
        in_the_way = of_another_project()
        if in_the_way:
            raise pytest.UsageError(in_the_way)
        from spec_tests import backends

        try:
            given = config.option.unrolled_backend or []
            config.stash[SELECTION] = backends.selection(given, config.option.unrolled_device)
        except backends.BackendError as error:
            raise pytest.UsageError(str(error)) from error
    return config.stash[SELECTION]


def _runs_suite(config: pytest.Config) -> bool:
    """Whether this run was asked for the suite: its folder, something in it, or the project that holds it."""
    for argument in config.args:
        name = argument.split("::")[0]
        path = Path(config.invocation_params.dir, name).resolve()
        if path in (HERE, HERE.parent) or HERE in path.parents or name.split(".")[0] == HERE.name:
            return True
    return False


def pytest_report_header(config: pytest.Config) -> list[str]:
    if config.option.unrolled_backend is None and not _runs_suite(config):
        return []
    chosen = selection(config)
    lines = ["spec: unrolled %s, device %s" % (version(), config.option.unrolled_device)]
    for backend in chosen.backends:
        lines += ["spec: " + line for line in description(backend)]
    return lines + ["spec: left out %s: %s" % pair for pair in chosen.left_out.items()]


def description(backend: Any) -> list[str]:
    """What a run says of a backend: its versions, Python and device; what it offers, lacks, and is known to fail."""
    from spec_tests.contract import CAPABILITIES

    offered = [name for name in CAPABILITIES if name in backend.capabilities]
    lacking = [name for name in CAPABILITIES if name not in backend.capabilities]
    lines = ["backend %s (%s)" % (backend.name, ", ".join("%s %s" % fact for fact in backend.describe().items()))]
    lines.append("  offers %s" % ", ".join(offered))
    lines += ["  does not offer %s" % ", ".join(lacking)] if lacking else []
    return lines + ["  known to fail %s: %s" % known for known in backend.expected_failures.items()]


def backend_of(item: pytest.Item) -> Any:
    """The backend that a collected test runs on; None for a test that takes none."""
    return item.callspec.params.get("backend") if hasattr(item, "callspec") else None


def _spec_items(items: list[pytest.Item]) -> list[pytest.Item]:
    return [item for item in items if item.path.parent == HERE and backend_of(item) is not None]


@pytest.hookimpl(tryfirst=True)  # before -k and -m deselect
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what a backend does not declare; expect the failures that it declares."""
    spec_items = _spec_items(items)
    for item in spec_items:
        backend = backend_of(item)
        item.user_properties.append((PROPERTY, new_record(backend.name, item.path.stem[len("test_") :])))
        needed = {name for mark in item.iter_markers("needs") for name in mark.args}
        lacking = sorted(needed - set(backend.capabilities))
        if lacking:
            item.add_marker(pytest.mark.skip(reason="%s does not offer %s" % (backend.name, ", ".join(lacking))))
        reason = backend.expected_failures.get(getattr(item, "originalname", item.name))
        if reason is not None:
            # Wrong in the way the suite looks for: a worker that dies or a crash is not the failure that was declared.
            wrong = (AssertionError, pytest.fail.Exception)
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True, raises=wrong))
    files = set(HERE.glob("test_*.py"))
    if files == {item.path for item in spec_items} and not any("::" in argument for argument in config.args):
        config.stash[RESULTS].whole_suite = True
        _check_names(config, {getattr(item, "originalname", item.name) for item in spec_items})


def _check_names(config: pytest.Config, names: set[str]) -> None:
    for backend in selection(config).backends:
        unknown = sorted(set(backend.expected_failures) - names)
        if unknown:
            raise pytest.UsageError(
                "backend %s declares expected failures of tests that do not exist: %s; "
                "a name in expected_failures is a test function's name" % (backend.name, ", ".join(unknown))
            )
