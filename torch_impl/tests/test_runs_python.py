"""Runs from Python: begun, opened, trained on and saved; the command line's, older ones, a user's own module."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import torch_impl
from torch_impl import build
from torch_impl.checkpoints import CheckpointError
from torch_impl.checkpoints.files import held
from torch_impl.checkpoints.run_files import load_checkpoint, save_checkpoint
from torch_impl.runs import load_run, save_run
from torch_impl.tests.own_module import BATCHES, LABELS, ROWS, Net, go_on
from torch_impl.tests.training_runs import images, log, mnist, results, stop_at, trained
from torch_impl.tf1.bundle import Bundle
from torch_impl.tf1.command import convert
from unrolled.datasets import mnist as mnist_files
from unrolled.datasets.batches import BatchStream
from unrolled.models import Dense, Model, to_plain
from unrolled.networks import GRU, LSTM, Bidirectional, Dropout, KerasGRU, LayerNormLSTM, Layers
from unrolled.programs import Adam

BEFORE = Path(__file__).parent / "files" / "before_networks"


def net() -> Net:
    torch.manual_seed(3)
    return Net()


def trainer_of(model: torch.nn.Module) -> torch_impl.Trainer:
    return torch_impl.Trainer(model, Adam(0.01), torch.tensor(ROWS).float(), torch.tensor(LABELS))


def test_a_module_of_ones_own_is_saved_and_goes_on_in_another_process_to_the_same_bits(tmp_path: Path) -> None:
    trainer = trainer_of(net())
    trainer.run(BATCHES[:3])
    run = save_run(tmp_path / "run", trainer, "mine", {"note": "x"})
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    asked = (str(tmp_path / "copy"), str(tmp_path / "out.npz"), str(torch.get_num_threads()))
    subprocess.run([sys.executable, "-m", "torch_impl.tests.own_module", *asked], check=True, timeout=120)
    expected = go_on(run)
    whole = trainer_of(net())
    np.testing.assert_array_equal(whole.run(BATCHES)[3:], expected["losses"])
    with np.load(tmp_path / "out.npz") as found:
        assert set(found.files) == set(expected) > {"read/weight_ih_l0", "dense/bias/Adam"}
        for name, array in expected.items():
            assert found[name].tobytes() == array.tobytes(), name
    again = load_run(tmp_path / "run", model=Net())
    assert (again.program, again.step, again.data) == ("mine", 6, {"note": "x"})
    assert (again.predict(ROWS) == expected["predictions"]).all() and not again.model.training


def test_what_a_module_of_ones_own_needs_is_said(tmp_path: Path) -> None:
    run = save_run(tmp_path, trainer_of(net()))
    with pytest.raises(CheckpointError, match=r"a module of your own, '.*own_module\.Net'; make one and give it"):
        load_run(tmp_path)
    with pytest.raises(CheckpointError, match=r"does not fit the given model \(weights must be exactly"):
        load_run(tmp_path, model=torch.nn.GRU(3, 6))
    other = Net()
    other.norm = torch.nn.BatchNorm1d(6, track_running_stats=False)
    with pytest.raises(CheckpointError, match=r"buffers must be exactly none, got norm\.num_batches_tracked"):
        load_run(tmp_path, model=other)
    with pytest.raises(CheckpointError, match="holds a run; name another folder, or open it with load_run"):
        save_run(tmp_path, trainer_of(net()))
    with pytest.raises(ValueError, match="trainer must train this run's own model"):
        run.save(trainer_of(net()))
    with held(tmp_path), pytest.raises(CheckpointError, match="another process is training there"):
        run.save(trainer_of(run.model))


def test_the_librarys_models_need_no_module_but_where_a_value_does_not_say_all(tmp_path: Path) -> None:
    rnn = torch_impl.RNN
    classifier = torch_impl.Classifier(rnn(3, 5, "relu"), 4)
    save_run(tmp_path / "c", trainer_of(classifier), data={"scaling": {"shift": [1.0, 2, 3], "scale": [2.0, 2, 2]}})
    run = load_run(tmp_path / "c")
    scaled = torch.tensor((ROWS - [1, 2, 3]) / 2).float()
    assert np.array_equal(run.logits(ROWS), classifier(scaled).detach().numpy())
    tokens = torch.tensor(np.random.default_rng(0).integers(0, 5, (12, 4)))
    for name, embedding in (("s", None), ("e", 2)):
        decoder = torch_impl.Decoder(rnn(embedding or 5, 6), 5, embedding=embedding)
        speller = torch_impl.Speller(rnn(3, 6), decoder, 4)
        save_run(tmp_path / name, torch_impl.Trainer(speller, Adam(), torch.tensor(ROWS).float(), tokens))
        if embedding is None:
            assert isinstance(load_run(tmp_path / name).model, torch_impl.Speller)
            continue
        with pytest.raises(CheckpointError, match="make one and give it"):
            load_run(tmp_path / name)
        assert load_run(tmp_path / name, model=speller).predict(ROWS).shape == (12, 4)


VALUES = [
    Model("classifier", Layers((Dropout(LSTM(5), 0.5, 0.9), GRU(4))), 7, 3, embedding=2, hidden=(Dense(6, "relu"),)),
    Model("tagger", Bidirectional(KerasGRU(3), LSTM(2)), 7, 3, embedding=2, activation="sigmoid"),
    Model("regressor", LayerNormLSTM(4, candidate_keep=0.5), 3, 2, hidden=(Dense(6), Dense(5, "selu"))),
    Model("speller", Dropout(LSTM(5), state_keep=0.5), 7, 6, max_steps=4, embedding=3),
]


@pytest.mark.parametrize("value", VALUES, ids=[value.kind for value in VALUES])
def test_a_run_keeps_what_the_library_s_models_are_made_of(value: Model, tmp_path: Path) -> None:
    model, random = build.model(value), np.random.default_rng(0)
    model.reset_parameters()
    rows = torch.tensor(ROWS).float() if not value.embedding else torch.tensor(random.integers(0, 7, (12, 5)))
    targets = torch.tensor(random.integers(0, 3, {"classifier": (12,), "speller": (12, 2)}.get(value.kind, (12, 5))))
    if value.kind == "regressor":
        targets = torch.rand(12, rows.shape[1], 2)
    trainer = torch_impl.Trainer(model, Adam(0.01), rows, targets, [2] * 12)
    trainer.run(BATCHES[:1])
    save_run(tmp_path, trainer)
    run = load_run(tmp_path)
    assert run.state["model"] == to_plain(value)
    assert np.array_equal(run.logits(rows, [2] * 12), model.eval()(rows, [2] * 12).detach().numpy())
    assert run.trainer(rows, targets).run(BATCHES[:1]).shape == (1,)
    assert all(part.training for part in run.model.modules())
    run.predict(rows)
    assert all(part.training for part in run.model.modules())


class OwnCell(torch_impl.BasicRNNCell):
    """With a network that is no value of the library."""

    network = property(lambda self: SimpleNamespace(state={"h": 5}, read_out=("h",), output_size=5), lambda *_: None)
    units, activation = 5, "tanh"

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        torch.nn.init.ones_(self.weight_ih)


def test_what_no_value_says_is_kept_as_a_module_of_one_s_own(tmp_path: Path) -> None:
    both = torch_impl.LSTM(3, 5, bidirectional=True)
    for name, model in (
        ("cell", torch_impl.Classifier(torch_impl.Recurrent(OwnCell(3, 5)), 4)),
        ("wrapped", torch_impl.Regressor(both, 2, "wrapped")),
    ):
        targets = torch.tensor(LABELS) if name == "cell" else torch.rand(*ROWS.shape[:2], 2)
        save_run(tmp_path / name, torch_impl.Trainer(model, Adam(0.01), torch.tensor(ROWS).float(), targets))
        with pytest.raises(CheckpointError, match="make one and give it"):
            load_run(tmp_path / name)


@pytest.fixture
def stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of `train mnist`, of 4 epochs with 13 batches each, stopped after the 10th of the second one."""
    with monkeypatch.context() as patch:
        stop_at(patch, 3)
        options = ("--epochs", 4, "--threads", torch.get_num_threads(), "--output", tmp_path / "run")
        trained(*mnist(images(tmp_path / "images")), *options, code=128 + signal.SIGTERM)
    return tmp_path / "run"


