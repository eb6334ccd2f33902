"""`train --resume` of a run that `convert` made: on data that the user names, from TensorFlow's Adam and step."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from torch_impl.__main__ import make_group
from torch_impl.checkpoints.run_files import load_checkpoint, save_checkpoint
from torch_impl.runs import load_run
from torch_impl.runs.saved import weights_of
from torch_impl.tests import made_runs
from torch_impl.tests.converting import convert
from torch_impl.tests.test_tf1_zoo import check_weights
from unrolled.datasets import series

WHOLE = ("--test-share", 0, "--validation-share", 0)


def train(program: str, run: Path, *options: object) -> Result:
    return CliRunner().invoke(make_group(), ["train", program, "--resume", str(run), *map(str, options)])


@pytest.fixture(scope="module")
def made(recorded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """run: a classifier that TensorFlow had trained 6 steps. data.npz: the four rows of those, with three of its four
    classes."""
    home = tmp_path_factory.mktemp("made")
    assert convert(recorded / "contrib_relu", home / "run").exit_code == 0
    with np.load(recorded / "contrib_relu.npz") as truth:
        np.savez(home / "data.npz", inputs=truth["inputs"], labels=truth["targets"])
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "home"))


def test_the_next_step_is_tensorflows(home: Path, recorded: Path, tmp_path: Path) -> None:
    result = train("classifier", home / "run", "--data", home / "data.npz", "--epochs", 1, *WHOLE)
    assert result.exit_code == 0, result.output
    assert (
        "goes on with a classifier of 3 inputs, 5 tanh units, 8 hidden relu and 4 outputs, after 6 steps"
        in result.output
    )
    found = load_checkpoint(home / "run")
    assert (found.state["step"], found.state["adam_steps"]) == (7, 7)
    with np.load(recorded / "contrib_relu.npz") as truth:
        check_weights(weights_of(found), found.state, dict(truth))
        for name, own in found.state["tf1_names"].items():
            if name.endswith(("/Adam", "/Adam_1", "_power")):
                assert np.abs(found.tensors[f"slots/{name}"] - truth[f"next/{own}"]).max() <= 1e-6, name
    assert convert(home / "run", tmp_path / "back", "--to-tf1").exit_code == 0
    again = convert(tmp_path / "back", "--list")
    assert "fully_connected_1/weights/Adam_1  float32 [8, 4]" in again.output


def test_it_stops_and_goes_on_to_the_same_bits(home: Path, made: Path, tmp_path: Path) -> None:
    """Also its second start, which names no data, has TensorFlow's model and not the options'."""
    whole = shutil.copytree(made / "run", tmp_path / "whole")
    plan = ("--data", home / "data.npz", "--batch-size", 2, "--learning-rate", 0.02, *WHOLE)
    assert train("classifier", whole, "--epochs", 3, *plan).exit_code == 0
    assert train("classifier", home / "run", "--epochs", 1, *plan).exit_code == 0
    result = train("classifier", home / "run", "--epochs", 3)
    assert result.exit_code == 0, result.output
    found, expected = (load_checkpoint(path) for path in (home / "run", whole))
    assert found.state["step"] == expected.state["step"] == 6 + 3 * 2
    assert found.state["optimizer"]["learning_rate"] == 0.02
    assert {name: array.tobytes() for name, array in found.tensors.items()} == {
        name: array.tobytes() for name, array in expected.tensors.items()
    }


def test_of_a_chapters_program_the_data_are_known(tmp_path: Path) -> None:
    run, old = tmp_path / "run", made_runs.train(tmp_path, "series", "--iterations", 3, "--units", 5)
    assert convert(old, tmp_path / "tf1" / "model", "--to-tf1").exit_code == 0
    made = convert(tmp_path / "tf1" / "model", run, "--kind", "regressor", "--activation", "relu")
    assert made.exit_code == 0, made.output
    opened = load_run(run)
    trainer = opened.trainer(*series.training_pair())
    trainer.run([np.arange(1)] * 2)
    result = train("series", run, "--iterations", 2)
    assert result.exit_code == 0, result.output
    for name, array in load_run(run).model.canonical_weights().items():
        assert array.tobytes() == trainer.weights()[name].tobytes(), name


def test_it_is_trained_once_since_further_trainings_would_begin_anew(recorded: Path, tmp_path: Path) -> None:
    run, old = tmp_path / "run", made_runs.train(tmp_path, "vowels", "--epochs", 1, "--units", 3, "--seeds", 1)
    assert convert(old, tmp_path / "tf1" / "model", "--to-tf1").exit_code == 0
    made = convert(tmp_path / "tf1" / "model", run, "--kind", "classifier", "--activation", "tanh")
    assert made.exit_code == 0, made.output
    refused = train("vowels", run, "--epochs", 1, "--seeds", 2)
    assert refused.exit_code == 1 and "would begin from random weights; give --seeds 1" in refused.output
    result = train("vowels", run, "--epochs", 1)
    assert result.exit_code == 0 and "mean test accuracy of 1 seed " in result.output, result.output
    before, after = (load_checkpoint(each).state["step"] for each in (old, run))
    assert after == 2 * before
    assert train("vowels", run, "--seeds", 2).exit_code == 1


def test_an_unknown_step_stays_unknown(home: Path) -> None:
    found = load_checkpoint(home / "run")
    save_checkpoint(home / "run", found.tensors, {**found.state, "step": None})
    assert train("classifier", home / "run", "--data", home / "data.npz", "--epochs", 1, *WHOLE).exit_code == 0
    assert load_run(home / "run").step is None


@pytest.mark.parametrize(
    ("program", "options", "reason"),
    [
        ("classifier", (), "Missing option '--data'"),
        ("classifier", ("--data", "data.npz", "--units", 4), "--units cannot be given with --resume of a run that"),
        ("classifier", ("--data", "data.npz", "--output", "x"), "--output cannot be given with --resume of a run that"),
        ("classifier", ("--data", "wide.npz"), "the data are for a classifier of 2 inputs and 4 outputs"),
        ("classifier", ("--data", "five.npz"), "the data are for a classifier of 3 inputs and 5 outputs"),
        ("classifier", ("--data", "data.npz", "--config", "c.json"), "--config cannot be given with --resume of a run"),
        ("series", (), "the data are for a regressor of 1 inputs and 1 outputs; give `train classifier` the data"),
    ],
)
def test_what_does_not_fit_is_told_in_a_sentence(
    program: str, options: tuple[object, ...], reason: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    random = np.random.default_rng(0)
    np.savez("wide.npz", inputs=random.normal(size=(8, 6, 2)), labels=np.arange(8) % 4)
    np.savez("five.npz", inputs=random.normal(size=(10, 6, 3)), labels=np.arange(10) % 5)
    Path("c.json").write_text('{"batch-size": 2}')
    before = {path: path.read_bytes() for path in (home / "run").iterdir()}
    result = train(program, Path("run"), *options)
    assert result.exit_code in (1, 2), result.output
    assert reason in result.output
    assert result.output.count("Error: ") == 1
    assert "Traceback" not in result.output
    assert before == {path: path.read_bytes() for path in (home / "run").iterdir()}


def test_a_model_that_no_command_has_data_for_goes_on_from_python(recorded: Path, tmp_path: Path) -> None:
    assert convert(recorded / "bidirectional_tagger", tmp_path / "run").exit_code == 0
    result = train("classifier", tmp_path / "run", "--data", "x.npz")
    assert result.exit_code == 1
    assert "holds a tagger of tokens, which no `train` command has data for; go on from Python" in result.output
