"""Clipping, weight decay, truncation, schedules, early stopping and the other options of training runs."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import torch_impl
from torch_impl.checkpoints.run_files import load_checkpoint, save_checkpoint
from torch_impl.runs.eager import EagerTrainer, StepOptions
from torch_impl.runs.schedule import parse_schedule
from torch_impl.tests.training_runs import SERIES, assert_same_bits, call, images, mnist, results, stop_at, trained
from torch_impl.training.trainer import Trainer
from unrolled.programs import Adam

ROWS, STEPS, INPUTS, UNITS, OUTPUTS = 9, 7, 3, 5, 2
ADAM = Adam(learning_rate=0.01)


def regressor(projection: str = "stacked") -> torch_impl.Regressor:
    model = torch_impl.Regressor(torch_impl.RNN(INPUTS, UNITS, dtype=torch.float64), OUTPUTS, projection)
    model.reset_parameters(torch.Generator().manual_seed(3))
    return model


def data() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """inputs, targets, lengths: every kind of length."""
    random = np.random.default_rng(0)
    inputs, targets = random.normal(size=(ROWS, STEPS, INPUTS)), 3 * random.normal(size=(ROWS, STEPS, OUTPUTS))
    return torch.tensor(inputs), torch.tensor(targets), torch.tensor([7, 0, 1, 3, 4, 5, 2, 6, 7])


BATCHES = np.random.default_rng(1).integers(0, ROWS, (6, 4))


def eager(**options: Any) -> EagerTrainer:
    inputs, targets, _ = data()
    return EagerTrainer(regressor(), ADAM, inputs, targets, options=StepOptions(**options))


def expected(change: Any) -> tuple[list[float], nn.Module]:
    """Losses and model after the same steps written out, `change` applied between gradient and optimizer's step."""
    model, (inputs, targets, _) = regressor(), data()
    optimizer = torch_impl.Adam(model.parameters(), lr=ADAM.learning_rate)
    losses = []
    for rows in BATCHES:
        loss = model.loss(model(inputs[rows]), targets[rows])
        optimizer.zero_grad()
        loss.backward()
        change(model)
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses, model


def assert_same(trainer: Trainer, losses: list[float], model: nn.Module) -> None:
    np.testing.assert_allclose(trainer.run(BATCHES), losses, rtol=1e-12)
    for name, weight in model.canonical_weights().items():  # type: ignore[operator]
        np.testing.assert_allclose(trainer.weights()[name], weight, rtol=1e-10, atol=1e-12)


def test_without_options_it_is_the_trainer() -> None:
    assert_same(eager(), *expected(lambda model: None))


def test_the_gradient_is_clipped_to_a_norm() -> None:
    norms = []

    def clip(model: nn.Module) -> None:
        norm = torch.sqrt(sum(p.grad.square().sum() for p in model.parameters()))  # type: ignore
        norms.append(float(norm))
        for p in model.parameters():
            p.grad *= min(1.0, 2.0 / float(norm))  # type: ignore

    assert_same(eager(clip_norm=2.0), *expected(clip))
    assert min(norms) < 2.0 < max(norms), norms


def test_weight_decay_is_decoupled() -> None:
    def decay(model: nn.Module) -> None:
        with torch.no_grad():
            for p in model.parameters():
                p.sub_(ADAM.learning_rate * 0.3 * p)

    assert_same(eager(weight_decay=0.3), *expected(decay))


@pytest.mark.parametrize("projection", ["stacked", "wrapped"])
@pytest.mark.parametrize("with_lengths", [False, True])
def test_truncated_gradients_end_at_the_boundaries_and_the_loss_is_that_of_the_whole(
    projection: str, with_lengths: bool
) -> None:
    inputs, targets, every = data()
    lengths = every if with_lengths else None
    model = regressor(projection)
    trainer = EagerTrainer(model, ADAM, inputs, targets, lengths, options=StepOptions(truncate=3))
    trainer.optimizer.step = lambda closure=None: None  # type: ignore[method-assign]
    (loss,) = trainer.run(np.arange(ROWS)[None])

    other = regressor(projection)
    whole = other.loss(other(inputs, lengths), targets)
    np.testing.assert_allclose(loss, float(whole.detach()), rtol=1e-12)
    state, outputs = other.rnn.cell.zero_state(ROWS), []
    for step in range(STEPS):  # written out, step by step
        if step % 3 == 0:
            state = state.detach()
        valid = torch.ones(ROWS, 1, dtype=torch.bool) if lengths is None else (step < lengths)[:, None]
        new = other.rnn.cell(inputs[:, step], state)
        state = torch.where(valid, new, state)
        outputs.append(torch.where(valid, new, 0.0))
    predictions = other.dense(torch.stack(outputs, 1))
    if projection == "wrapped" and lengths is not None:
        predictions = torch.where((torch.arange(STEPS) < lengths[:, None])[:, :, None], predictions, 0.0)
    other.loss(predictions, targets).backward()
    for (name, p), q in zip(other.named_parameters(), model.parameters(), strict=True):
        np.testing.assert_allclose(q.grad, p.grad, rtol=1e-10, atol=1e-14, err_msg=name)  # type: ignore[arg-type]
    whole.backward()  # adds to it: the truncated gradient is another than the whole one
    assert not torch.allclose(2 * model.rnn.cell.weight_hh.grad, other.rnn.cell.weight_hh.grad)  # type: ignore


