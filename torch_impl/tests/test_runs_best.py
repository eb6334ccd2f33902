"""Checkpoint `best` is what a run is used by as long as it is the run's best round, and no longer."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import torch_impl
from torch_impl.checkpoints.default import default_checkpoint
from torch_impl.checkpoints.errors import CheckpointError
from torch_impl.checkpoints.run_files import load_checkpoint
from torch_impl.runs.folder import RunFolder
from torch_impl.runs.signals import Stopped
from torch_impl.tests.converting import convert
from torch_impl.tests.training_runs import call, images, mnist, trained
from torch_impl.tf1.bundle import Bundle
from unrolled.datasets import mnist as mnist_files

EPOCHS = 8


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """run: of 8 epochs, each a checkpoint; the best by accuracy is neither among the first two nor the last."""
    home = tmp_path_factory.mktemp("made")
    trained(*plan(images(home / "images")), "--checkpoint-every", 1, "--output", home / "run")
    return home


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made / "run", tmp_path / "run"))


def plan(folder: Path) -> tuple[Any, ...]:
    return (*mnist(folder), "--learning-rate", 0.05, "--seed", 0, "--epochs", EPOCHS, "--keep-best")


def best_round(folder: Path, name: str = "last") -> int | None:
    best = load_checkpoint(folder, name).state["run"]["best"]
    return None if best is None else int(best[1])


def test_the_plan_is_one_that_can_tell_the_rounds_apart(run: Path) -> None:
    best = best_round(run)
    assert best is not None and 2 < best < EPOCHS
    assert default_checkpoint(run) == "best" and torch_impl.load_run(run).step == 13 * best
    assert_weights(run, "best", f"epoch-{best:04d}")


def test_what_python_saved_is_what_the_run_goes_on_from(run: Path, made: Path, tmp_path: Path) -> None:
    opened, part = torch_impl.load_run(run), mnist_files.load(made / "images", 6).train
    assert opened.checkpoint == "best" and opened.step is not None
    before = {path.name: path.read_bytes() for path in run.glob("best*")}
    trainer = opened.trainer(part.images, part.labels)
    trainer.run(np.arange(6).reshape(2, 3))
    assert opened.save(trainer).name == "last.json"
    again = torch_impl.load_run(run)
    assert (again.checkpoint, again.step) == ("last", opened.step + 2)
    done = convert(run, tmp_path / "tf1" / "model", "--to-tf1")
    assert done.exit_code == 0 and "of checkpoint 'last', for tf.train" in done.output, done.output
    for kernel in (
        Bundle(tmp_path / "tf1" / "model").read("rnn/basic_rnn_cell/kernel"),
        again.model.canonical_weights()["kernel"],
    ):
        assert np.array_equal(kernel, trainer.weights()["kernel"])
    assert before == {path.name: path.read_bytes() for path in run.glob("best*")}
    trained("mnist", "--resume", run)
    assert load_checkpoint(run).state["step"] == 13 * EPOCHS + 2
    assert default_checkpoint(run) == "best"  # of the rounds since
    found = best_round(run)
    assert found is not None and load_checkpoint(run, "best").state["step"] == 13 * found + 2


def test_back_to_tensorflow_goes_what_all_else_takes(run: Path, tmp_path: Path) -> None:
    for number, (options, name) in enumerate([((), "best"), (("--checkpoint", "last"), "last")]):
        done = convert(run, tmp_path / str(number) / "model", "--to-tf1", *options)
        assert done.exit_code == 0 and f"of checkpoint {name!r}, for tf.train" in done.output, done.output
        kernel = Bundle(tmp_path / str(number) / "model").read("rnn/basic_rnn_cell/kernel")
        assert np.array_equal(kernel, load_checkpoint(run, name).tensors["weights/kernel"])


def test_a_best_round_that_is_no_longer_kept_up_is_not_taken(run: Path) -> None:
    trained("mnist", "--resume", run, "--no-keep-best", "--epochs", EPOCHS + 1)
    assert best_round(run) is None and torch_impl.load_run(run).checkpoint == "last"
    trained("mnist", "--resume", run, "--keep-best", "--epochs", EPOCHS + 2)
    assert best_round(run) == EPOCHS + 2 and torch_impl.load_run(run).step == 13 * (EPOCHS + 2)


def test_a_best_round_after_the_one_gone_back_to_is_not_taken(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained("mnist", "--resume", run / "epoch-0002.json", "--force", "--epochs", 2)
    assert torch_impl.load_run(run).checkpoint == "last"
    trained("mnist", "--resume", run, "--epochs", EPOCHS)
    assert default_checkpoint(run) == "best" and load_checkpoint(run, "best").state["step"] == 13 * (
        best_round(run) or 0
    )


def test_a_best_round_of_the_run_before_is_not_taken(run: Path, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(self: RunFolder) -> None:
        raise Stopped(9)

    monkeypatch.setattr(RunFolder, "forget_others", killed)
    assert call(*plan(made / "images"), "--force", "--output", run).exit_code
    assert "best" in [path.stem for path in run.glob("*.json")] and torch_impl.load_run(run).checkpoint == "last"


def test_the_best_round_waits_until_saving_is_due(
    run: Path, made: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Here, to the end; and that of then is as it was in its round."""
    names, save = [], RunFolder.save

    def saved(self: RunFolder, tensors: Any, state: Any, name: str = "last") -> None:
        names.append(name)
        save(self, tensors, state, name)

    monkeypatch.setattr(RunFolder, "save", saved)
    monkeypatch.setattr(RunFolder, "due", lambda *_: False)
    trained(*plan(made / "images"), "--output", tmp_path / "waited")
    assert names == ["last", "best", "last", "last"]  # the beginning, the last round, the end
    assert_weights(tmp_path / "waited", "best", "best", run)
    assert best_round(tmp_path / "waited") == best_round(tmp_path / "waited", "best") == best_round(run)


def test_alone_it_is_the_run_and_damaged_it_is_told_of(run: Path, tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    for path in run.glob("best*"):
        shutil.copy(path, tmp_path / "copy")
    assert torch_impl.load_run(tmp_path / "copy").checkpoint == "best"
    text = (run / "best.json").read_bytes()
    (run / "best.json").write_bytes(text[:-40])
    with pytest.raises(CheckpointError, match=r"best.json.*also in this folder: .*last"):
        torch_impl.load_run(run)


def assert_weights(folder: Path, name: str, other: str, where: Path | None = None) -> None:
    found, expected = load_checkpoint(folder, name).tensors, load_checkpoint(where or folder, other).tensors
    assert {key: array.tobytes() for key, array in found.items()} == {
        key: array.tobytes() for key, array in expected.items()
    }
