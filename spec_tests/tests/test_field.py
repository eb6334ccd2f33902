"""The backends of the field: PyTorch's own modules pass what they offer; the others are held by `conform`, by hand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("name", "module"), [("torch.nn", "torch"), ("onnxruntime", "onnxruntime")])
def test_a_framework_as_its_users_have_it_passes_what_it_offers(name: str, module: str) -> None:
    pytest.importorskip(module)
    files = ["test_networks.py", "test_lengths.py", "test_lstm.py", "test_gru.py", "test_structures.py"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--backend", name]
    command += ["spec_tests/suite/" + file for file in files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout.splitlines()[-1]
