"""Training runs of the command line: what is left in the folder, and that nothing is lost."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import torch_impl
from torch_impl.__main__ import make_group
from torch_impl.checkpoints import files
from torch_impl.checkpoints.files import held
from torch_impl.checkpoints.run_files import load_checkpoint, save_checkpoint
from torch_impl.runs.backend import RunBackend, RunTrainer
from torch_impl.runs.signals import StopSignals
from torch_impl.tests.kill_runs import killed_run
from torch_impl.tests.training_runs import (
    SERIES,
    VOWELS,
    assert_same_bits,
    call,
    images,
    mnist,
    results,
    stop_at,
    trained,
)
from unrolled.command_line import command_line
from unrolled.datasets import batches


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with small images, and finished runs of two programs that must not be changed."""
    folder = tmp_path_factory.mktemp("runs")
    small = images(folder / "images")
    trained(*mnist(small), "--epochs", 4, "--output", folder / "mnist")
    trained(*SERIES, "--output", folder / "series")
    return folder


def test_a_run_folder_says_how_it_was_made_and_can_be_used(home: Path) -> None:
    folder = home / "mnist"
    config = json.loads((folder / "config.json").read_text())
    assert config["program"] == "mnist" and config["seeds"] == [1]
    assert config["options"]["epochs"] == 4 and config["options"]["folder"] == str(home / "images")
    assert {"python", "torch", "numpy"} <= set(config["versions"])
    rows = list(csv.DictReader((folder / "log.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    assert [float(row["loss"]) for row in rows] == [epoch["loss"] for epoch in results(folder)["epochs"]]
    assert (folder / "learning_curve.png").read_bytes().startswith(b"\x89PNG")
    run = torch_impl.load_run(folder)
    assert (run.program, run.step, run.data["classes"]) == ("mnist", 52, 3)
    assert sorted(path.name.partition("-")[0] for path in folder.iterdir()) == [
        "config.json", "last", "last.json", "learning_curve.png", "log.csv", "results.json",
    ]  # fmt: skip


@pytest.mark.parametrize("program", ["mnist", "series"])
def test_what_a_run_has_beside_its_steps_changes_no_bit(program: str, home: Path, tmp_path: Path) -> None:
    arguments = (*mnist(home / "images"), "--epochs", "4") if program == "mnist" else SERIES
    plain = command_line("torch_impl", "", RunBackend)
    done = CliRunner().invoke(plain, ["train", *arguments, "--output", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert results(tmp_path) == results(home / program)


@pytest.mark.parametrize(
    ("arguments", "stops"),
    [(SERIES, (1, 5, 3)), (("mnist", "--epochs", "4"), (1, 4)), (VOWELS, (2, 3))],
    ids=["series", "mnist", "vowels"],
)
def test_stopped_and_resumed_gives_the_same_bits(
    arguments: tuple[str, ...], stops: tuple[int, ...], home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if arguments[0] == "mnist":
        arguments = (*mnist(home / "images"), *arguments[1:])
    whole, parts = home / arguments[0], tmp_path / "parts"
    if not whole.exists():
        whole = tmp_path / "whole"
        trained(*arguments, "--output", whole)
    for i, count in enumerate(stops):
        with monkeypatch.context() as patch:
            stop_at(patch, count)
            again = (arguments[0], "--resume", parts) if i else (*arguments, "--output", parts)
            output = trained(*again, code=128 + signal.SIGTERM)
        assert "Stopped after step" in output and f"train {arguments[0]} --resume {parts}" in output
        assert results(parts)["status"] == "interrupted"
        assert load_checkpoint(parts).state["run"]["finished"] is False
    trained(arguments[0], "--resume", parts)
    assert_same_bits(whole, parts)


def test_killed_and_resumed_gives_the_same_bits(tmp_path: Path) -> None:
    """More of it, over programs and moments: python -m torch_impl.tests.kill_runs."""
    arguments = ("series", "--units", "5", "--iterations", "20000", "--threads", "1")
    trained(*arguments, "--output", tmp_path / "whole")
    killed_run(arguments, tmp_path / "killed", [0.3], lambda *again: trained(*again))
    assert_same_bits(tmp_path / "whole", tmp_path / "killed")


def test_a_long_round_is_saved_within_too(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    calls, whole = iter(range(1, 100)), RunTrainer.run

    def run(self: RunTrainer, batches: np.ndarray) -> np.ndarray:
        if next(calls) == 8:
            raise Killed
        return whole(self, batches)

    with monkeypatch.context() as patch:
        patch.setattr("torch_impl.runs.folder._AT_MOST", 0.0)
        patch.setattr(RunTrainer, "run", run)
        with pytest.raises(Killed):
            CliRunner().invoke(make_group(), ["train", *SERIES, "--output", str(tmp_path)], catch_exceptions=False)
    assert load_checkpoint(tmp_path).state["step"] == 140
    trained("series", "--resume", tmp_path)
    assert_same_bits(home / "series", tmp_path)


def test_a_keyboard_interrupt_saves_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGINT)
    stop_at(monkeypatch, 4, signal.SIGINT)
    assert "Stopped after step 80" in trained(*SERIES, "--output", tmp_path, code=130)
    assert load_checkpoint(tmp_path).state["step"] == 80
    assert signal.getsignal(signal.SIGINT) is before


def test_a_finished_run_can_be_trained_further(home: Path, tmp_path: Path) -> None:
    """Also from a last round that was cut short: the whole of it is reported once."""
    trained("series", "--units", 5, "--iterations", 130, "--output", tmp_path)
    trained("series", "--resume", tmp_path, "--iterations", 250)
    assert_same_bits(home / "series", tmp_path)


def test_the_optimizers_count_of_steps_is_kept_where_its_powers_no_longer_tell_it(home: Path, tmp_path: Path) -> None:
    saved = load_checkpoint(home / "series")
    save_checkpoint(tmp_path, saved.tensors, {**saved.state, "adam_steps": 123_456})
    trained("series", "--resume", tmp_path, "--iterations", 260)
    state = load_checkpoint(tmp_path).state
    assert state["adam_steps"] == 123_466 and state["run"]["step"] == 260


def test_further_seeds_can_be_asked_for_but_no_other_length(tmp_path: Path) -> None:
    trained(*VOWELS[:-1], 2, "--output", tmp_path / "two")
    trained(*VOWELS[:-1], 1, "--output", tmp_path / "one")
    trained("vowels", "--resume", tmp_path / "one", "--seeds", 2)
    assert_same_bits(tmp_path / "two", tmp_path / "one")
    assert "leave their length as it was" in trained("vowels", "--resume", tmp_path / "two", "--epochs", 4, code=1)
    assert "has begun 2 trainings" in trained("vowels", "--resume", tmp_path / "two", "--seeds", 1, code=1)


def test_an_unfinished_or_converted_run_is_not_replaced(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_at(monkeypatch, 2)
    trained(*SERIES, "--output", tmp_path, code=143)
    before = load_checkpoint(tmp_path)
    message = trained(*SERIES, "--output", tmp_path, code=1)
    assert f"holds an unfinished run; go on with it by --resume {tmp_path}" in message and "--force" in message
    assert load_checkpoint(tmp_path).state == before.state
    trained(*SERIES, "--output", tmp_path, "--force")
    assert_same_bits(home / "series", tmp_path)
    save_checkpoint(tmp_path, before.tensors, {"model": before.state["model"], "step": 3})
    assert "holds a run that `train` did not make" in trained(*SERIES, "--output", tmp_path, code=1)


def test_one_training_at_a_time(home: Path) -> None:
    with held(home / "series"):
        for arguments in (("series", "--resume"), (*SERIES, "--output")):
            message = trained(*arguments, home / "series", code=1)
            assert (
                message == f"Error: {home / 'series'}: another process is training there; stop it or wait for its end\n"
            )
    trained("series", "--resume", home / "series")


def test_a_second_signal_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[int, int]] = []
    before = signal.getsignal(signal.SIGINT)
    with StopSignals() as signals:
        signals.waits = True
        signal.raise_signal(signal.SIGTERM)
        assert signals.number == signal.SIGTERM
        monkeypatch.setattr("os.kill", lambda process, number: sent.append((process, number)))
        signal.raise_signal(signal.SIGINT)
        assert sent == [(os.getpid(), signal.SIGINT)] and signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is before
    with StopSignals(insistent=False) as signals:  # a launcher passes on what the terminal has sent
        signals.waits = True
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
    assert len(sent) == 1


@pytest.mark.parametrize("name", ["batches", "rows", "batch", "seed"])
def test_a_place_in_the_batches_that_was_made_up_is_not_replayed(name: str, home: Path, tmp_path: Path) -> None:
    """Its checksums are right, and a thousand million million batches would take for ever."""
    checkpoint = load_checkpoint(home / "series")
    state = checkpoint.state
    stream = state["run"]["stream"]
    del stream["sha256"]
    stream[name] = 10**15
    stream["sha256"] = batches._digest(stream)
    state["run"]["finished"] = False
    save_checkpoint(tmp_path / "forged", checkpoint.tensors, state)
    message = trained("series", "--resume", tmp_path / "forged", code=1)
    assert "its account of the training does not hold together" in message and message.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_before_the_first_step_is_obeyed_at_once(
    number: signal.Signals, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(home / "series", tmp_path / "run")

    def endless(state: Any) -> None:
        signal.raise_signal(number)
        raise AssertionError("goes on")

    monkeypatch.setattr("unrolled.command_line.loop.BatchStream.from_state", endless)
    output = trained("series", "--resume", tmp_path / "run", "--iterations", "300", code=128 + number)
    assert "Stopped before the first step" in output
    monkeypatch.undo()
    trained("series", "--resume", tmp_path / "run", "--iterations", "300")


def test_a_finished_run_is_replaced_by_force_alone_and_its_further_checkpoints_go(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(home / "series", folder)
    save_checkpoint(folder, {}, {}, "best")
    done = call(*SERIES, "--output", folder)
    assert done.exit_code == 1 and "holds a finished run" in done.output and list(folder.glob("best*"))
    trained(*SERIES, "--output", folder, "--force")
    assert_same_bits(home / "series", folder)
    assert not list(folder.glob("best*"))


def test_an_older_checkpoint_replaces_a_newer_one_by_force_alone(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    trained(*SERIES, "--output", folder, "--checkpoint-every", "1")
    (older,) = folder.glob("iteration-000100.json")
    before = (folder / "last.json").read_bytes()
    done = call("series", "--resume", older)
    assert done.exit_code == 1 and "is at step 100, and 'last' there at step 250" in done.output
    assert (folder / "last.json").read_bytes() == before
    trained("series", "--resume", older, "--force")
    first, second = load_checkpoint(home / "series"), load_checkpoint(folder)
    assert second.state["step"] == 250
    assert all(array.tobytes() == second.tensors[name].tobytes() for name, array in first.tensors.items())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("mnist",), "holds a training of series, not of mnist: use train series --resume"),
        (("series", "--units", "6"), "--units cannot be given with --resume"),
        (("series", "--output", "elsewhere"), "--output cannot be given with --resume"),
        (("series", "--iterations", "100"), "has taken 250 steps, more than the 100 asked for"),
    ],
)
def test_what_cannot_be_resumed(arguments: tuple[str, ...], words: str, home: Path) -> None:
    done = call(*arguments, "--resume", home / "series")
    assert done.exit_code in (1, 2) and words in done.output


def test_a_damaged_checkpoint_is_one_sentence_and_another_can_be_named(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    trained(*SERIES, "--output", folder, "--checkpoint-every", 1)
    (tensors,) = folder.glob("last-*.safetensors")
    tensors.write_bytes(tensors.read_bytes()[:-1])
    message = trained("series", "--resume", folder, code=1)
    assert "truncated" in message and "also in this folder: iteration-000100, iteration-000200" in message
    assert message.count("\n") == 1
    trained("series", "--resume", folder / "iteration-000100.json")
    (folder / "config.json").unlink()
    first, second = load_checkpoint(home / "series"), load_checkpoint(folder)
    assert all(array.tobytes() == second.tensors[name].tobytes() for name, array in first.tensors.items())


def test_other_data_are_found(home: Path, tmp_path: Path) -> None:
    small = images(tmp_path / "images")
    trained(*mnist(small), "--epochs", 1, "--output", tmp_path / "run")
    path = small / "train-labels-idx1-ubyte"
    content = bytearray(path.read_bytes())
    content[-1] = (content[-1] + 1) % 3
    path.write_bytes(content)
    message = trained("mnist", "--resume", tmp_path / "run", "--epochs", 2, code=1)
    assert "was trained on other data than are there now" in message


def test_a_full_disk_ends_in_a_sentence_and_the_last_checkpoint_can_be_resumed(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained("series", "--units", 5, "--iterations", 100, "--output", tmp_path)

    def full(path: Path, data: bytes) -> None:
        raise files.CheckpointError(f"{path}: cannot be written (No space left on device)")

    with monkeypatch.context() as patch:
        patch.setattr("torch_impl.checkpoints.run_files.write_atomically", full)
        message = trained("series", "--resume", tmp_path, "--iterations", 250, code=1)
    assert message.splitlines()[-1].endswith("cannot be written (No space left on device)")
    trained("series", "--resume", tmp_path, "--iterations", 250)
    assert_same_bits(home / "series", tmp_path)


def test_a_loss_that_is_not_finite_says_where_and_what_to_try(tmp_path: Path) -> None:
    message = trained(*SERIES, "--learning-rate", "1e19", "--output", tmp_path, code=1)
    found = message.splitlines()[-1]
    assert "the loss is " in found and " at iteration " in found and "gradient norm" in found
    assert "one step earlier" in found and "try a smaller --learning-rate" in found and "--resume" in found
    assert results(tmp_path)["status"] == "not finite"
    state = load_checkpoint(tmp_path)
    assert all(np.isfinite(array).all() for array in state.tensors.values())
    trained("series", "--resume", tmp_path, "--learning-rate", "0.001")


def test_options_from_a_file_and_the_command_line_wins(home: Path, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("units = 5\niterations = 9999\nlearning-rate = 0.001\n")
    trained("series", "--config", tmp_path / "a.toml", "--iterations", 250, "--output", tmp_path / "run")
    assert_same_bits(home / "series", tmp_path / "run")


def test_options_of_a_run_train_another_like_it(home: Path, tmp_path: Path) -> None:
    trained("mnist", "--config", home / "mnist" / "config.json", "--output", tmp_path / "run")
    assert_same_bits(home / "mnist", tmp_path / "run")
    message = trained("series", "--config", home / "mnist" / "config.json", "--output", tmp_path / "other", code=1)
    assert "is of a training of 'mnist', not of series" in message


def test_options_from_yaml(tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    (tmp_path / "a.yaml").write_text("units: 4\nbucketed: true\nseeds: 1\nepochs: 1\n")
    trained("vowels", "--config", tmp_path / "a.yaml", "--output", tmp_path / "vowels")
    assert results(tmp_path / "vowels")["hyperparameters"]["bucketed"] is True


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.toml", "unit = 5", "'unit' is no option here; expected bidirectional, cell, checkpoint-every, "),
        ("a.toml", "units = 5.5", "'5.5' is not a valid integer"),
        ("a.toml", "units = true", "units is True, expected a number or a text"),
        ("a.toml", "units = [5]", "units is [5], expected a number or a text"),
        ("a.toml", "units = ", "is not valid TOML"),
        ("a.yaml", "units: [", "is not valid YAML"),
        ("a.json", "[" * 10_000, "is not valid JSON"),
        ("a.json", "[1]", "holds no table of options"),
        ("a.ini", "units = 5", "expected .toml, .yaml, .yml or .json"),
    ],
)
def test_a_wrong_file_of_options_is_one_sentence(name: str, text: str, words: str, tmp_path: Path) -> None:
    if name.endswith("yaml"):
        pytest.importorskip("yaml")
    (tmp_path / name).write_text(text)
    done = call("series", "--config", tmp_path / name, "--output", tmp_path / "run")
    assert done.exit_code in (1, 2) and words in done.output and "Traceback" not in done.output
    assert not (tmp_path / "run").exists()


def test_help_has_the_options_for_runs_apart() -> None:
    text = CliRunner().invoke(make_group(), ["train", "mnist", "--help"]).output
    own, _, for_runs = text.partition("Options for runs:")
    assert "--epochs" in own and "--resume" not in own
    assert all(flag in for_runs for flag in ("--resume", "--config", "--checkpoint-every"))


def test_a_pipe_of_options_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "options.toml")
    result = CliRunner().invoke(make_group(), ["train", "series", "--config", str(tmp_path / "options.toml")])
    assert result.exit_code == 1 and "options.toml: cannot be read (not a regular file)" in result.stderr


def test_the_log_is_not_written_through_a_link(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home / "series", tmp_path / "run")
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "run" / "log.csv").unlink()
    (tmp_path / "run" / "log.csv").symlink_to(tmp_path / "victim")
    trained("series", "--resume", tmp_path / "run", "--iterations", "300")
    assert (tmp_path / "victim").read_text() == "precious" and not (tmp_path / "run" / "log.csv").is_symlink()
