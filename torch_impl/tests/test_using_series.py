"""What a run makes of a series: level and trend go on, and no row that it has seen is one to judge it by."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import torch_impl
from torch_impl.__main__ import make_group
from torch_impl.checkpoints.run_files import load_checkpoint, save_checkpoint
from torch_impl.runs.folder import RunFolder
from torch_impl.runs.signals import Stopped
from torch_impl.tests.made_runs import train
from torch_impl.tests.training_runs import assert_same_bits, results

_TINY = ("--window", 5, "--batch-size", 16, "--units", 10, "--learning-rate", 0.005)


def call(*arguments: Any) -> Any:
    return CliRunner().invoke(make_group(), [str(argument) for argument in arguments])


def write(path: Path, *columns: np.ndarray) -> Path:
    names = ",".join("ab"[: len(columns)])
    np.savetxt(path, np.stack(columns, 1), delimiter=",", header=names, comments="", fmt="%.6f")
    return path


def figures(run: Path, *options: Any) -> dict[str, Any]:
    result = call("evaluate", run, "--no-picture", "--format", "json", *options)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def walk(rows: int = 200) -> np.ndarray:
    return 300 + np.cumsum(np.random.default_rng(0).normal(size=rows))


def test_a_line_goes_on(tmp_path: Path) -> None:
    table = write(tmp_path / "line.csv", np.arange(1.0, 101.0))
    run = train(tmp_path, "regressor", "--data", table, *_TINY, "--epochs", 20)
    text = call("predict", run, table, "--steps", 5, "--format", "json").stdout
    np.testing.assert_allclose([row["a"] for row in json.loads(text)], [101, 102, 103, 104, 105], atol=0.05)
    assert figures(run)["verdict"].split(": ")[1].count("last value")


def test_rows_seen_in_training_are_never_judged_by(tmp_path: Path) -> None:
    values = walk()
    table = write(tmp_path / "s.csv", values)
    run = train(tmp_path, "regressor", "--data", table, *_TINY, "--epochs", 2)
    before = figures(run)
    assert before["rows"] == 20 and "ridge regression" in before["rmse_over_all"]
    given = figures(run, "--data", table)  # the file trained on, by name: its test part alone
    assert given["mean_square_error"] == before["mean_square_error"] and "after those seen" in given["source"]
    write(table, np.concatenate([values[-60:], values]))
    after = figures(run)
    assert after["mean_square_error"] == before["mean_square_error"]
    assert "the file has changed: the rows seen in training begin at row 61" in after["source"]
    write(table, values + 1)
    refused = call("evaluate", run, "--no-picture")
    assert refused.exit_code == 1 and "holds other rows than the run was trained on" in refused.stderr
    other = figures(run, "--data", table)  # by name it is another series, all of it to judge by
    assert other["rows"] == 200 - 5
    new = walk(40) + 500
    write(table, np.concatenate([values[50:120], new]))  # some of the rows seen, and 40 that are not
    some = figures(run, "--data", table)
    assert some["rows"] == 40 and "without 70 rows seen in training" in some["source"]
    write(table, np.concatenate([new[:7], values[100:130], new[7:]]))
    assert figures(run, "--data", table)["rows"] == 2 + 33
    write(table, values[50:120])
    refused = call("evaluate", run, "--data", table, "--no-picture")
    assert refused.exit_code == 1 and "leaves nothing to judge by" in refused.stderr


@pytest.mark.parametrize("options", [("relative",), ("difference",), ("relative", "--log"), ("level", "--log")])
def test_each_reading_is_in_exports_and_in_training_from_python(tmp_path: Path, options: tuple[str, ...]) -> None:
    onnx = pytest.importorskip("onnxruntime")
    table = write(tmp_path / "s.csv", walk(120) + 1e6, walk(120)[::-1])
    chosen = ("--target", "a", "--covariate", "b", "--horizon", 2, "--reading", *options, "--epochs", 2)
    folder = train(tmp_path, "regressor", "--data", table, *_TINY, *chosen)
    run = torch_impl.load_run(folder)
    rows = np.random.default_rng(1).uniform(300, 310, (4, 7, 2)) + [1e6, 0]
    expected, lengths = run.predict(rows), np.array([7, 7, 3, 1])
    assert expected.shape == (4, 7, 2) and abs(expected - rows[..., :1]).max() < 50
    for suffix in ("onnx", "pt2"):
        result = call("export", folder, tmp_path / f"m.{suffix}")
        assert result.exit_code == 0, result.output
    session = onnx.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    found = session.run(["predictions"], {"inputs": rows, "lengths": lengths})[0]
    np.testing.assert_allclose(found, run.predict(rows, lengths), atol=1e-3)
    program = torch.export.load(tmp_path / "m.pt2").module()
    found = program(torch.from_numpy(rows), torch.from_numpy(lengths)).detach().numpy()
    np.testing.assert_allclose(found, run.predict(rows, lengths), atol=1e-3)
    trainer = run.trainer(rows, expected)  # what it predicts is what it is to predict: nothing to learn
    assert trainer.run(np.array([[0, 1, 2, 3]]))[0] < 1e-8


def test_beyond_the_horizon_only_what_is_predicted_can_be_read(tmp_path: Path) -> None:
    table = write(tmp_path / "s.csv", walk(120), walk(120)[::-1])
    chosen = ("--target", "a", "--covariate", "b", "--horizon", 2, "--epochs", 1)
    run = train(tmp_path, "regressor", "--data", table, *_TINY, *chosen)
    assert len(json.loads(call("predict", run, table, "--format", "json").stdout)) == 2
    refused = call("predict", run, table, "--steps", 3)
    assert refused.exit_code == 1 and "no further than its horizon of 2" in refused.stderr


def test_the_best_epoch_is_what_a_run_is_used_by_and_killed_runs_end_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = write(tmp_path / "s.csv", walk())
    given = ("regressor", "--data", table, *_TINY, "--epochs", 12, "--learning-rate", 0.02)
    whole = train(tmp_path, *given)
    found, epochs = results(whole), results(whole)["epochs"]
    errors = [epoch["validation_mse"] for epoch in epochs]
    best = errors.index(min(errors))
    assert found["best_round"] == best + 1 < 12  # else the last epoch's would be the same
    run = torch_impl.load_run(whole)
    last = torch_impl.load_run(whole, "last")
    assert run.checkpoint == "best" and run.step is not None and last.step == 12 * run.step // (best + 1)
    assert figures(whole)["forecasts"][0]["RMSE"] == pytest.approx(found["forecast"]["rmse"][0], rel=1e-6)
    assert figures(whole, "--checkpoint", "last")["mean_square_error"] != figures(whole)["mean_square_error"]
    for moment in ("before", "after"):  # killed around the saving of `best`
        folder, saved = tmp_path / moment, RunFolder.save

        def killed(
            self: Any, tensors: Any, state: Any, name: str = "last", moment: str = moment, saved: Any = saved
        ) -> None:
            now = len(state["run"]["rounds"][0]) == best + 1 and name == "best"
            if not now or moment == "after":
                saved(self, tensors, state, name)
            if now:
                raise Stopped(9)

        with monkeypatch.context() as patch:
            patch.setattr(RunFolder, "save", killed)
            assert call("train", *given, "--output", folder).exit_code
        assert call("train", "regressor", "--resume", folder).exit_code == 0
        assert_same_bits(whole, folder)
        assert_same_bits(whole, folder, "best")
    plain = train(tmp_path / "plain", *given, "--no-keep-best")
    assert torch_impl.load_run(plain).checkpoint == "last" and "best_round" not in results(plain)


def test_a_run_from_before_differences_and_best_epochs_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    table = write(tmp_path / "s.csv", walk(120))
    given = ("regressor", "--data", table, *_TINY, "--reading", "relative", "--no-keep-best")
    whole = load_checkpoint(train(tmp_path / "whole", *given, "--epochs", 4))
    folder = train(tmp_path, *given, "--epochs", 2)
    found = load_checkpoint(folder)
    state, tensors = found.state, {name: array for name, array in found.tensors.items() if name != "data/marks"}
    state["options"] = {name: each for name, each in state["options"].items() if name not in ("time", "class_weights")}
    state["options"].update(reading="auto", keep_best=False)  # which was relative then
    state["data"].pop("time")
    state["data"]["known"].pop("block")
    save_checkpoint(folder, tensors, state)
    assert call("train", "regressor", "--resume", folder, "--epochs", 4).exit_code == 0
    after = load_checkpoint(folder)
    for name, array in whole.tensors.items():
        assert array.tobytes() == after.tensors[name].tobytes(), name
    assert after.state["data"]["scaling"]["reading"] == "relative" and after.state["step"] == whole.state["step"]


def test_the_page_s_eight_series_are_those_that_are_written() -> None:
    for package in ("statsmodels", "matplotlib"):
        pytest.importorskip(package, reason=f"{package} is not installed (the extra `study`)")
    from torch_impl.tests.series_sets import series

    page = Path(__file__).parents[1].joinpath("TRAINING.md").read_text("utf-8").partition("Eight series, ")[2]
    told = re.findall(r"^\| (\w+) \((?:statsmodels|Matplotlib).*?\) \| (\d+) \|", page, re.MULTILINE)
    assert len(told) == 8 and dict(told) == {name: str(len(values)) for name, values in series().items()}
    assert all(np.isfinite(values).all() for values in series().values())
