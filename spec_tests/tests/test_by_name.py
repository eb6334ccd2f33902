"""Backends by the environment, by an entry point, and from the folder that pytest is started in, in other projects."""

import sysconfig
from pathlib import Path

import pytest

from spec_tests.tests.processes import run

MINE = """
from spec_tests.oracle.backend import OracleBackend

class Mine(OracleBackend):
    name = "mine"
    capabilities = frozenset(["in_top_k", "float32"])

class Other(Mine):
    name = "other"
"""


def install(folder, *points):
    """What pip leaves behind for a package with these entry points."""
    for number, point in enumerate(points):
        facts = folder / ("package%d-1.0.dist-info" % number)
        facts.mkdir()
        (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: package%d\nVersion: 1.0\n" % number)
        (facts / "entry_points.txt").write_text("[unrolled.backends]\n%s\n" % point)


@pytest.fixture
def elsewhere(tmp_path):
    """Another project's folder, with a module `mine` of backends."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "mine.py").write_text(MINE)
    return folder


def test_the_command_pytest_finds_a_module_in_the_current_folder(elsewhere):
    """`pytest` alone leaves the current folder off the path, unlike `python -m pytest`."""
    program = Path(sysconfig.get_path("scripts"), "pytest")
    if not program.exists():
        pytest.skip("this Python has no command pytest")
    status, output = run(elsewhere, "--unrolled-suite", "-k", "tie", "--backend", "mine:Mine", command=[program])
    assert status == 0, output
    assert "spec: backend mine" in output and "mine: " in output


def test_the_suite_alone_runs_elsewhere(elsewhere):
    """Not the tests of the suite itself, which belong to its project."""
    status, output = run(elsewhere, "--unrolled-suite", "--collect-only", "-q", "--backend", "mine:Mine")
    assert status == 0, output
    assert "test_in_top_k.py::test_a_tie_is_a_hit[mine-0]" in output and "tests/test_" not in output


def test_the_environment_names_backends(elsewhere):
    named = {"UNROLLED_BACKENDS": "mine:Mine, mine:Other"}
    status, output = run(elsewhere, "--pyargs", "spec_tests.suite.test_in_top_k", **named)
    assert status == 0, output
    assert "spec: backend mine " in output and "spec: backend other " in output
    status, output = run(elsewhere, "--pyargs", "spec_tests.suite.test_in_top_k", "--backend", "mine:Mine", **named)
    assert status == 0 and "spec: backend mine " in output and "other" not in output, output


@pytest.mark.parametrize("names", ["mine:Nobody", ","])
def test_a_wrong_name_in_the_environment_is_a_usage_error_that_says_where_it_is(elsewhere, names):
    status, output = run(elsewhere, "--pyargs", "spec_tests.suite.test_in_top_k", UNROLLED_BACKENDS=names)
    assert status == pytest.ExitCode.USAGE_ERROR
    assert "UNROLLED_BACKENDS: " in output and "Traceback" not in output


def test_an_installed_package_registers_a_backend(elsewhere, tmp_path):
    install(tmp_path, "its-name = mine:Mine")
    arguments = ("--pyargs", "spec_tests.suite.test_in_top_k", "--backend", "its-name")
    status, output = run(elsewhere, *arguments, path=[tmp_path])
    assert status == 0 and "spec: backend mine " in output, output
    status, output = run(elsewhere, *arguments)
    assert status == pytest.ExitCode.USAGE_ERROR and "unknown backend 'its-name'" in output


def test_two_packages_that_register_one_name_are_an_error(elsewhere, tmp_path):
    install(tmp_path, "its-name = mine:Mine", "its-name = mine:Other")
    status, output = run(elsewhere, "--unrolled-suite", "--backend", "its-name", path=[tmp_path])
    assert status == pytest.ExitCode.USAGE_ERROR
    assert "registered twice, as mine:Mine and mine:Other" in output
