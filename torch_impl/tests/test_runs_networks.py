"""Runs of networks beyond the plain cell: stopped, killed and resumed to the same bits, used, exported, shared."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

import torch_impl
from torch_impl.__main__ import make_group
from torch_impl.runs.backend import RunBackend
from torch_impl.runs.eager import StepOptions
from torch_impl.tests.kill_runs import killed_run
from torch_impl.tests.made_runs import write_tide, write_waves
from torch_impl.tests.test_runs_processes import launched
from torch_impl.tests.training_runs import assert_same_bits, results, stop_at, trained
from unrolled import networks
from unrolled.initial_values import draw
from unrolled.models import Model
from unrolled.networks import GRU, LSTM, Bidirectional, Dropout, KerasLSTM, LayerNormLSTM, Layers
from unrolled.programs import Adam

SMALL = ("--units", "5", "--epochs", "3", "--batch-size", "16")
DEEP = ("--layers", "2", "--bidirectional", "--dropout", "0.4")


def classifier(folder: Path, *options: Any) -> tuple[Any, ...]:
    """Options of a training on rows of different lengths."""
    data = folder / "waves.npz"
    return ("classifier", "--data", data if data.exists() else write_waves(data, 48), *SMALL, *options)


def regressor(folder: Path, *options: Any) -> tuple[Any, ...]:
    data = folder / "tide.csv"
    columns = ("--column", "level", "--column", "flow", "--window", 12)
    return ("regressor", "--data", data if data.exists() else write_tide(data, 200), *columns, *SMALL, *options)


def call(*arguments: Any) -> Result:
    done = CliRunner().invoke(make_group(), [str(argument) for argument in arguments])
    assert done.exit_code == 0, (done.output, done.exception)
    return done


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two finished runs: a classifier in two directions with dropout, a regressor of layers."""
    folder = tmp_path_factory.mktemp("networks")
    trained(*classifier(folder, "--cell", "lstm", *DEEP), "--output", folder / "classifier")
    trained(*regressor(folder, "--cell", "gru", "--layers", 2, "--dropout", 0.2), "--output", folder / "regressor")
    return folder


def test_the_run_folder_holds_the_network(home: Path) -> None:
    dropped = Dropout(LSTM(5), output_keep=0.6)
    both = Bidirectional(dropped, dropped)
    config = json.loads((home / "classifier" / "config.json").read_text())
    assert networks.from_plain(config["model"]["network"]) == Layers((both, both))
    plain = results(home / "classifier")["hyperparameters"]["network"]
    assert networks.from_plain(plain) == torch_impl.load_run(home / "classifier").model.rnn.network


