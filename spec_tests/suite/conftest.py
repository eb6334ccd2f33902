"""The fixtures of every spec test: `backend`, one of those under test, and `compare`, which judges and records."""

from __future__ import annotations

from typing import Any, Callable

import pytest

from spec_tests import tolerances
from spec_tests.results import record_of


def pytest_configure(config: pytest.Config) -> None:
    _plugin(config)


def _plugin(config: pytest.Config) -> Any:
    """The suite's plugin, which is loaded by now, or loaded here, where pytest came by a roundabout way."""
    entry = config.pluginmanager.get_plugin("unrolled") or config.pluginmanager.get_plugin("unrolled.pytest_plugin")
    if entry is None:
        raise pytest.UsageError(
            "the suite's pytest plugin is not loaded: install the project (pip install -e '.[test]'), "
            "or run: python -m pytest -p unrolled.pytest_plugin"
        )
    return entry.load_suite(config)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test that takes `backend` runs once for each, under the same name."""
    if "backend" in metafunc.fixturenames:
        chosen = _plugin(metafunc.config).selection(metafunc.config).backends
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
