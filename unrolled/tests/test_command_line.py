"""The command lines that both implementations share, on a small backend in NumPy."""

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

from unrolled import writing
from unrolled.command_line import command_line
from unrolled.command_line.train_series import _came_apart
from unrolled.datasets import mnist, series
from unrolled.datasets.batches import BatchStream
from unrolled.models import Model
from unrolled.networks import BasicRNN
from unrolled.tests.fake import FakeBackend

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def backend():
    return FakeBackend()


def call(backend, *arguments):
    return CliRunner().invoke(command_line("fake", "A fake.", backend), [str(argument) for argument in arguments])


@pytest.fixture
def images(tmp_path):
    """A folder with 46 training and 9 test images of 4x3 pixels, in 3 classes."""
    folder, random = tmp_path / "images", np.random.RandomState(0)
    folder.mkdir()
    for prefix, count in (("train", 46), ("t10k", 9)):
        labels = np.arange(count) % 3
        pixels = random.randint(0, 200, (count, 4, 3)) + 25 * labels[:, None, None]  # can be learnt, but not wholly
        for name, array in (("images-idx3", pixels), ("labels-idx1", labels)):
            head = struct.pack(">%dI" % (1 + array.ndim), 0x0800 + array.ndim, *array.shape)
            (folder / ("%s-%s-ubyte" % (prefix, name))).write_bytes(head + array.astype(np.uint8).tobytes())
    return folder


def train_mnist(backend, images, output, *arguments):
    small = ("--data", images, "--validation-size", 6, "--batch-size", 15, "--units", 7, "--output", output)
    return call(backend, "train", "mnist", *small, *arguments)


def read(folder):
    def refuse(value):
        raise AssertionError("%s is not JSON" % value)

    return json.loads((folder / "results.json").read_text(), parse_constant=refuse)


@pytest.mark.parametrize(
    "command",
    [
        (),
        ("show",),
        ("train",),
        ("train", "mnist"),
        ("train", "series"),
        ("train", "speller"),
        ("train", "vowels"),
        ("predict", "speller"),
    ],
)
def test_help_asks_for_no_backend(backend, command):
    result = call(backend, *command, "--help")
    assert result.exit_code == 0 and result.output.startswith("Usage:")
    assert backend.opened == []


def test_what_is_imported_when():
    """NumPy alone for the readers; matplotlib only for a plot."""
    code = "import sys; from unrolled.datasets import batches, mnist, series, vowels%s; print(sorted(sys.modules))"
    for more, absent in (
        ("", ("click", "tqdm", "matplotlib")),
        ("; import unrolled.command_line", ("matplotlib", "torch")),
    ):
        loaded = subprocess.run([sys.executable, "-c", code % more], stdout=subprocess.PIPE, check=True).stdout.decode()
        assert not [name for name in absent if "'%s'" % name in loaded]


def test_show_prints_the_chapters_steps(backend):
    texts = {name: call(backend, "show", name, "--seed", 3).output for name in ("two-step", "static", "dynamic")}
    kernel = np.random.RandomState(3).standard_normal((8, 5))
    y0 = np.tanh(np.array([[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 0, 1]]) @ kernel[:3])
    y1 = np.tanh(y0 @ kernel[3:] + np.array([[9, 8, 7], [0, 0, 0], [6, 5, 4], [3, 2, 1]]) @ kernel[:3])
    for text in texts.values():
        lines = text.splitlines()
        for row, values in enumerate(np.concatenate([y0, y1])):
            assert "  %d |" % (row % 4) + "".join("%14.10f" % value for value in values) in lines
        assert "  1 |   0   0   0" in lines
    assert "outputs[1] [4, 5]" in texts["static"] and "outputs[:, 1] [4, 5]" in texts["dynamic"]
    assert texts["static"] != call(backend, "show", "static", "--seed", 4).output


def test_show_lengths_says_what_is_zero_and_where_the_state_came_from(backend):
    text = call(backend, "show", "lengths").output
    assert "Exactly zero: outputs[1, 1]." in text
    assert [line.split("<- ")[1] for line in text.splitlines() if "<-" in line] == [
        "padding",
        "zero",
        "is outputs[0, 1]",
        "is outputs[1, 0]",
        "is outputs[2, 1]",
        "is outputs[3, 1]",
    ]