@pytest.mark.parametrize("program", ["classifier", "regressor"])
def test_stopped_and_resumed_drops_what_it_would_have_dropped(
    program: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if program == "classifier":
        arguments = classifier(home, "--cell", "lstm", *DEEP)
    else:
        arguments = regressor(home, "--cell", "gru", "--layers", 2, "--dropout", 0.2)
    with monkeypatch.context() as patch:
        stop_at(patch, 2)
        trained(*arguments, "--output", tmp_path / "parts", code=128 + signal.SIGTERM)
    torch.manual_seed(1)  # nothing hangs on where PyTorch's own generator is
    trained(program, "--resume", tmp_path / "parts")
    assert_same_bits(home / program, tmp_path / "parts")


def test_killed_and_resumed_drops_what_it_would_have_dropped(tmp_path: Path) -> None:
    options = ("--cell", "lstm", "--units", "4", "--dropout", "0.3", "--iterations", "300", "--threads", "1")
    arguments = ("series", *options)
    trained(*arguments, "--output", tmp_path / "whole")
    killed_run(arguments, tmp_path / "killed", [0.1], lambda *again: trained(*again))
    assert_same_bits(tmp_path / "whole", tmp_path / "killed")


def test_another_seed_drops_other_outputs_and_dropout_changes_the_loss() -> None:
    model = Model("regressor", Dropout(LSTM(4), output_keep=0.5), 2, 1)
    weights = draw(model.weights(), np.random.RandomState(0))
    random = np.random.RandomState(1)
    data = random.normal(size=(6, 5, 2)).astype(np.float32), random.normal(size=(6, 5, 1)).astype(np.float32)
    batches = np.arange(6).reshape(2, 3)

    def losses(seed: int, network: Any = model.network, **options: Any) -> np.ndarray:
        value = Model("regressor", network, 2, 1)
        return RunBackend().trainer(value, weights, Adam(0.01), *data, seed=seed, **options).run(batches)

    assert np.array_equal(losses(1), losses(1)) and not np.array_equal(losses(1), losses(2))
    assert not np.allclose(losses(1), losses(1, LSTM(4)), rtol=1e-3)
    eager = losses(1, options=StepOptions(1e9, 0.0, None))  # the same masks, by other code
    np.testing.assert_allclose(losses(1), eager, rtol=1e-5)


def test_used_runs_drop_nothing(home: Path) -> None:
    run = torch_impl.load_run(home / "classifier")
    inputs = np.random.RandomState(0).normal(100, 5, (3, 6, 2)).astype(np.float32)
    first, second = run.logits(inputs), run.logits(inputs)
    assert np.array_equal(first, second)


@pytest.mark.parametrize(("program", "data"), [("classifier", "waves.npz"), ("regressor", "tide.csv")])
def test_every_door_takes_the_run(program: str, data: str, home: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    folder = home / program
    assert ("row 47" if program == "classifier" else "level") in call("predict", folder, home / data).output
    assert "test" in call("evaluate", folder).output
    assert "differs from the run by at most" in call("export", folder, tmp_path / "model.onnx").output


def test_a_trainer_from_python_goes_on(home: Path, tmp_path: Path) -> None:
    trained(*classifier(home, "--cell", "gru", "--bidirectional"), "--output", tmp_path / "run")
    run = torch_impl.load_run(tmp_path / "run")
    rows = np.load(home / "waves.npz")
    inputs = np.stack([rows[f"arr_{number}"][:6] for number in range(8)]).astype(np.float32)
    trainer = run.trainer(inputs, np.arange(8) % 2)
    assert np.isfinite(trainer.run(np.arange(8).reshape(2, 4))).all()
    run.save(trainer)
    again = torch_impl.load_run(tmp_path / "run")
    assert run.step is not None and again.step == run.step + 2
    assert np.array_equal(again.logits(inputs), run.logits(inputs))


@pytest.mark.parametrize(
    "network", [LayerNormLSTM(3), KerasLSTM(3), GRU(3, reset_after=True)], ids=lambda each: each.kind
)
def test_a_saved_model_of_every_kind_comes_back(network: Any, tmp_path: Path) -> None:
    from torch_impl import build

    model = build.loaded(value := Model("tagger", network, 2, 3), draw(value.weights(), np.random.RandomState(0)))
    inputs, targets = torch.ones(2, 4, 2), torch.zeros(2, 4, dtype=torch.int64)
    trainer = torch_impl.Trainer(model, Adam(0.01), inputs, targets)
    trainer.run(np.zeros((1, 2), np.int64))
    torch_impl.save_run(tmp_path / "run", trainer)
    found = torch_impl.load_run(tmp_path / "run").model
    assert found.rnn.network == network and torch.equal(found(inputs), model.eval()(inputs))


def test_two_processes_share_the_batches_of_a_network_in_two_directions(tmp_path: Path) -> None:
    arguments = ("vowels", "--cell", "lstm", "--bidirectional", "--units", 4, "--batch-size", 31, "--seeds", 1)
    trained(*arguments, "--epochs", 2, "--output", tmp_path / "one")
    done = launched(2, "-m", "torch_impl", "train", *arguments, "--epochs", 2, "--output", tmp_path / "two")
    assert done.returncode == 0, done.stderr
    losses = [[epoch["loss"] for epoch in results(tmp_path / name)["epochs"]] for name in ("one", "two")]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("classifier", "--layers", "0"), "--layers"),
        (("classifier", "--dropout", "1.5", "--layers", "2"), "--dropout"),
        (("classifier", "--dropout", "0.5"), "add --layers 2"),
        (("regressor", "--bidirectional"), "reads a window from its end"),
        (("classifier", "--cell", "lstm", "--units", "0"), "--units"),
    ],
)
def test_a_network_that_cannot_be_had_is_one_sentence(
    arguments: tuple[str, ...], words: str, home: Path, tmp_path: Path
) -> None:
    made = (classifier if arguments[0] == "classifier" else regressor)(home, *arguments[1:])
    message = trained(*made, "--output", tmp_path / "run", code=2)
    assert words in " ".join(message.split()) and "Traceback" not in message
