"""The pytest plugin as a user meets it: each test runs pytest in a process of its own."""

import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from spec_tests.causes import Failure, causes

ROOT = Path(__file__).resolve().parents[2]
SUITE = str(ROOT / "spec_tests" / "suite")
TOP_K, TWO_STEP = (str(Path(SUITE, name)) for name in ("test_in_top_k.py", "test_two_step.py"))
BACKENDS = """
import numpy as np
from spec_tests.oracle.backend import OracleBackend

class Partial(OracleBackend):
    name = "partial"
    capabilities = frozenset(["in_top_k", "float32"])

class Empty(OracleBackend):
    name = "empty"
    capabilities = frozenset(["float64"])

class Ties(Partial):
    name = "ties"
    def in_top_k(self, logits, targets, k=1):
        return super().in_top_k(logits, targets, k) & (np.asarray(logits).max(axis=1) != 2.0)

class Known(Ties):
    name = "known"
    def __init__(self):
        self.expected_failures = {"test_a_tie_is_a_hit": "ties are counted as misses"}

class Mended(Known):
    name = "mended"
    in_top_k = OracleBackend.in_top_k

class Misnamed(OracleBackend):
    name = "misnamed"
    def __init__(self):
        self.expected_failures = {"test_that_is_not_there": "no reason"}

class TwoStepTwice(OracleBackend):
    name = "off"
    def two_step(self, network, weights, x0, x1):
        y0, y1 = super().two_step(network, weights, x0, x1)
        return y0, y1 * 2
"""


class Run:
    def __init__(self, process):
        self.status, self.output = process.returncode, process.stdout + process.stderr


@pytest.fixture
def run(tmp_path):
    """run(*arguments): pytest in an empty folder beside a module `mine` of backends."""
    (tmp_path / "mine.py").write_text(BACKENDS)

    def run(*arguments, plugin=("-p", "unrolled.pytest_plugin")):
        command = [sys.executable, "-m", "pytest", *plugin, "-p", "no:cacheprovider", *arguments]
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(ROOT), str(tmp_path)]), COLUMNS="200")
        environment.pop("PYTEST_ADDOPTS", None)
        process = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
        return Run(process)

    return run


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--backend", "no_such_backend"], "unknown backend 'no_such_backend'"),
        (["--backend", ""], "an empty name"),
        (["--backend", "oracle", "--backend", ""], "an empty name"),
        (["--backend", "nowhere.adapter:backend"], "No module named 'nowhere'"),
        (["--backend", "oracle", "--device", "cuda"], "the oracle is NumPy"),
    ],
)
def test_a_wrong_backend_is_a_usage_error(run, arguments, reason):
    result = run(*arguments, TOP_K)
    assert result.status == pytest.ExitCode.USAGE_ERROR
    assert reason in result.output
    assert "Traceback" not in result.output


def test_header_and_summary_say_what_was_tested(run):
    result = run("--backend", "oracle", TWO_STEP)
    assert result.status == pytest.ExitCode.OK
    assert re.search(r"spec: backend oracle \(framework NumPy, version \S+, python \S+, device cpu\)\n", result.output)
    assert re.search(
        r"spec:   networks: basic_rnn, lstm, .*\n(.*\n)*spec:   precisions: float32, float64\n", result.output
    )
    assert re.search(r"oracle: \d+ passed\n", result.output)
    assert re.search(r"outputs +float32 +2e-06 +\d\.\de-0\d", result.output)


def test_the_suite_is_found_as_a_package_from_any_folder(run):
    result = run("--pyargs", "spec_tests.suite.test_in_top_k", "--backend", "mine:Partial")
    assert result.status == pytest.ExitCode.OK
    assert "spec: backend partial" in result.output


def test_what_is_not_declared_is_skipped_by_name_and_counted(run):
    result = run("--backend", "mine:Partial", "-rs", TOP_K, TWO_STEP)
    assert result.status == pytest.ExitCode.OK
    assert re.search(r"partial: \d+ passed, \d+ not offered", result.output)
    assert "partial does not offer float64" in result.output
    assert "partial does not offer float32" not in result.output
    assert "does not offer basic_rnn, float64, tanh, two_step" in result.output


