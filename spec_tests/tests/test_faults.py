"""The suite is tested: each planted fault is caught by the test named for it, and a right backend by none.

One run of the suite holds each backend of `faults.FAULTS` to the tests named for it, and the oracle to all of these.
"""

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from spec_tests.oracle import faults

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def caught(tmp_path_factory):
    """By backend, the names of the tests that failed."""
    folder = tmp_path_factory.mktemp("faults")
    names = ["oracle", *("spec_tests.oracle.faults:" + name for name in faults.FAULTS)]
    tests = sorted({test for fault in faults.FAULTS.values() for test in fault.tests})
    # The oracle is held to all of them, each fault to its own.
    wanted = ["[oracle and (%s)" % " or ".join(tests)]
    wanted += ["[%s and (%s)" % (name, " or ".join(fault.tests)) for name, fault in faults.FAULTS.items()]
    expression = " or ".join("(%s)" % one for one in wanted)
    report = folder / "found.xml"
    command = [sys.executable, "-m", "pytest", "spec_tests/suite", "-q", "-p", "no:cacheprovider", "--tb=line"]
    command += ["-k", expression, "--junitxml", str(report), "-o", "junit_logging=no"]
    command += [argument for name in names for argument in ("--backend", name)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 1, done.stdout[-2000:] + done.stderr
    failed: dict[str, set[str]] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        test, _, parameters = case.get("name", "").partition("[")
        found = failed.setdefault(parameters.rstrip("]").partition("-")[0], set())
        if case.find("failure") is not None:
            found.add(test)
    assert set(failed) == {"oracle", *faults.FAULTS}
    return failed


def test_a_right_backend_fails_nothing(caught):
    assert caught["oracle"] == set()


@pytest.mark.parametrize("name", list(faults.FAULTS))
def test_each_fault_is_caught_by_the_test_named_for_it(caught, name):
    missing = set(faults.FAULTS[name].tests) - caught[name]
    assert not missing, "the fault that %s passes %s" % (faults.FAULTS[name].sentence, ", ".join(sorted(missing)))
