"""predict, evaluate and export, as a user of the command line meets them: right input, wrong input, and the files."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

import torch_impl
from torch_impl.checkpoints.run_files import load_checkpoint, save_checkpoint
from torch_impl.tests import made_runs
from torch_impl.using.command import evaluate, export, predict, with_default
from torch_impl.using.evaluate import wilson_interval
from unrolled.datasets import mnist
from unrolled.own_data.windows import windows

PNG = b"\x89PNG\r\n\x1a\n"
TF1 = Path(__file__).parent / "files" / "tf1"


def call(command: click.Command, *arguments: Any) -> Result:
    result = CliRunner().invoke(command, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result


def refused(command: click.Command, *arguments: Any) -> str:
    """The one sentence with which a command ends."""
    result = call(command, *arguments)
    assert result.exit_code != 0 and result.stdout == ""
    return result.stderr.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    made_runs.classifier(folder)
    made_runs.regressor(folder)
    made_runs.images(folder)
    made_runs.images(folder, "speller")
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three of MNIST's test images as PNG, and black on white besides; all as IDX."""
    image = pytest.importorskip("PIL.Image")
    folder = tmp_path_factory.mktemp("images")
    pixels = (mnist.load(validation_size=0).test.images[:3] * 255).round().astype(np.uint8)
    for name, values in (("png", pixels), ("inverted", 255 - pixels)):
        (folder / name).mkdir()
        for row, one in enumerate(values):
            image.fromarray(one).save(folder / name / f"{row}.png")
    head = bytes([0, 0, 8, 3]) + b"".join(size.to_bytes(4, "big") for size in pixels.shape)
    (folder / "some-images-idx3-ubyte.gz").write_bytes(gzip.compress(head + pixels.tobytes()))
    return folder


def test_images_are_classified_whatever_file_they_come_in(runs: Path, images: Path, tmp_path: Path) -> None:
    test = mnist.load(validation_size=0).test
    expected = torch_impl.load_run(runs / "mnist").probabilities(test.images[:3])
    found = {}
    for source in ("png", "some-images-idx3-ubyte.gz"):
        result = call(predict, runs / "mnist", images / source, "--format", "json")
        rows = json.loads(result.stdout)
        assert [row["class"] for row in rows] == [str(label) for label in expected.argmax(1)]
        found[source] = [[row[f"p({label})"] for label in range(10)] for row in rows]
        np.testing.assert_allclose(found[source], expected, rtol=1e-6)
    assert [row["row"] for row in rows] == ["image 0", "image 1", "image 2"]
    inverted = call(predict, runs / "mnist", images / "inverted", "--invert", "--format", "json")
    np.testing.assert_allclose([row["probability"] for row in json.loads(inverted.stdout)], expected.max(1), rtol=1e-4)


def test_predictions_as_table_file_and_picture(runs: Path, images: Path, tmp_path: Path) -> None:
    picture, output = tmp_path / "p.png", tmp_path / "p.csv"
    result = call(predict, runs / "mnist", images / "png", "--picture", picture)
    assert picture.read_bytes().startswith(PNG) and result.stdout.splitlines()[0].split()[:3] == [
        "row", "class", "probability",
    ]  # fmt: skip
    call(predict, runs / "speller", images / "png", "--format", "csv", "--output", output, "--picture", picture)
    rows = list(csv.reader(io.StringIO(output.read_text())))
    assert rows[0] == ["row", "word"] and [row[0] for row in rows[1:]] == ["0.png", "1.png", "2.png"]
    assert "cannot be written" in refused(predict, runs / "speller", images / "png", "--output", tmp_path / "x" / "y")


def test_own_sequences_are_scaled_as_they_were_in_the_training(runs: Path, tmp_path: Path) -> None:
    made_runs.write_waves(tmp_path / "new.npz", 10)
    result = call(
        predict, runs / "classifier", tmp_path / "new.npz", "--format", "csv", "--picture", tmp_path / "p.png"
    )
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [row["class"] for row in rows] == ["fast", "slow"] * 5  # not so without the scaling
    assert (tmp_path / "p.png").read_bytes().startswith(PNG)