def test_show_lengths_looks_instead_of_assuming(backend, monkeypatch):
    whole = FakeBackend.dynamic_rnn
    monkeypatch.setattr(
        FakeBackend,
        "dynamic_rnn",
        lambda self, network, weights, inputs, lengths: whole(self, network, weights, inputs + 0.1),
    )
    text = call(backend, "show", "lengths").output
    assert "Exactly zero: no output." in text and "is outputs[1, 1]" in text


def test_train_mnist_trains_on_the_one_batch_stream(backend, images, tmp_path):
    result = train_mnist(backend, images, tmp_path / "out", "--epochs", 3, "--seed", 5, "--learning-rate", 0.01)
    assert result.exit_code == 0, result.output
    (trainer,) = backend.trainers
    np.testing.assert_array_equal(trainer.batches, BatchStream(40, 15, 5).take(6))
    assert trainer.model == Model("classifier", BasicRNN(7), 3, 3)
    assert trainer.seed_mark == pytest.approx(backend.initial_weights(trainer.model, 5)["kernel"][0, 0])
    results = read(tmp_path / "out")
    assert (results["schema"], results["status"], results["program"]) == ("unrolled.train/1", "finished", "mnist")
    assert results["data"] == {
        "train": 40,
        "validation": 6,
        "test": 9,
        "source": str(images.resolve()),
        "steps": 4,
        "inputs": 3,
        "classes": 3,
    }
    assert results["hyperparameters"]["optimizer"]["learning_rate"] == 0.01
    assert results["hyperparameters"]["iterations_per_epoch"] == 2
    assert results["hyperparameters"]["network"] == {"kind": "basic_rnn", "units": 7, "activation": "tanh"}
    assert results["backend"] == backend.describe()
    assert [epoch["epoch"] for epoch in results["epochs"]] == [1, 2, 3]
    assert (tmp_path / "out" / "learning_curve.png").read_bytes().startswith(PNG)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["learning_curve.png", "results.json"]


def test_train_mnist_reports_what_the_model_does(backend, images, tmp_path):
    result = train_mnist(backend, images, tmp_path / "out", "--epochs", 2, "--seed", 2)
    (trainer,) = backend.trainers
    parts = mnist.load(images, 6)

    def accuracy_on(part, rows):
        return np.mean(trainer.forward(part.images[rows]).argmax(axis=1) == part.labels[rows])

    accuracy, train_accuracy = accuracy_on(parts.test, slice(None)), accuracy_on(parts.train, trainer.batches[-1])
    # What could be taken for them by mistake is not the same number.
    assert accuracy != accuracy_on(parts.validation, slice(None))
    assert train_accuracy != accuracy_on(parts.train, trainer.batches[-2])
    final = read(tmp_path / "out")["epochs"][-1]
    assert (final["test_accuracy"], final["train_accuracy"]) == (pytest.approx(accuracy), pytest.approx(train_accuracy))
    again = FakeBackend()
    train_mnist(again, images, tmp_path / "again", "--epochs", 1, "--seed", 2)
    replay = again.trainers[0].run(np.array(trainer.batches[2:]))
    assert final["loss"] == pytest.approx(replay.mean())
    lines = [line for line in result.output.splitlines() if line.startswith("epoch")]
    assert len(lines) == 2
    figures = (train_accuracy, accuracy, final["loss"], final["seconds"])
    assert lines[1] == "epoch 2/2   train accuracy %.4f   test accuracy %.4f   loss %.4f   %.1f s" % figures


def test_evaluation_in_parts_counts_every_image(backend, images, tmp_path, monkeypatch):
    train_mnist(backend, images, tmp_path / "whole", "--epochs", 1)
    monkeypatch.setattr("unrolled.command_line.epochs._ROWS_AT_ONCE", 4)
    train_mnist(backend, images, tmp_path / "parts", "--epochs", 1)
    whole, parts = (read(tmp_path / name)["epochs"][0]["test_accuracy"] for name in ("whole", "parts"))
    assert whole == parts


