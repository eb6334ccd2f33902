"""Each path of `torch_impl.paths`, forced for a whole process, is held to the shared spec like the chosen one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from torch_impl.paths import PATHS, missing_compiler

ROOT = Path(__file__).resolve().parents[2]
FILES = [f"spec_tests/test_{name}.py" for name in ("static_dynamic", "lengths", "counting", "gradients", "recorded")]


@pytest.mark.parametrize("path", PATHS)
def test_the_spec_holds_on_a_forced_path(path: str) -> None:
    if path == "compiled" and missing_compiler() is not None:
        pytest.skip("Numba is not installed")
    command = [sys.executable, "-m", "pytest", "-p", "spec_tests.plugin", "-p", "no:cacheprovider", "-q"]
    environment = {**os.environ, "UNROLLED_PATH": path, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, "--backend", "torch_impl", *FILES],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    counted = re.search(r"(\d+) passed", done.stdout)
    assert counted and int(counted[1]) > 400, done.stdout[-500:]