def test_train_goes_on_with_what_python_saved_at_the_batch_that_would_have_come_next(
    stopped: Path, tmp_path: Path
) -> None:
    part = mnist_files.load(tmp_path / "images", 6).train
    run = load_run(stopped)
    trainer = run.trainer(part.images, part.labels)
    trainer.run(np.arange(15).reshape(5, 3))
    run.save(trainer)
    state = load_checkpoint(stopped).state
    assert (state["step"], state["adam_steps"], state["run"]["step"]) == (28, 28, 23)
    assert state["run"]["finished"] is False
    trained("mnist", "--resume", stopped)
    stream = BatchStream.from_state(run.state["run"]["stream"])
    trainer.run(stream.take(39)[10:])  # the rest of the three epochs begun or to come
    finished = load_checkpoint(stopped)
    for name, array in trainer.weights().items():
        assert finished.tensors[f"weights/{name}"].tobytes() == array.tobytes(), name
    assert finished.state["step"] == 57 and finished.state["run"]["finished"] is True
    assert [epoch["epoch"] for epoch in results(stopped)["epochs"]] == [1, 2, 3, 4] and len(log(stopped)) == 5


def test_a_finished_run_saved_from_python_can_be_converted_and_trained_further(stopped: Path, tmp_path: Path) -> None:
    trained("mnist", "--resume", stopped)
    part = mnist_files.load(tmp_path / "images", 6).train
    run = load_run(stopped)
    trainer = run.trainer(part.images, part.labels)
    for _ in range(2):  # saved as often as wanted
        trainer.run([[0, 1, 2]])
        run.save(trainer)
    saved = load_checkpoint(stopped)
    assert saved.state["step"] == 54 and saved.state["run"]["finished"] is True
    trained("mnist", "--resume", stopped)  # nothing to do
    assert load_checkpoint(stopped).tensors["weights/kernel"].tobytes() == saved.tensors["weights/kernel"].tobytes()
    done = CliRunner().invoke(convert, [str(stopped), str(tmp_path / "tf1" / "model"), "--to-tf1"])
    assert done.exit_code == 0, done.output
    bundle = Bundle(tmp_path / "tf1" / "model")
    assert bundle.read("global_step") == 54
    assert np.array_equal(bundle.read("rnn/basic_rnn_cell/kernel"), trainer.weights()["kernel"])
    trained("mnist", "--resume", stopped, "--epochs", 5)
    assert load_checkpoint(stopped).state["step"] == 54 + 13