def test_train_series(backend, tmp_path):
    arguments = ("--iterations", 250, "--units", 9, "--projection", "wrapped", "--output", tmp_path / "out")
    result = call(backend, "train", "series", *arguments, "--device", "auto", "--threads", 2)
    assert result.exit_code == 0, result.output
    assert backend.opened == [("auto", 2)]
    (trainer,) = backend.trainers
    assert trainer.model == Model("regressor", BasicRNN(9, "relu"), 1, 1, "wrapped")
    results = read(tmp_path / "out")
    assert len(results["mse"]) == 250 == len(trainer.batches)
    lines = [line for line in result.output.splitlines() if line.startswith("iteration")]
    assert lines == ["iteration %d   MSE %.6f" % (count, results["mse"][count - 1]) for count in (100, 200)]
    inputs, targets = series.training_pair()
    assert results["mse"][0] == pytest.approx(np.square(targets).mean())  # the fake starts at zero
    assert results["final_mse"] == pytest.approx(np.square(trainer.forward(inputs) - targets).mean())
    inputs, targets = series.prediction_pair()
    prediction = results["prediction"]
    np.testing.assert_array_equal(prediction["x"], inputs.ravel())
    np.testing.assert_array_equal(prediction["truth"], targets.ravel())
    np.testing.assert_array_equal(prediction["predicted"], trainer.forward(inputs).ravel())
    assert (tmp_path / "out" / "prediction.png").read_bytes().startswith(PNG)


@pytest.mark.parametrize(
    ("losses", "final", "told"), [([4.0, 0.01, 3.0], 3.0, True), ([4.0, 0.01], 0.01, False), ([4.0, 3.0], 3.0, False)]
)
def test_a_fit_that_was_found_and_lost_is_told(losses, final, told):
    said = _came_apart({"mse": losses, "final_mse": final}, variance=4.0)
    assert [line.split(";")[0] for line in said] == ["Its least MSE was 0.010000, at iteration 2"] * told


@pytest.mark.parametrize(("program", "epochs"), [("mnist", 1), ("series", None)])
def test_a_loss_that_is_not_finite_stops(images, tmp_path, program, epochs):
    output = tmp_path / "out"
    output.mkdir()
    (output / "prediction.png").write_bytes(b"of an earlier run")
    backend = FakeBackend(diverge_at=4)
    if program == "mnist":
        result = train_mnist(backend, images, output, "--epochs", 3)
    else:
        result = call(backend, "train", "series", "--iterations", 50, "--output", output)
    assert result.exit_code == 1
    assert "Error: the loss is inf at iteration 4, so training stopped; try a smaller --learning-rate" in result.output
    results = read(output)
    assert results["status"] == "not finite"
    if program == "mnist":
        assert len(results["epochs"]) == epochs
    else:
        assert not (output / "prediction.png").exists()


def test_an_interruption_keeps_the_results_so_far(images, tmp_path):
    result = train_mnist(FakeBackend(interrupt_at=4), images, tmp_path / "mnist", "--epochs", 3)
    assert result.exit_code == 130
    assert result.output.splitlines()[-1] == "Interrupted." and "Traceback" not in result.output
    assert read(tmp_path / "mnist")["status"] == "interrupted" and len(read(tmp_path / "mnist")["epochs"]) == 1
    assert (tmp_path / "mnist" / "learning_curve.png").exists()
    result = call(FakeBackend(interrupt_at=45), "train", "series", "--output", tmp_path / "series")
    assert result.exit_code == 130
    assert len(read(tmp_path / "series")["mse"]) == 40
    assert read(tmp_path / "series")["prediction"] is None
    result = train_mnist(FakeBackend(interrupt_at=1), images, tmp_path / "early")
    assert result.exit_code == 130 and read(tmp_path / "early")["epochs"] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--epochs", 0), "'--epochs': 0 is not in the range x>=1"),
        (("--batch-size", 0), "'--batch-size'"),
        (("--batch-size", 41), "'--batch-size': 41 is more than the 40 training images"),
        (("--units", -1), "'--units'"),
        (("--learning-rate", 0), "'--learning-rate': 0.0 is not a finite number above 0"),
        (("--learning-rate", "nan"), "'--learning-rate': nan is not a finite number above 0"),
        (("--learning-rate", "inf"), "'--learning-rate'"),
        (("--seed", 2**32), "'--seed'"),
        (("--validation-size", 46), "validation_size is 46, expected 0 to 45: there are 46 training images"),
        (("--device", "tpu"), "'--device'"),
        (("--threads", 0), "'--threads'"),
        (("--data", "nowhere"), "'--data'"),
    ],
)
def test_bad_values_are_usage_errors(backend, images, tmp_path, arguments, message):
    result = train_mnist(backend, images, tmp_path / "out", *arguments)
    assert result.exit_code == 2 and message in result.output
    assert backend.opened == []