def test_a_backend_of_which_nothing_was_tested_fails_the_whole_suite(run):
    result = run("--backend", "mine:Empty", SUITE)
    assert result.status == pytest.ExitCode.TESTS_FAILED
    assert "FAILED: nothing was tested of empty" in result.output


def test_sentences_that_differ_in_details_alone_are_one_cause():
    def failure(reason, *differences):
        return Failure(
            "test_x", reason, [dict(zip(("quantity", "dtype", "relative", "limit"), d)) for d in differences]
        )

    rough, wrong = ("state", "float64", 6e-8, 1e-12), ("state", "float32", 0.3, 2e-6)
    found = causes(
        [
            failure("state/c differs: 0.3", wrong),
            failure("state/fw/h differs: 0.1", ("outputs", "float32", 1e-7, 2e-6), wrong),
            failure("state/c differs: 6e-8", rough),
            failure("state/c differs: 6e-8 and 0.3", rough, wrong),
            failure("the state of length 0 of c must be exactly 1.5"),
            failure("the state of length 0 of cell_0/h must be exactly 2e-5"),
            failure("a wrong argument must raise a ValueError that names bias, but nothing was raised"),
            failure("a wrong argument must raise a ValueError that names kernel, but nothing was raised"),
            failure("the loss does not fall"),
        ]
    )
    assert [len(cause.failures) for cause in found] == [3, 2, 2, 1, 1]
    assert "only as accurate as float32, off by up to 6.0e-08" in found[3].sentence
    assert str(found[0]) == "3 tests: state/c differs: 0.3\n    in test_x"


def test_a_fault_is_told_without_knowledge_of_the_suite(run):
    result = run("--backend", "mine:TwoStepTwice", TWO_STEP)
    assert result.status == pytest.ExitCode.TESTS_FAILED
    assert re.search(
        r"y1 differs from what is expected: .* limit 1e-12 for outputs in float64; it is at index", result.output
    )


def test_a_known_failure_is_a_strict_xfail_with_its_reason(run):
    known = run("--backend", "mine:Known", "-rx", "-k", "test_a_tie_is_a_hit", TOP_K)
    assert known.status == pytest.ExitCode.TESTS_FAILED  # one of its parameters is no tie, and passes
    assert "ties are counted as misses" in known.output
    mended = run("--backend", "mine:Mended", "-k", "test_a_tie_is_a_hit", TOP_K)
    assert mended.status == pytest.ExitCode.TESTS_FAILED
    assert "[XPASS(strict)] ties are counted as misses" in mended.output


def test_an_expected_failure_of_no_test_is_an_error_when_the_whole_suite_is_collected(run):
    whole = run("--backend", "mine:Misnamed", "--collect-only", "-q", SUITE)
    assert whole.status == pytest.ExitCode.USAGE_ERROR
    assert "misnamed declares expected failures of tests that do not exist: test_that_is_not_there" in whole.output
    part = run("--backend", "mine:Misnamed", "--collect-only", "-q", TOP_K)
    assert part.status == pytest.ExitCode.OK


def test_every_backend_has_the_same_test_names(run):
    result = run("--backend", "oracle", "--backend", "mine:Partial", "--collect-only", "-q", SUITE)
    names = {
        backend: re.sub(
            r"\b%s\b-?" % backend, "", "\n".join(re.findall(r"^\S+\[%s\b.*$" % backend, result.output, re.M))
        )
        for backend in ("oracle", "partial")
    }
    assert names["oracle"].count("\n") > 500
    assert sorted(names["oracle"].splitlines()) == sorted(names["partial"].splitlines())


def test_the_suite_without_its_plugin_says_what_to_do(run):
    result = run(TOP_K, plugin=("-p", "no:unrolled.pytest_plugin"))
    assert result.status == pytest.ExitCode.USAGE_ERROR
    assert "python -m pytest -p unrolled.pytest_plugin" in result.output


def test_the_plugin_is_silent_in_other_projects(run, tmp_path):
    (tmp_path / "test_mine.py").write_text(
        "import pytest, sys\n"
        "@pytest.fixture(params=['theirs'])\n"
        "def backend(request):\n    return request.param\n"
        "def test_it(backend):\n    assert backend == 'theirs' and 'numpy' not in sys.modules\n"
    )
    result = run("--strict-markers", "-p", "no:hypothesispytest", "test_mine.py")
    assert result.status == pytest.ExitCode.OK, result.output
    assert "spec:" not in result.output