def test_truncation_is_for_a_regressor() -> None:
    inputs, _, _ = data()
    model = torch_impl.Classifier(torch_impl.RNN(INPUTS, UNITS, dtype=torch.float64), OUTPUTS)
    with pytest.raises(ValueError, match="an output at every step"):
        EagerTrainer(model, ADAM, inputs, torch.zeros(ROWS).long(), options=StepOptions(truncate=3))


def test_schedules() -> None:
    cosine = parse_schedule("cosine")
    assert [cosine.rate(2.0, number, 4) for number in (0, 2)] == [2.0, pytest.approx(1.0)]
    assert 0 < cosine.rate(2.0, 3, 4) < 0.3
    assert [parse_schedule("step:2:0.5").rate(8.0, number, 9) for number in range(5)] == [8, 8, 4, 4, 2]
    assert parse_schedule("constant").rate(0.1, 5, 9) == 0.1


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return images(tmp_path_factory.mktemp("small") / "images")


def test_every_option_at_once_resumes_to_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ("--clip-norm", 0.5, "--weight-decay", 0.01, "--schedule", "cosine", "--truncate", 30)
    short = ("series", "--units", "5", "--iterations", "110")
    arguments = (*short, *options, "--precision", "bf16", "--checkpoint-every", 1)
    trained(*arguments, "--output", tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_at(patch, 3)
        trained(*arguments, "--output", tmp_path / "parts", code=128 + signal.SIGTERM)
    trained("series", "--resume", tmp_path / "parts")
    assert_same_bits(tmp_path / "whole", tmp_path / "parts")
    assert_same_bits(tmp_path / "whole", tmp_path / "parts", "iteration-000100")
    plain = tmp_path / "plain"
    trained(*short, "--output", plain)
    assert results(plain)["mse"][0] == pytest.approx(results(tmp_path / "whole")["mse"][0], rel=1e-2)
    assert results(plain)["mse"][-1] != results(tmp_path / "whole")["mse"][-1]


def test_tensorboard_has_what_the_log_has_also_of_a_resumed_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with monkeypatch.context() as patch:
        stop_at(patch, 8)
        trained(*SERIES, "--tensorboard", "--output", tmp_path, code=128 + signal.SIGTERM)
    trained("series", "--resume", tmp_path)
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    rows = [line.split(",") for line in (tmp_path / "log.csv").read_text().splitlines()[1:]]
    found = [(event.step, event.value) for event in events.Scalars("mse")]
    assert found == [(int(row[1]), pytest.approx(float(row[2]), rel=1e-6)) for row in rows]


def test_early_stopping_keeps_the_best_round(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = (*mnist(small), "--epochs", 40, "--early-stopping", 3, "--learning-rate", 0.05)
    output = trained(*arguments, "--output", tmp_path / "whole")
    epochs = results(tmp_path / "whole")["epochs"]
    scores = [-epoch["validation_loss"] for epoch in epochs]
    best = scores.index(max(scores)) + 1
    assert len(epochs) == best + 3 < 40
    assert f"nothing better since round {best}, which is checkpoint 'best'" in output
    state = load_checkpoint(tmp_path / "whole", "best").state
    assert state["step"] == 13 * best and state["run"]["best"] == [max(scores), best]
    with monkeypatch.context() as patch:
        stop_at(patch, 2 * best + 2)
        trained(*arguments, "--output", tmp_path / "parts", code=128 + signal.SIGTERM)
    trained("mnist", "--resume", tmp_path / "parts")
    assert_same_bits(tmp_path / "whole", tmp_path / "parts")
    assert_same_bits(tmp_path / "whole", tmp_path / "parts", "best")


@pytest.mark.parametrize(("monitor", "sign"), [("loss", -1), ("accuracy", 1), ("macro-f1", 1)])
def test_the_best_round_is_that_of_the_monitor(monitor: str, sign: int, small: Path, tmp_path: Path) -> None:
    """Ten rows to validate on, so that accuracies tie; the first of them is not the round of the least loss."""
    random = np.random.default_rng(1)
    labels = np.arange(100) % 2
    waves = np.sin(np.arange(12) * (0.3 + 0.3 * labels[:, None])) + random.normal(size=(100, 12)) * 0.5
    np.savez(tmp_path / "waves.npz", inputs=waves, labels=labels)
    cut = ("classifier", "--data", tmp_path / "waves.npz", "--epochs", 12, "--units", 6, "--learning-rate", 0.02)
    trained(*cut, "--keep-best", "--monitor", monitor, "--output", tmp_path / "run")
    epochs = results(tmp_path / "run")["epochs"]
    figures = [sign * epoch["validation_" + monitor.replace("-", "_")] for epoch in epochs]
    by_accuracy = [epoch["validation_accuracy"] for epoch in epochs]
    assert load_checkpoint(tmp_path / "run", "best").state["run"]["best"] == [
        max(figures),
        1 + figures.index(max(figures)),
    ]
    least = min(range(12), key=lambda epoch: epochs[epoch]["validation_loss"])
    assert by_accuracy.index(max(by_accuracy)) < least  # else the monitors could not be told apart


def test_a_round_is_better_only_by_more_than_min_delta(small: Path, tmp_path: Path) -> None:
    output = trained(*mnist(small), "--epochs", 9, "--early-stopping", 2, "--min-delta", 1e9, "--output", tmp_path)
    assert len(results(tmp_path)["epochs"]) == 3 and "nothing better since round 1" in output


def test_a_run_from_before_there_was_a_choice_goes_on_by_accuracy(small: Path, tmp_path: Path) -> None:
    trained(*mnist(small), "--epochs", 2, "--keep-best", "--monitor", "accuracy", "--output", tmp_path)
    found = load_checkpoint(tmp_path, "last")
    options = {name: value for name, value in found.state["options"].items() if name not in ("monitor", "min_delta")}
    save_checkpoint(tmp_path, found.tensors, {**found.state, "options": options})
    trained("mnist", "--resume", tmp_path, "--epochs", 3)
    state = load_checkpoint(tmp_path, "last").state
    scores = [epoch["validation_accuracy"] for epoch in results(tmp_path)["epochs"]]
    assert state["options"]["monitor"] == "accuracy" and state["run"]["best"] == [
        max(scores),
        1 + scores.index(max(scores)),
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--monitor", "accuracy"), "--monitor accuracy is not for series, which has loss"),
        (("--min-delta", "-1"), "-1.0 is not a finite number of at least 0"),
        (("--clip-norm", "0"), "0.0 is not a finite number above 0"),
        (("--clip-norm", "nan"), "nan is not a finite number above 0"),
        (("--weight-decay", "-1"), "-1.0 is not a finite number of at least 0"),
        (("--schedule", "step:0:0.5"), "'step:0:0.5' is no schedule; expected constant, cosine, or step:EVERY:FACTOR"),
        (("--schedule", "linear"), "'linear' is no schedule"),
        (("--truncate", "0"), "'--truncate'"),
        (("--precision", "fp16"), "'--precision'"),
        (("--early-stopping", "2"), "--early-stopping needs a validation set, which series does not have"),
        (("--keep-best",), "--keep-best needs a validation set"),
        (("--early-stopping", "2", "--no-keep-best"), "--early-stopping keeps the best round; give --keep-best, or"),
        (("--device", "tpu"), "'--device'"),
        (("--checkpoint-every", "0"), "'--checkpoint-every'"),
        (("--resume", "nowhere"), "'nowhere' does not exist"),
        (("--config", "nowhere.toml"), "'nowhere.toml' does not exist"),
    ],
)
def test_bad_values_are_one_sentence(arguments: tuple[str, ...], words: str, tmp_path: Path) -> None:
    done = call("series", *arguments, "--output", tmp_path / "run")
    assert done.exit_code == 2 and words in done.output and "Traceback" not in done.output


def test_truncation_of_a_classifier_and_a_cosine_of_another_length(small: Path, tmp_path: Path) -> None:
    done = call(*mnist(small), "--truncate", 2, "--output", tmp_path)
    assert done.exit_code == 2 and "--truncate is for a model with an output at every step" in done.output
    trained(*SERIES, "--schedule", "cosine", "--output", tmp_path)
    message = trained("series", "--resume", tmp_path, "--iterations", 300, code=1)
    assert "its cosine schedule hangs on the training's length" in message


def test_without_tensorboard_its_option_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    for name in [name for name in sys.modules if name.startswith(("tensorboard", "torch.utils.tensorboard"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    done = call(*SERIES, "--tensorboard", "--output", tmp_path)
    assert done.exit_code == 1 and "pip install 'unrolled[tensorboard]'" in done.output and done.output.count("\n") == 1
