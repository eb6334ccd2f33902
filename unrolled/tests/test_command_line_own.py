"""`train classifier` and `train regressor` on a small backend in NumPy: what is trained, kept and refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from unrolled.command_line import command_line
from unrolled.command_line.plots import forecasts
from unrolled.datasets.batches import BatchStream
from unrolled.models import Model
from unrolled.networks import BasicRNN
from unrolled.tests.fake import FakeBackend

PNG = b"\x89PNG\r\n\x1a\n"


def call(backend: FakeBackend, *arguments: Any) -> Result:
    group = command_line("fake", "A fake.", backend)
    result = CliRunner().invoke(group, ["train", *(str(argument) for argument in arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result


def results_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "results.json").read_text())


def write_rows(path: Path, count: int = 40) -> None:
    random = np.random.default_rng(0)
    rows = [random.normal(size=(2 + row % 4, 3)) * 5 + 7 for row in range(count)]
    np.savez(path, *rows, labels=np.array(["no", "yes"])[np.arange(count) % 2])


def test_a_classifier_on_sequences_of_different_lengths(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.npz")
    backend = FakeBackend()
    small = ("--epochs", 3, "--batch-size", 8, "--units", 7, "--activation", "relu", "--seed", 4)
    result = call(backend, "classifier", "--data", tmp_path / "rows.npz", *small, "--output", tmp_path / "out")
    assert result.exit_code == 0, result.output
    trainer = backend.trainers[0]
    assert trainer.model == Model("classifier", BasicRNN(7, "relu"), 3, 2)
    np.testing.assert_array_equal(trainer.batches, BatchStream(32, 8, 4).take(12))
    assert set(trainer.lengths.tolist()) == {2, 3, 4, 5}
    results = results_of(tmp_path / "out")
    facts = results["data"]
    assert (results["program"], results["status"], len(results["epochs"])) == ("classifier", "finished", 3)
    assert facts["classes"] == ["no", "yes"] and facts["rows"] == {"train": 32, "validation": 4, "test": 4}
    assert facts["source"] == str(tmp_path / "rows.npz")
    valid = np.arange(5) < trainer.lengths[:, None]
    np.testing.assert_allclose(trainer.inputs[valid].mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(facts["scaling"]["shift"], [7, 7, 7], atol=2)
    assert "test_accuracy" in results["epochs"][0]
    assert (tmp_path / "out" / "learning_curve.png").read_bytes().startswith(PNG)
    assert "32 training, 4 validation and 4 test rows of up to 5 steps of 3 values, 2 classes" in result.output


def test_few_rows_without_a_test_part(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.npz", 10)
    shares = ("--validation-share", 0, "--test-share", 0, "--epochs", 2)
    result = call(FakeBackend(), "classifier", "--data", tmp_path / "rows.npz", *shares, "--output", tmp_path / "out")
    assert result.exit_code == 0 and "1 iterations of 10 rows per epoch" in result.output
    assert (tmp_path / "out" / "learning_curve.png").exists()
    assert "test_accuracy" not in results_of(tmp_path / "out")["epochs"][0]


def test_names_in_any_script_are_drawn_without_a_warning(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    values = np.linspace(1.0, 2.0, 5)
    found = {"columns": ["水位", "ระดับ$x$"], "truth": np.stack([values] * 2, 1), "forecast": np.stack([values] * 2, 1)}
    image = forecasts("水位", [{"epoch": 1, "loss": 0.5}], found)
    assert image.startswith(PNG) and not recwarn.list


def write_table(path: Path, rows: int = 200) -> None:
    """Two columns, of which the second is the first one's next value."""
    time = np.arange(rows + 1)
    values = 50 + 10 * np.sin(time / 3)
    lines = ["day,a,b", *(f"d{t},{values[t]:.4f},{values[t + 1]:.4f}" for t in range(rows))]
    path.write_text("\n".join(lines) + "\n")


