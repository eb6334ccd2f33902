"""`train speller`, `train vowels` and `predict speller`, on a small backend in NumPy that knows the answers in part."""

import json
import struct

import numpy as np
import pytest
from click.testing import CliRunner

from unrolled.command_line import command_line
from unrolled.datasets import spelling, vowels
from unrolled.datasets.batches import BatchStream, bucketed
from unrolled.models import Model
from unrolled.networks import BasicRNN
from unrolled.tests.fake import FakeBackend

PNG = b"\x89PNG\r\n\x1a\n"
ROWS, COLUMNS = 4, 3


class Trainer:
    """Keeps what it is given; its answers are right for all rows but those whose first value is above 0.9."""

    def __init__(self, backend, model, weights, inputs, targets, lengths):
        self.backend, self.model, self.inputs, self.targets, self.lengths = backend, model, inputs, targets, lengths
        self.first, self.batches = weights, []

    def run(self, batches):
        self.batches.extend(np.array(batches))
        return np.linspace(2, 1, len(batches)).astype(np.float32)

    def forward(self, inputs, lengths=None):
        return self.backend.logits(self.model, inputs, lengths)

    def weights(self):
        return self.first


class SequenceBackend(FakeBackend):
    """Digits are written into an image's second value, speakers into an utterance's length."""

    def trainer(self, model, weights, optimizer, inputs, targets, lengths=None, seed=0):
        self.trainers.append(Trainer(self, model, weights, inputs, targets, lengths))
        self.optimizer = optimizer
        return self.trainers[-1]

    def logits(self, model, inputs, lengths):
        if model.kind == "classifier":
            return np.eye(9, dtype=np.float32)[np.asarray(lengths) % 9]
        digits = np.rint(inputs[:, 0, 1] * 255).astype(int) // 20
        digits = np.where(inputs[:, 0, 0] > 0.9, (digits + 1) % 10, digits)
        return np.eye(16, dtype=np.float32)[spelling.names_of(digits)]

    def predict(self, model, weights, inputs, lengths=None):
        self.given = model, weights
        return self.logits(model, inputs, lengths).argmax(axis=2)


@pytest.fixture
def backend():
    return SequenceBackend()


@pytest.fixture
def digits(tmp_path):
    """A folder of 46 training and 20 test images of 4x3 pixels, two of the test images too hard for the backend."""
    folder = tmp_path / "digits"
    folder.mkdir()
    for prefix, count in (("train", 46), ("t10k", 20)):
        labels = np.arange(count) % 10
        pixels = np.zeros((count, ROWS, COLUMNS), np.uint8)
        pixels[:, 0, 1] = 20 * labels
        pixels[[4, 11], 0, 0] = 255
        for name, array in (("images-idx3", pixels), ("labels-idx1", labels)):
            head = struct.pack(">%dI" % (1 + array.ndim), 0x0800 + array.ndim, *array.shape)
            (folder / ("%s-%s-ubyte" % (prefix, name))).write_bytes(head + array.astype(np.uint8).tobytes())
    return folder


def call(backend, *arguments):
    return CliRunner().invoke(command_line("fake", "A fake.", backend), [str(argument) for argument in arguments])


def train_speller(backend, digits, output, *arguments):
    small = ("--data", digits, "--validation-size", 6, "--batch-size", 15, "--units", 7, "--output", output)
    return call(backend, "train", "speller", *small, *arguments)


def results_of(folder):
    return json.loads((folder / "results.json").read_text())


def test_train_speller_trains_names_on_the_one_batch_stream(backend, digits, tmp_path):
    result = train_speller(backend, digits, tmp_path, "--epochs", 3, "--seed", 5, "--learning-rate", 0.01)
    assert result.exit_code == 0, result.output
    (trainer,) = backend.trainers
    np.testing.assert_array_equal(trainer.batches, BatchStream(40, 15, 5).take(6))
    assert trainer.model == Model("speller", BasicRNN(7), COLUMNS, 16, max_steps=6)
    assert spelling.words(trainer.targets) == [spelling.NAMES[label % 10] for label in range(6, 46)]
    results = results_of(tmp_path)
    assert (results["program"], results["status"]) == ("speller", "finished")
    assert [epoch["test_accuracy"] for epoch in results["epochs"]] == [0.9] * 3  # 18 of 20 whole names
    assert (tmp_path / "learning_curve.png").read_bytes().startswith(PNG)
    assert "test accuracy 0.9000" in result.output


