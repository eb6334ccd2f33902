"""Each path of `torch_impl.paths` that the suite does not choose by itself is held to the shared spec too."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from torch_impl.paths import PATHS, chosen_path, missing_compiler

ROOT = Path(__file__).resolve().parents[2]
FILES = [f"spec_tests/test_{name}.py" for name in ("static_dynamic", "lengths", "counting", "gradients", "recorded")]


def test_shapes_as_small_as_the_specs_are_compiled() -> None:
    """So the suite itself holds that path, and only the others need a run of their own."""
    if missing_compiler() is not None or os.environ.get("UNROLLED_PATH"):
        pytest.skip("Numba is not installed, or a path is forced")
    for dtype in (torch.float32, torch.float64):
        assert chosen_path(torch.empty(5, 5, dtype=dtype), torch.empty(4, 7, 3, dtype=dtype)) == "compiled"


@pytest.mark.parametrize("path", [path for path in PATHS if path != "compiled"])
def test_the_spec_holds_on_a_forced_path(path: str) -> None:
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
