"""The bench command: it measures what it says, and refuses what it does not know. Times themselves are not tested."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from torch_impl.bench.command import bench
from torch_impl.bench.contestants import LOOP, OURS, PYTORCH, contestant
from torch_impl.bench.inference import CELL, ONNX, inference
from torch_impl.bench.profiling import profiled
from torch_impl.bench.report import Settings, _in_turns
from torch_impl.bench.rivals import LeftOutError, Rival
from torch_impl.bench.workloads import INFERENCE, PROGRAMS, Workload

SHORT = ("--rounds", "2", "--sample-ms", "1", "--threads", "1", "--against", "none")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(bench, list(arguments))


def test_a_cell_of_the_grid_is_timed_against_pytorch(tmp_path: Path) -> None:
    shape = ("--batch", "2", "--units", "4", "--steps", "3", "--cell", "gru")
    done = run("--part", "grid", "--paths", *shape, *SHORT, "--json", str(tmp_path / "found.json"))
    assert done.exit_code == 0, done.output
    assert "torch.nn" in done.output
    figures = json.loads((tmp_path / "found.json").read_text("utf-8"))
    assert figures["grid"] and not figures.get("programs")


def test_a_rival_that_gives_up_is_left_out_and_the_others_stay() -> None:
    def dying(steps: int) -> float:
        error = LeftOutError("its process ended with status -9")
        error.name = "jax"
        raise error

    settings = Settings(("programs",), (), (), False, {}, rounds=2, sample_s=0.001, threads=1)
    figures: dict[str, Any] = {"left_out": {}}
    seconds = _in_turns("mnist", {"unrolled": lambda steps: 0.001 * steps, "jax": dying}, settings, print, figures)
    assert list(seconds) == ["unrolled"] and len(seconds["unrolled"]) == 2
    assert figures["left_out"] == {"jax": "mnist: its process ended with status -9"}


def test_without_numba_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch_impl.bench.report.missing_compiler", lambda: "Numba is missing")
    done = run("--part", "profile", *SHORT)
    assert done.exit_code == 1 and "the profile needs Numba" in done.output.splitlines()[-1]


def test_a_profile_adds_up_to_the_step() -> None:
    small = PROGRAMS[0]._replace(batch=3, steps=4, units=5, rows=6)
    for name in ("torch.nn", "bptt", "unrolled"):
        row = profiled(name, small, 5)
        assert sum(row["by_group"].values()) == pytest.approx(row["milliseconds"], rel=0.5)
        assert all(ms >= 0 for ms in row["by_group"].values())
    groups = profiled("torch.nn", small, 5)["by_group"]
    assert min(groups[name] for name in ("matrix products", "activations", "Adam", "loss")) > 0


@pytest.mark.parametrize("workload", PROGRAMS, ids=lambda workload: workload.name)
def test_every_program_trains_in_every_way(workload: Workload) -> None:
    small = workload._replace(batch=3, steps=8, units=5, rows=6)
    for name in (OURS, PYTORCH, LOOP) if workload.cell == "gru" else (OURS, PYTORCH):
        contestant(name, small)(2)
    assert small.multiply_adds() > 0


@pytest.mark.parametrize("workload", INFERENCE, ids=lambda workload: workload.name)
def test_every_way_without_training_runs(workload: Workload) -> None:
    small = workload._replace(batch=min(3, workload.batch), steps=min(4, workload.steps), units=5)
    names = [OURS, PYTORCH, *([CELL] if workload.kind == "stream" else [])]
    if importlib.util.find_spec("onnx") and importlib.util.find_spec("onnxruntime"):
        names.append(ONNX)
    for name in names:
        inference(name, small, 1)(2)
    assert 0 < small.multiply_adds() < small._replace(kind="sequence").multiply_adds()


@pytest.mark.parametrize(
    ("name", "program"),
    [
        ("jax", "vowels lstm, two layers"),
        ("jax", "vowels lstm, two directions"),
        ("jax", "vowels gru"),
        ("keras-torch", "vowels lstm, two directions"),
    ],
)
def test_other_frameworks_train_every_structure(name: str, program: str) -> None:
    pytest.importorskip("jax" if name == "jax" else "keras")
    (workload,) = (workload for workload in PROGRAMS if workload.name == program)
    with Rival(name, workload._replace(batch=3, steps=8, units=5, rows=6), 1) as rival:
        assert rival(2) > 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--against", "caffe"), "'caffe' is not one of tf_reference, jax"),
        (("--program", "mnist gnu"), "'mnist gnu' is not one of mnist, series"),
        (("--batch", "0"), "'--batch'"),
        (("--json", "nowhere/found.json"), "the folder nowhere does not exist"),
        (("--part", "all"), "'--part'"),
    ],
)
def test_what_it_does_not_know_is_a_usage_error(arguments: tuple[str, ...], words: str) -> None:
    done = run(*arguments)
    assert done.exit_code == 2 and words in done.output


def test_an_unknown_path_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNROLLED_PATH", "fastest")
    done = run("--part", "grid", "--batch", "2", "--units", "4", "--steps", "3", *SHORT)
    assert done.exit_code == 1 and done.output.splitlines()[-1].startswith("Error: ") and "fastest" in done.output