def test_train_speller_leaves_its_weights_and_predict_reads_them(backend, digits, tmp_path):
    train_speller(backend, digits, tmp_path, "--epochs", 1)
    (trainer,) = backend.trainers
    weights = tmp_path / "weights.npz"
    result = call(backend, "predict", "speller", "--weights", weights, "--data", digits, "--output", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "18 of 20 test images spelled right: 0.9000" in result.output
    assert (tmp_path / "out" / "spelled.png").read_bytes().startswith(PNG)
    model, read = backend.given
    assert model == trainer.model
    assert {name: array.tolist() for name, array in read.items()} == {
        name: array.tolist() for name, array in trainer.first.items()
    }


def test_the_picture_shows_right_and_wrong_words(backend, digits, tmp_path, monkeypatch):
    shown = []

    def picture(title, sections):
        shown.extend(sections)
        return b""

    monkeypatch.setattr("unrolled.command_line.predict_speller.spelled_images", picture)
    train_speller(backend, digits, tmp_path, "--epochs", 1)
    weights = tmp_path / "weights.npz"
    call(backend, "predict", "speller", "--weights", weights, "--data", digits, "--output", tmp_path, "--images", 6)
    first, wrong = shown
    assert first[2] == ["zero", "one", "two", "three", "five", "five"] and first[3][4] == "four"
    assert wrong[2:] == (["five", "two"], ["four", "one"]) and len(wrong[1]) == 2


def test_labels_that_are_no_digits_are_refused(backend, digits, tmp_path):
    path = digits / "t10k-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes()[:-1] + b"\x0c")
    result = train_speller(backend, digits, tmp_path)
    assert result.exit_code == 1 and "cannot be spelled" in result.output and "got 12" in result.output
    assert "Traceback" not in result.output and backend.opened == []


@pytest.mark.parametrize("what", ["missing", "text", "empty", "other weights", "pickled"])
def test_a_file_without_weights_is_one_sentence(backend, digits, tmp_path, what):
    path = tmp_path / "w.npz"
    if what == "text":
        path.write_text("not weights")
    elif what == "empty":
        path.write_bytes(b"")
    elif what == "other weights":
        np.savez(str(path), kernel=np.zeros((3, 3), np.float32))
    elif what == "pickled":
        np.savez(str(path), np.array([{}], dtype=object))
    result = call(backend, "predict", "speller", "--weights", path, "--data", digits, "--output", tmp_path)
    assert result.exit_code == 1 and result.output.startswith("Error: %s: " % path), result.output
    assert ("run `train speller` first" in result.output) == (what == "missing")
    assert result.output.count("\n") == 1


def test_weights_for_other_images_are_one_sentence(backend, digits, tmp_path):
    train_speller(backend, digits, tmp_path, "--epochs", 1)
    result = call(backend, "predict", "speller", "--weights", tmp_path / "weights.npz", "--output", tmp_path)
    assert result.exit_code == 1 and "reads rows of 3 pixels, the images have 28" in result.output


def test_train_vowels_gives_the_mean_of_several_seeds(backend, tmp_path):
    result = call(backend, "train", "vowels", "--epochs", 2, "--seeds", 3, "--seed", 4, "--output", tmp_path)
    assert result.exit_code == 0, result.output
    data = vowels.standardized(vowels.load())
    assert len(backend.trainers) == 3
    for seed, trainer in zip((4, 5, 6), backend.trainers):
        np.testing.assert_array_equal(trainer.batches, BatchStream(270, 30, seed).take(18))
        np.testing.assert_array_equal(trainer.inputs, data.train.inputs)
        np.testing.assert_array_equal(trainer.lengths, data.train.lengths)
    expected = float(np.mean(data.test.lengths % 9 == data.test.speaker))
    results = results_of(tmp_path)
    assert [one["seed"] for one in results["runs"]] == [4, 5, 6] and len(results["epochs"]) == 2
    assert results["mean_test_accuracy"] == pytest.approx(expected)
    assert "mean test accuracy of 3 seeds %.4f" % expected in result.output
    assert (tmp_path / "learning_curve.png").read_bytes().startswith(PNG)


def test_bucketed_vowels_train_on_batches_of_like_lengths(backend, tmp_path):
    result = call(backend, "train", "vowels", "--epochs", 2, "--seeds", 1, "--bucketed", "--output", tmp_path)
    lengths = vowels.load().train.lengths
    stream = BatchStream(270, 30, 1)
    expected = np.concatenate([bucketed(stream.take(9), lengths) for _ in range(2)])
    np.testing.assert_array_equal(backend.trainers[0].batches, expected)
    padding = results_of(tmp_path)["padding"]
    assert padding["bucketed"] < 0.1 < 0.25 < padding["as_drawn"]
    share = tuple(100 * padding[name] for name in ("as_drawn", "bucketed"))
    assert "padding: %.1f%% of the steps of the batches as drawn, %.1f%% of bucketed ones" % share in result.output