def test_options_of_another_project_stay_its_own(run, tmp_path):
    (tmp_path / "conftest.py").write_text(
        "def pytest_addoption(parser):\n"
        "    parser.addoption('--backend', default='agg')\n"
        "    parser.addoption('--device', default='screen')\n"
    )
    (tmp_path / "test_mine.py").write_text(
        "def test_it(request):\n    assert request.config.getoption('--backend') == 'cairo'\n"
    )
    result = run("--backend", "cairo", "test_mine.py")
    assert result.status == pytest.ExitCode.OK and "spec:" not in result.output, result.output
    result = run("--backend", "cairo", "--unrolled-backend", "mine:Partial", "test_mine.py", TOP_K)
    assert result.status == pytest.ExitCode.OK and "backend partial" in result.output, result.output


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        (["--backend", "mine:Partial"], ""),
        (["--backend=mine:Partial"], ""),
        (["--unrolled-backend", "mine:Partial", "--device", "cuda"], ""),
        ([], "[pytest]\naddopts = --backend mine:Partial\n"),
    ],
    ids=["backend", "with =", "device", "in settings"],
)
def test_the_suite_does_not_pass_over_an_option_that_is_another_projects_own(run, tmp_path, arguments, settings):
    """It would test the default backends in place of the one that was asked for."""
    (tmp_path / "conftest.py").write_text(
        "def pytest_addoption(parser):\n    parser.addoption('--backend')\n    parser.addoption('--device')\n"
    )
    (tmp_path / "pytest.ini").write_text(settings)
    result = run("--pyargs", "spec_tests.suite.test_in_top_k", *arguments)
    assert result.status == pytest.ExitCode.USAGE_ERROR, result.output
    name = "device" if "--device" in arguments else "backend"
    said = (
        "--%s was given, but it is an option of this project (%s), so that the suite does not see it: say --unrolled-%s"
    )
    assert said % (name, tmp_path, name) in result.output, result.output


def test_failures_of_one_cause_are_told_once(run, tmp_path):
    (tmp_path / "rough.py").write_text(
        "import numpy as np\n"
        "from spec_tests.oracle.backend import OracleBackend\n"
        "class Rough(OracleBackend):\n"
        "    name = 'rough'\n"
        "    capabilities = frozenset(['basic_rnn', 'two_step', 'tanh', 'float32', 'float64'])\n"
        "    def two_step(self, *arguments):\n"
        "        y0, y1 = super().two_step(*arguments)\n"
        "        return y0.astype(np.float32).astype(y0.dtype), y1\n"
    )
    result = run("--backend", "rough:Rough", TWO_STEP)
    assert result.status == pytest.ExitCode.TESTS_FAILED
    (line,) = [line for line in result.output.splitlines() if "only as accurate as float32" in line]
    assert re.match(r"\d+ tests?: float64 results are only as accurate as float32, off by up to \d\.\de-08", line), line


@pytest.mark.parametrize("category", [DeprecationWarning, FutureWarning, UserWarning])
def test_warnings_of_other_libraries_fail_no_test(category):
    """Another library's next release must not fail anybody's run, whichever line it says that it is about."""
    with warnings.catch_warnings(record=True) as seen:
        for module in ("torch.nn.modules", "torch_impl.adapter"):
            warnings.warn_explicit("of another library", category, "there.py", 1, module=module)
    assert len(seen) == 2


@pytest.mark.parametrize("package", ["unrolled", "torch_impl", "tf_reference", "spec_tests"])
def test_warnings_of_our_own_are_errors(package):
    for category in (RuntimeWarning, ResourceWarning):
        with pytest.raises(category, match="of our own"):
            warnings.warn_explicit("of our own", category, "here.py", 1, module=package + ".inner")


def test_importing_the_plugin_imports_no_numpy_and_no_framework():
    script = "import sys, spec_tests.plugin; print({'numpy', 'torch', 'tensorflow', 'hypothesis'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