def test_a_series_is_continued_in_its_own_units(runs: Path, tmp_path: Path) -> None:
    result = call(
        predict,
        runs / "regressor",
        runs / "tide.csv",
        "--steps",
        9,
        "--format",
        "json",
        "--picture",
        tmp_path / "p.png",
    )
    rows = json.loads(result.stdout)
    time = np.arange(400, 409)
    assert [row["step"] for row in rows] == list(range(1, 10))
    level, flow = ([row[name] for row in rows] for name in ("level", "flow"))
    np.testing.assert_allclose(level, 4000 + 300 * np.sin(time * np.pi / 10), atol=90)
    np.testing.assert_allclose(flow, 8 + 2 * np.cos(time * np.pi / 10), atol=0.6)
    assert (tmp_path / "p.png").read_bytes().startswith(PNG)
    # By default its horizon, and then exactly what the model says of the last window.
    run = torch_impl.load_run(runs / "regressor")
    last = np.genfromtxt(runs / "tide.csv", delimiter=",", skip_header=1, usecols=(1, 2))[-20:]
    short = json.loads(call(predict, runs / "regressor", runs / "tide.csv", "--format", "json").stdout)
    expected = run.predict(last[None])[0, -1].reshape(4, 2)
    np.testing.assert_allclose([[row["level"], row["flow"]] for row in short], expected, rtol=1e-7)


def test_evaluation_of_a_classifier_counts_what_predict_says(runs: Path, tmp_path: Path) -> None:
    result = call(evaluate, runs / "classifier", "--format", "json")
    figures = json.loads(result.stdout)
    assert (figures["rows"], figures["source"]) == (24, f"{runs / 'waves.npz'}, test part")
    assert figures["accuracy"] > 0.8 and figures["interval_95"] == list(wilson_interval(figures["right"], 24))
    assert sum(map(sum, figures["confusion"]["rows_by_truth"])) == 24
    assert (runs / "classifier" / "evaluation.png").read_bytes().startswith(PNG)
    made_runs.write_waves(tmp_path / "new.npz", 10)
    table = call(evaluate, runs / "classifier", "--data", tmp_path / "new.npz", "--no-picture").stdout
    # Seven of them are in the training part too.
    assert "3 of 3 right, accuracy 1.0000, 95% interval 0.4385 to 1.0000" in table


def test_evaluation_on_the_test_images(runs: Path, tmp_path: Path) -> None:
    test = mnist.load(validation_size=0).test
    right = int((torch_impl.load_run(runs / "mnist").predict(test.images) == test.labels).sum())
    table = call(evaluate, runs / "mnist", "--picture", tmp_path / "p.png").stdout
    assert table.startswith(f"MNIST, test: {right} of 10000 right") and (tmp_path / "p.png").exists()
    words = json.loads(call(evaluate, runs / "speller", "--no-picture", "--format", "json").stdout)
    assert words["rows"] == 10000 and words["confusion"]["classes"][:2] == ["zero", "one"]


def test_evaluation_of_a_regressor_is_on_the_test_part_alone(runs: Path) -> None:
    figures = json.loads(call(evaluate, runs / "regressor", "--format", "json").stdout)
    run = torch_impl.load_run(runs / "regressor")
    values = np.genfromtxt(runs / "tide.csv", delimiter=",", skip_header=1, usecols=(1, 2))
    ahead = np.concatenate([values[step : 396 + step] for step in range(1, 5)], axis=1)
    cut = windows(values, ahead, (320, 400), "test", 20, 4)
    errors = (run.predict(cut.inputs) - cut.targets)[:, -1].reshape(-1, 4, 2)
    assert figures["rows"] == 80 - 3 == len(errors)
    third = figures["forecasts"][2]
    assert (third["column"], third["steps_ahead"]) == ("level", 3)
    np.testing.assert_allclose(third["MAE"], np.abs(errors[:, 2, 0]).mean())
    np.testing.assert_allclose(third["RMSE"], np.sqrt(np.square(errors[:, 2, 0]).mean()))
    assert third["RMSE"] < third["RMSE_of_the_last_value"] / 2


@pytest.mark.parametrize(
    ("right", "rows", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662), (9500, 10000, 0.9456, 0.9541)],
)
def test_wilsons_interval_has_the_published_values(right: int, rows: int, low: float, high: float) -> None:
    assert [round(bound, 4) for bound in wilson_interval(right, rows)] == [low, high]


