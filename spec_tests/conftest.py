"""The fixtures of every spec test: `backend`, one of those under test, and `compare`, which judges and records."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import pytest

from spec_tests import plugin, tolerances
from spec_tests.results import record_of


def pytest_configure(config: pytest.Config) -> None:
    _need_plugin(config)


def _need_plugin(config: pytest.Config) -> None:
    if not config.pluginmanager.hasplugin("spec_tests.plugin"):
        raise pytest.UsageError(
            "the suite's pytest plugin is not loaded: install the project (pip install -e '.[test]'), "
            "or run: python -m pytest -p spec_tests.plugin"
        )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The suite's own tests belong to its project: elsewhere, `--pyargs spec_tests` is the suite alone."""
    own = plugin.HERE / "tests"
    return True if collection_path == own and config.rootpath != plugin.HERE.parent else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test that takes `backend` runs once for each, under the same name."""
    if "backend" in metafunc.fixturenames:
        _need_plugin(metafunc.config)
        chosen = plugin.selection(metafunc.config).backends
        metafunc.parametrize("backend", chosen, ids=[backend.name for backend in chosen], scope="session")


@pytest.fixture
def compare(request: pytest.FixtureRequest) -> Callable[..., None]:
    """compare(quantity, found, expected, dtype, tensor=None): `tolerances.compare`, recorded for the run's table."""
    record = record_of(request.node.user_properties)

    def keep(difference: tolerances.Difference) -> None:
        if record is not None:
            kept = {name: getattr(difference, name) for name in ("quantity", "dtype", "tensor", "relative", "limit")}
            record["differences"].append(kept)

    def compare_and_record(quantity: str, found: Any, expected: Any, dtype: str, tensor: str = "") -> None:
        tolerances.compare(quantity, found, expected, dtype, tensor or None, keep)

    return compare_and_record