@pytest.mark.parametrize("program", ["mnist", "series"])
def test_an_output_that_cannot_be_written_is_found_first(backend, tmp_path, program):
    (tmp_path / "file").write_text("in the way")
    result = call(backend, "train", program, "--output", tmp_path / "file" / "out")
    assert result.exit_code == 2 and "'--output'" in result.output and "cannot be written to" in result.output
    assert backend.opened == []


def test_a_wrong_data_file_is_one_sentence(backend, images, tmp_path):
    path = images / "t10k-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes()[:-1])
    result = train_mnist(backend, images, tmp_path / "out")
    assert result.exit_code == 1
    assert result.output.startswith("Error: %s: its dimensions [9] ask for 9 bytes of values, found only 8" % path)
    assert result.output.count("\n") == 1


def test_a_label_far_from_the_others_is_pointed_out(backend, images, tmp_path):
    path = images / "train-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes()[:-1] + b"\x07")
    result = train_mnist(backend, images, tmp_path / "out", "--epochs", 1)
    assert result.exit_code == 0, result.output
    assert "of the 8 classes 0 to 7, 4 have no training image, class 3 first" in result.output


class ResourceExhaustedError(Exception):
    """As TensorFlow's is called."""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        ResourceExhaustedError("OOM when allocating tensor"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4000112000000 bytes."),
    ],
)
def test_memory_that_is_not_there_is_one_sentence(backend, images, tmp_path, monkeypatch, error):
    def too_much(model, seed):
        raise error

    monkeypatch.setattr(backend, "initial_weights", too_much)
    result = train_mnist(backend, images, tmp_path / "out", "--epochs", 1)
    assert result.exit_code == 1
    assert "Error: not enough memory for a network of this size; take fewer --units" in result.output


@pytest.mark.parametrize("error", [ImportError("no framework here; install it"), ValueError("no such device: cuda")])
@pytest.mark.parametrize("command", [("show", "static"), ("train", "series")])
def test_a_backend_that_cannot_be_had_says_why(error, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def absent(device, threads):
        raise error

    result = call(absent, *command)
    assert result.exit_code == 1 and result.output == "Error: %s\n" % error


def test_default_output_folders_carry_the_name(backend, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert call(backend, "train", "series", "--iterations", 1).exit_code == 0
    assert Path("runs/fake-series/results.json").is_file()


def test_results_survive_a_full_disk(tmp_path, monkeypatch):
    path = tmp_path / "results.json"
    path.write_bytes(b"earlier")

    def full(descriptor):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(writing.os, "fsync", full)
    with pytest.raises(click.ClickException, match=r"results.json cannot be written .No space left"):
        writing.write_atomically(path, b"later")
    assert path.read_bytes() == b"earlier" and list(tmp_path.iterdir()) == [path]


def test_without_matplotlib_the_results_are_still_written(backend, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    result = call(backend, "train", "series", "--iterations", 1, "--output", tmp_path)
    assert result.exit_code == 0 and "No plot, for it needs matplotlib" in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


def test_more_commands_can_be_added(backend):
    group = command_line("fake", "A fake.", backend)
    assert sorted(group.commands) == ["predict", "show", "train"]
    train = group.commands["train"]
    assert isinstance(train, click.Group)
    assert sorted(train.commands) == ["classifier", "mnist", "regressor", "series", "speller", "vowels"]