def test_a_run_of_before_networks_were_values_opens_converts_and_goes_on(stopped: Path, tmp_path: Path) -> None:
    """files/before_networks is `stopped` as it was then; its folder of images is left to be filled in."""
    tensors, state = load_checkpoint(BEFORE)
    assert "cell" in state["model"] and state["run"]["adam_steps"] == 23
    folder = tmp_path / "before"
    save_checkpoint(folder, tensors, {**state, "options": {**state["options"], "folder": str(tmp_path / "images")}})
    rows = np.random.default_rng(0).normal(size=(5, 4, 3))
    np.testing.assert_allclose(load_run(folder).logits(rows), load_run(stopped).logits(rows), rtol=1e-4, atol=1e-5)
    done = CliRunner().invoke(convert, [str(folder), str(tmp_path / "tf1" / "model"), "--to-tf1"])
    assert done.exit_code == 0, done.output
    for run in (folder, stopped):
        trained("mnist", "--resume", run)
    assert load_checkpoint(folder).state["run"]["step"] == 52
    losses, expected = ([epoch["loss"] for epoch in results(run)["epochs"]] for run in (folder, stopped))
    np.testing.assert_allclose(losses, expected, rtol=1e-3)


def test_opening_a_run_changes_no_setting_and_loads_no_triton(tmp_path: Path) -> None:
    save_run(tmp_path, trainer_of(torch_impl.Classifier(torch_impl.RNN(3, 5), 4)))
    code = """
import sys, torch
def settings():
    cuda, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    flags = cuda.allow_tf32, cudnn.allow_tf32, cudnn.benchmark, torch.get_float32_matmul_precision()
    return *flags, torch.get_num_threads(), torch.get_default_dtype(), torch.get_rng_state().tolist()
torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
before = settings()
import numpy, torch_impl
run = torch_impl.load_run(sys.argv[1])
run.predict(numpy.zeros((2, 7, 3)))
assert settings() == before
assert not [name for name in sys.modules if name.partition(".")[0] in ("triton", "click")]
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code, tmp_path], check=True, timeout=120)


def test_a_classifier_takes_and_gives_the_names_of_its_classes_and_no_nan(tmp_path: Path) -> None:
    model = torch_impl.Classifier(torch_impl.RNN(2, 5), 3)
    random = np.random.default_rng(0)
    inputs, labels = random.normal(size=(12, 4, 2)), np.arange(12) % 3
    first = torch_impl.Trainer(model, Adam(0.01), torch.tensor(inputs).float(), torch.tensor(labels))
    names = np.array(["ä", "b", "c"])
    save_run(tmp_path, first, data={"classes": names.tolist()})
    runs = [load_run(tmp_path), load_run(tmp_path)]
    by_number = runs[0].trainer(inputs, labels).run(np.arange(12)[None])
    by_name = runs[1].trainer(inputs, names[labels]).run(np.arange(12)[None])
    np.testing.assert_array_equal(by_number, by_name)
    assert runs[0].predict(inputs, names=True).tolist() == names[runs[0].predict(inputs)].tolist()
    with pytest.raises(ValueError, match=r"targets\[1\] = 'd' must be one of the classes ä, b, c"):
        runs[0].trainer(inputs[:2], ["b", "d"])
    inputs[3, 2, 1] = np.nan
    for use in (runs[0].predict, runs[0].logits, lambda values: runs[0].trainer(values, labels)):
        with pytest.raises(ValueError, match="inputs, row 3: nan at step 2, input 1, expected a finite number"):
            use(inputs)
    runs[0].predict(inputs, lengths=np.full(12, 2))  # padding may hold anything
    run = save_run(tmp_path / "nameless", first)
    with pytest.raises(ValueError, match="do not name its classes"):
        run.predict(inputs, names=True)