@pytest.mark.parametrize("name", ["classifier", "regressor", "mnist", "speller"])
def test_an_export_is_checked_and_takes_the_users_own_values(name: str, runs: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    result = call(export, runs / name, tmp_path / "m.onnx")
    assert result.exit_code == 0 and "differs from the run by at most" in result.stdout
    session = runtime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    facts = session.get_modelmeta().custom_metadata_map
    if name == "classifier":
        assert json.loads(facts["classes"]) == ["fast", "slow"]
        raw = (np.random.default_rng(0).normal(size=(3, 9, 2)) * [14, 3] + [100, 5]).astype(np.float32)
        lengths = np.array([9, 1, 4])
        found = session.run(["logits"], {"inputs": raw, "lengths": lengths})[0]
        np.testing.assert_allclose(found, torch_impl.load_run(runs / name).logits(raw, lengths), atol=1e-4)
    if name == "regressor":
        assert json.loads(facts["columns"]) == ["level", "flow"]


def test_an_export_for_pytorch(runs: Path, tmp_path: Path) -> None:
    result = call(export, runs / "regressor", tmp_path / "m.pt2")
    assert result.exit_code == 0 and "over 77 rows" in result.stdout
    program = torch.export.load(tmp_path / "m.pt2").module()
    raw = torch.tensor([[[4000.0, 8.0]] * 7])
    found = program(raw, torch.tensor([7])).detach().numpy()
    np.testing.assert_allclose(found, torch_impl.load_run(runs / "regressor").predict(raw), rtol=1e-5)


def test_rows_that_were_trained_on_are_not_tested_on(tmp_path: Path) -> None:
    source = made_runs.write_waves(tmp_path / "waves.npz", 40)
    tiny = ("--epochs", 1, "--units", 3, "--test-share", 0.2)
    run = made_runs.train(tmp_path, "classifier", "--data", source, *tiny)
    (tmp_path / "copy.npz").write_bytes(source.read_bytes())
    kept = json.loads(call(evaluate, run, "--no-picture", "--format", "json").stdout)
    again = json.loads(call(evaluate, run, "--no-picture", "--format", "json", "--data", tmp_path / "copy.npz").stdout)
    assert (
        kept["rows"] == 8 and again["rows"] == 12 and "without 28 rows that the run was trained on" in again["source"]
    )
    made_runs.write_waves(source, 48)  # other rows in its place
    assert "is no longer what the run was trained on" in refused(evaluate, run)
    told = call(evaluate, run, "--no-picture", "--data", tmp_path / "copy.npz").stdout
    assert "not compared with the training rows" in told and " of 40 right" in told


def test_an_export_is_right_for_values_far_from_zero(tmp_path: Path) -> None:
    """A meter's numbers: float32 has steps of 4 there, and the check once fed rounded values to the run as well."""
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    random = np.random.default_rng(0)
    values = 50_000_000 + 10 * np.sin(np.arange(200) / 6) + random.normal(size=200)
    (tmp_path / "meter.csv").write_text("v\n" + "\n".join(f"{value:.3f}" for value in values))
    run = made_runs.train(tmp_path, "regressor", "--data", tmp_path / "meter.csv", "--window", 8, "--epochs", 4)
    assert call(export, run, tmp_path / "m.onnx").exit_code == 0
    session = runtime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    inputs = np.stack([values[start : start + 8] for start in range(180, 192)])[:, :, None]
    found = session.run(["predictions"], {"inputs": inputs, "lengths": np.full(12, 8)})[0]
    apart = np.abs(found - torch_impl.load_run(run).predict(inputs)).max()
    assert found.dtype == np.float64 and apart < 1e-3 * values.std()


def test_an_export_that_differs_is_not_written(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr("torch_impl.using.exporting._LIMIT", 1e-12)
    assert "differs from the run by" in refused(export, runs / "classifier", tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []
    assert call(export, runs / "classifier", tmp_path / "m.onnx", "--no-check").stdout.endswith("not checked.\n")


def test_what_cannot_be_used_is_one_sentence(runs: Path, images: Path, tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    image.fromarray(np.zeros((20, 20), np.uint8)).save(tmp_path / "small.png")
    (tmp_path / "bad.csv").write_text("day,level,flow\nd0,1,2\nd1,nan,3\n")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    cases: dict[str, tuple[Any, ...]] = {
        "has no checkpoint 'last'": (predict, tmp_path / "nowhere", images / "png"),
        "has no checkpoint 'best'": (predict, runs / "mnist", images / "png", "--checkpoint", "best"),
        "give images 28 pixels wide": (predict, runs / "mnist", tmp_path / "small.png"),
        "no such file or folder": (predict, runs / "mnist", tmp_path / "none.png"),
        "--steps continues a series": (predict, runs / "mnist", images / "png", "--steps", 3),
        "--invert is for images": (predict, runs / "regressor", runs / "tide.csv", "--invert"),
        "holds no images that could be inverted": (predict, runs / "classifier", runs / "waves.npz", "--invert"),
        "bad.csv, line 3: column 'level' holds 'nan'": (predict, runs / "regressor", tmp_path / "bad.csv"),
        "has no column 'level', only a, b": (predict, runs / "regressor", tmp_path / "other.csv"),
        "has 28 values per step, the run takes 2": (predict, runs / "classifier", images / "png"),
        "FILE ends neither in .onnx nor in .pt2": (export, runs / "mnist", tmp_path / "m.bin"),
        "expected a folder with a subfolder per class": (evaluate, runs / "mnist", "--data", tmp_path / "small.png"),
        "need 24": (evaluate, runs / "regressor", "--data", tmp_path / "good.csv"),
    }
    (tmp_path / "good.csv").write_text("level,flow\n1,2\n3,4\n")
    for words, arguments in cases.items():
        assert words in refused(*arguments), words
    assert not (tmp_path / "m.bin").exists()


def test_a_run_that_came_from_tensorflow_says_what_it_lacks(tmp_path: Path) -> None:
    from torch_impl.tf1.convert import TrainedAs, convert_from_tf1

    convert_from_tf1(TF1 / "classifier", tmp_path / "c", settings=TrainedAs("classifier", "tanh"))
    convert_from_tf1(TF1 / "wrapped", tmp_path / "r", settings=TrainedAs("regressor", "relu"))
    assert "does not tell what it was trained on; name labelled data" in refused(evaluate, tmp_path / "c")
    assert "can be evaluated" in refused(evaluate, tmp_path / "r")
    assert "does not tell what it was trained on" in refused(export, tmp_path / "r", tmp_path / "r.pt2")
    np.savez(tmp_path / "new.npz", inputs=np.ones((2, 6, 3)), labels=[0, 1])
    rows = json.loads(call(predict, tmp_path / "c", tmp_path / "new.npz", "--format", "json").stdout)
    assert call(predict, tmp_path / "c" / "last.json", tmp_path / "new.npz").exit_code == 0
    assert len(rows) == 2 and set(rows[0]) == {"row", "class", "probability", "p(0)", "p(1)"}
    table = call(evaluate, tmp_path / "c", "--data", tmp_path / "new.npz", "--no-picture").stdout
    assert "1 of 2 right" in table
    np.save(tmp_path / "series.npy", np.ones((6, 3)))
    rows = json.loads(call(predict, tmp_path / "r", tmp_path / "series.npy", "--format", "json").stdout)
    assert len(rows) == 6 and "predicted 1" in rows[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"classes": ["one"]}, "do not name 2 classes"),
        ({"classes": ["one", "\ud800"]}, "do not name 2 classes"),
        ({"split": None}, "do not tell the test part"),
        ({"scaling": {"shift": None, "scale": None}}, 'its "shift" is not 2 finite numbers'),
        ({"source": None}, "do not tell their source"),
        ({"source": "/nowhere.npz"}, "/nowhere.npz: no such file"),
        ({"rows": {"train": 1}}, "is no longer what the run was trained on"),
    ],
)
def test_altered_facts_are_one_sentence(change: dict[str, Any], words: str, runs: Path, tmp_path: Path) -> None:
    tensors, state = load_checkpoint(runs / "classifier")
    save_checkpoint(tmp_path, tensors, {**state, "data": {**state["data"], **change}})
    assert words in refused(evaluate, tmp_path)


def test_predict_is_also_a_group() -> None:
    group = click.Group("predict", {"speller": click.Command("speller", callback=lambda: click.echo("spelled"))})
    group = with_default(group, predict)
    assert call(group, "speller").stdout == "spelled\n"
    text = call(group, "--help").stdout
    assert "RUN INPUT" in text and "predict speller" in text
    assert "Missing argument 'INPUT'" in call(group, "here").stderr


def test_names_out_of_files_are_shown_escaped(tmp_path: Path) -> None:
    sequences = np.random.default_rng(0).normal(size=(40, 4, 2))
    labels = np.array(["\x1b[2Jred", "\u202eblue\n"])[np.arange(40) % 2]
    np.savez(tmp_path / "own\x1b.npz", inputs=sequences, labels=labels)
    tiny = ("--epochs", 1, "--units", 3, "--batch-size", 8)
    run = made_runs.train(tmp_path, "classifier", "--data", tmp_path / "own\x1b.npz", *tiny)
    found = call(predict, run, tmp_path / "own\x1b.npz")
    assert r"\x1b[2Jred" in found.stdout and r"\u202eblue\n" in found.stdout
    for output in (found.output, call(evaluate, run, "--no-picture").output):
        assert not set(output) & {"\x1b", "\u202e"}
    plain = json.loads(call(predict, run, tmp_path / "own\x1b.npz", "--format", "json").stdout)
    assert {row["class"] for row in plain} <= {"\x1b[2Jred", "\u202eblue\n"}


def test_more_predictions_than_a_table_holds_are_refused(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch_impl.using.predict._MOST_CELLS", 7)
    np.savez(tmp_path / "a.npz", inputs=np.zeros((4, 3, 2)))
    message = refused(predict, runs / "classifier", tmp_path / "a.npz")
    assert "4 rows of 2 classes are more than 7 probabilities" in message
