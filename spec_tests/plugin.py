"""The pytest plugin of the suite: the header of a run, what is skipped or expected to fail, and the tables at its end.

`unrolled.pytest_plugin` loads it, and has its options.
"""

from __future__ import annotations

from typing import Any

import pytest

from spec_tests.distribution import version
from spec_tests.results import PROPERTY, Results, new_record
from unrolled.pytest_plugin import SUITE

SELECTION = pytest.StashKey[Any]()
RESULTS = pytest.StashKey[Results]()


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
        from spec_tests.backends import loading

        try:
            given = config.option.unrolled_backend or []
            config.stash[SELECTION] = loading.selection(given, config.option.unrolled_device)
        except loading.BackendError as error:
            raise pytest.UsageError(str(error)) from error
    return config.stash[SELECTION]


def pytest_report_header(config: pytest.Config) -> list[str]:
    chosen = selection(config)
    lines = ["spec: unrolled %s, device %s" % (version(), config.option.unrolled_device)]
    for backend in chosen.backends:
        lines += ["spec: " + line for line in description(backend)]
    return lines + ["spec: left out %s: %s" % pair for pair in chosen.left_out.items()]


def description(backend: Any) -> list[str]:
    """What a run says of a backend: its versions, Python and device; what it offers, lacks, and is known to fail."""
    from spec_tests.capabilities import grouped

    lines = ["backend %s (%s)" % (backend.name, ", ".join("%s %s" % fact for fact in backend.describe().items()))]
    lines += ["  %s: %s" % offered for offered in grouped(backend.capabilities).items()]
    return lines + ["  known to fail %s: %s" % known for known in backend.expected_failures.items()]


def backend_of(item: pytest.Item) -> Any:
    """The backend that a collected test runs on; None for a test that takes none."""
    return item.callspec.params.get("backend") if hasattr(item, "callspec") else None


def _spec_items(items: list[pytest.Item]) -> list[pytest.Item]:
    return [item for item in items if item.path.parent == SUITE and backend_of(item) is not None]


@pytest.hookimpl(tryfirst=True)  # before -k and -m deselect
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what a backend does not declare; expect the failures that it declares."""
    spec_items = _spec_items(items)
    for item in spec_items:
        backend = backend_of(item)
        needed = {name for mark in item.iter_markers("needs") for name in mark.args}
        item.user_properties.append((PROPERTY, new_record(backend.name, item.path.stem[len("test_") :], needed)))
        lacking = sorted(needed - set(backend.capabilities))
        if lacking:
            item.add_marker(pytest.mark.skip(reason="%s does not offer %s" % (backend.name, ", ".join(lacking))))
        reason = backend.expected_failures.get(getattr(item, "originalname", item.name))
        if reason is not None:
            # Wrong in the way the suite looks for: a worker that dies or a crash is not the failure that was declared.
            wrong = (AssertionError, pytest.fail.Exception)
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True, raises=wrong))
    files = set(SUITE.glob("test_*.py"))
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
