"""Each path of `torch_impl.unrolling.paths` is held to the shared spec, whatever the suite chooses by itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from torch_impl.unrolling.kinds import gru, lstm, plain
from torch_impl.unrolling.paths import PATHS, chosen_path, missing_compiler

ROOT = Path(__file__).resolve().parents[2]

# Files of the suite for each path. The suite itself runs "compiled", but for small LSTMs without lengths.
KINDS = ("lstm", "gru", "structures")
FILES = {
    "bptt": ("static_dynamic", "lengths", "counting", "gradients", "recorded", *KINDS),
    "native": ("static_dynamic", "lengths", "counting", "gradients", "recorded", *KINDS),
    "compiled": KINDS if missing_compiler() is None else (),
}
FORCED = [path for path in PATHS if FILES[path]]


def test_shapes_as_small_as_the_specs_are_compiled() -> None:
    """So the suite itself holds that path, and only the others need a run of their own."""
    if missing_compiler() is not None or os.environ.get("UNROLLED_PATH"):
        pytest.skip("Numba is not installed, or a path is forced")
    for dtype in (torch.float32, torch.float64):
        tensors = torch.empty(5, 5, dtype=dtype), torch.empty(4, 7, 3, dtype=dtype)
        for kind in (*plain.KINDS.values(), gru.AFTER, gru.BEFORE, lstm.KIND):
            assert chosen_path(kind, 5, 28, 4, False, *tensors) == "compiled"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """The suite on each other path, in processes of one thread that run side by side."""
    command = [sys.executable, "-m", "pytest", "-p", "unrolled.pytest_plugin", "-p", "no:cacheprovider", "-q"]
    started = {}
    for path in FORCED:
        environment = {**os.environ, "UNROLLED_PATH": path, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        with (tmp_path_factory.getbasetemp() / f"{path}.txt").open("w") as output:
            started[path] = subprocess.Popen(
                [*command, "--backend", "torch_impl", *(f"spec_tests/suite/test_{name}.py" for name in FILES[path])],
                cwd=ROOT,
                env=environment,
                stdout=output,
                stderr=output,
            )
    yield started
    for process in started.values():
        process.kill()
        process.wait()


@pytest.mark.parametrize("path", FORCED)
def test_the_spec_holds_on_a_forced_path(
    path: str, runs: dict[str, subprocess.Popen[bytes]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    status = runs[path].wait(timeout=600)
    said = (tmp_path_factory.getbasetemp() / f"{path}.txt").read_text()
    assert status == 0, said[-3000:]
    counted = re.search(r"(\d+) passed", said)
    assert counted and int(counted[1]) > (60 if path == "compiled" else 400), said[-500:]
