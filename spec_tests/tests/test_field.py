"""The backends of the field: each passes what it offers, and what is said of its framework is so."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from spec_tests.backends import loading
from spec_tests.differences import differences
from spec_tests.tests.processes import ROOT
from unrolled.pytest_plugin import SUITE

FILES = {
    "torch.nn": ["test_networks", "test_lengths", "test_lstm", "test_gru", "test_structures"],
    "onnxruntime": ["test_networks", "test_lengths", "test_lstm", "test_gru", "test_structures"],
    "flax": ["test_gru"],  # JAX traces each case anew
    "keras.jax": ["test_gru"],
    "keras.torch": ["test_lengths", "test_lstm", "test_gru"],
    "keras.tensorflow": ["test_in_top_k", "test_gru"],
}


@pytest.mark.parametrize("name", FILES)
def test_a_framework_as_its_users_have_it_passes_what_it_offers(name: str) -> None:
    """But for what it declares, which is strict: `conform` holds each to all of it."""
    if loading.missing(name):
        pytest.skip(loading.missing(name))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--backend", name]
    command += ["spec_tests/suite/%s.py" % file for file in FILES[name]]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout.splitlines()[-1]


def reproductions() -> list[object]:
    text = (ROOT / "spec_tests" / "DIFFERENCES.md").read_text("utf-8")
    found = re.findall(r"^## \d+\. ([^\n]*)\n(?:(?!^## ).)*?```python\n(.*?)```", text, re.M | re.S)
    return [pytest.param(code, id=title) for title, code in found]


@pytest.mark.parametrize("code", reproductions())
def test_what_is_said_of_a_framework_is_so(code: str) -> None:
    """When it is mended there, this fails, and the page and the backend follow."""
    for module in re.findall(r"^(?:import|from) (\w+)", code, re.M):
        pytest.importorskip(module)
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]


def test_there_is_a_reproduction_for_each_framework_that_differs() -> None:
    titles = " ".join(str(each.id) for each in reproductions())  # type: ignore[attr-defined]
    assert all(framework in titles for framework in ("PyTorch", "Flax", "Keras", "ONNX Runtime"))


@pytest.mark.parametrize("name", ["torch.nn", "flax", "onnxruntime", "keras.torch", "tf_reference"])
def test_what_a_backend_tells_is_of_a_test_that_exists_and_on_the_page(name: str) -> None:
    """What it is known to fail, too: the matrix links each to its number."""
    if loading.missing(name):
        pytest.skip(loading.missing(name))
    code = "from spec_tests.backends import attributes, loading; backend = loading.load(%r); "
    code += "print(*attributes.differences(backend), *backend.expected_failures)"
    done = subprocess.run([sys.executable, "-c", code % name], cwd=ROOT, capture_output=True, text=True, timeout=120)
    suite = "".join(path.read_text("utf-8") for path in SUITE.glob("test_*.py"))
    assert done.stdout.split(), done.stderr
    assert [test for test in done.stdout.split() if "def %s(" % test not in suite] == []
    shown = {test for each in differences() for test in each.tests}
    assert [test for test in done.stdout.split() if test not in shown] == []