def test_a_regressor_on_two_columns(tmp_path: Path) -> None:
    write_table(tmp_path / "t.csv")
    backend = FakeBackend()
    chosen = ("--column", "b", "--column", "a", "--window", 8, "--horizon", 2, "--stride", 3, "--epochs", 4)
    result = call(backend, "regressor", "--data", tmp_path / "t.csv", *chosen, "--output", tmp_path / "out")
    assert result.exit_code == 0, result.output
    trainer = backend.trainers[0]
    assert trainer.model == Model("regressor", BasicRNN(100), 2, 4)
    assert trainer.inputs.shape == (51, 8, 2) and trainer.targets.shape == (51, 8, 4)
    results = results_of(tmp_path / "out")
    assert results["data"]["columns"] == ["b", "a"] and results["data"]["window"] == 8
    assert set(results["epochs"][0]) >= {"loss", "validation_mse", "test_mse"}
    forecast = results["forecast"]
    truth, last = np.array(forecast["truth"]), np.array(forecast["rmse_of_the_last_value"])
    assert truth.shape == (19, 2) and truth.min() >= 40 and truth.max() <= 60  # in the data's own units
    np.testing.assert_allclose(truth[0], [50 + 10 * np.sin(181 / 3), 50 + 10 * np.sin(180 / 3)], atol=1e-3)
    assert (last > 1).all() and "the last value as forecast: RMSE" in result.output
    assert (tmp_path / "out" / "prediction.png").read_bytes().startswith(PNG)


def test_a_training_is_for_its_best_epoch(tmp_path: Path) -> None:
    """At this rate each step goes too far, so that the first epoch is the best and the last the worst."""
    write_table(tmp_path / "t.csv")
    backend = FakeBackend(rate=3.0)
    given = ("--data", tmp_path / "t.csv", "--column", "a", "--window", 8, "--reading", "level", "--epochs", 3)
    result = call(backend, "regressor", *given, "--output", tmp_path / "out")
    results = results_of(tmp_path / "out")
    errors = [epoch["validation_mse"] for epoch in results["epochs"]]
    assert errors[0] == min(errors) and errors[2] > 10 * errors[0] and results["best_round"] == 1
    assert "best by the validation part, and used from here on: epoch 1" in result.output
    scaled = results["forecast"]["rmse"][0] / results["data"]["scaling"]["scale"][0]
    np.testing.assert_allclose(scaled**2, results["epochs"][0]["test_mse"], rtol=1e-3)
    none = call(backend, "regressor", *given, "--validation-share", 0, "--output", tmp_path / "none")
    assert none.exit_code == 0 and "best by" not in none.output


def test_what_was_decided_of_a_header_of_numbers_is_said(tmp_path: Path) -> None:
    for row in range(20):
        folder = tmp_path / "rows" / "ab"[row % 2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{row}.csv").write_text("0,1\n" + "%d.5,2.25\n" % row * 6)
    for option, steps, words in (("--seed", 6, "taken for the columns' names; --no-header"), ("--no-header", 7, "")):
        given = ("--data", tmp_path / "rows", "--epochs", 1, "--output", tmp_path / option, option)
        result = call(FakeBackend(), "classifier", *given, *([3] if option == "--seed" else []))
        assert result.exit_code == 0 and words in result.output
        assert "up to %d steps" % steps in result.output and bool(words) == ("first line" in result.output)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("classifier", "--data", "nowhere"), "nowhere: no such file or folder"),
        (("classifier", "--data", "bad.npz"), "row 1: nan at step 0, input 0"),
        (("classifier", "--data", "good.npz", "--test-share", "0.95"), "two from 0 that leave some to train on"),
        (("classifier",), "Missing option '--data'"),
        (("regressor", "--data", "t.csv"), "say which to predict with --target"),
        (("regressor", "--data", "t.csv", "--column", "day"), "line 2: column 'day' holds 'd0'"),
        (("regressor", "--data", "t.csv", "--column", "a"), "need 101"),
        (("regressor", "--data", "t.csv", "--column", "a", "--window", "0"), "0 is not in the range"),
    ],
)
def test_what_is_wrong_is_said_before_the_framework_is_loaded(
    arguments: tuple[str, ...], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_table(tmp_path / "t.csv", 100)
    write_rows(tmp_path / "good.npz")
    inputs = np.ones((4, 2, 1))
    inputs[1, 0] = np.nan
    np.savez(tmp_path / "bad.npz", inputs=inputs, labels=[0, 1, 0, 1])
    backend = FakeBackend()
    result = call(backend, *arguments)
    assert result.exit_code in (1, 2) and words in result.stderr.strip().splitlines()[-1]
    assert backend.opened == []


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--units", "is not in the range 1<=x<=1048576"),
        ("--epochs", "is not below 2**31"),
        ("--batch-size", "is not below 2**31"),
    ],
)
def test_a_number_that_no_framework_holds_is_refused(option: str, words: str, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.npz")
    result = call(FakeBackend(), "classifier", "--data", tmp_path / "rows.npz", option, 2**64)
    assert result.exit_code == 2 and words in result.stderr
