"""load_run: the trained model back from a folder, and one sentence for a folder that holds none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import torch_impl
from torch_impl.checkpoints import CheckpointError
from torch_impl.checkpoints.run_files import save_checkpoint
from torch_impl.tf1.convert import TrainedAs, convert_from_tf1

NETWORK = {"kind": "basic_rnn", "units": 5, "activation": "tanh"}
MODEL = {
    "kind": "classifier",
    "network": NETWORK,
    "inputs": 3,
    "outputs": 4,
    "projection": "stacked",
}


def saved(folder: Path, model: torch.nn.Module, description: dict[str, Any], **state: Any) -> None:
    weights = {f"weights/{name}": array for name, array in model.canonical_weights().items()}  # type: ignore[operator]
    save_checkpoint(folder, weights, {"model": description, "optimizer": {}, "step": 7, **state})


def test_three_lines_load_a_run_and_predict(tmp_path: Path) -> None:
    model = torch_impl.Classifier(torch_impl.RNN(3, 5), 4)
    saved(tmp_path, model, MODEL, program="mnist", data={"classes": ["a", "b", "c", "d"]})
    (tmp_path / "config.json").write_text(json.dumps({"options": {"epochs": 3}}))
    run = torch_impl.load_run(tmp_path)
    inputs, lengths = np.random.default_rng(0).normal(size=(11, 6, 3)), [6, 0, 1, 2, 3, 4, 5, 6, 6, 6, 6]
    with torch.no_grad():
        expected = model(torch.tensor(inputs, dtype=torch.float32), lengths)
    np.testing.assert_array_equal(run.logits(inputs, lengths, rows=4), expected.numpy())
    np.testing.assert_array_equal(run.predict(inputs, lengths, rows=4), expected.argmax(1).numpy())
    np.testing.assert_allclose(run.probabilities(inputs, lengths).sum(1), 1.0, rtol=1e-6)
    assert (run.program, run.step, run.config["options"]) == ("mnist", 7, {"epochs": 3})
    assert run.data == {"classes": ["a", "b", "c", "d"]}


def test_a_regressor_and_a_speller_come_back(tmp_path: Path) -> None:
    inputs = np.ones((2, 6, 3), np.float32)
    regressor = torch_impl.Regressor(torch_impl.RNN(3, 5), 4, "wrapped")
    saved(tmp_path / "r", regressor, {**MODEL, "kind": "regressor", "projection": "wrapped"})
    run = torch_impl.load_run(tmp_path / "r")
    assert isinstance(run.model, torch_impl.Regressor) and run.model.projection == "wrapped"
    assert run.predict(inputs).shape == (2, 6, 4)
    with pytest.raises(TypeError, match="only a classifier has probabilities"):
        run.probabilities(inputs)
    speller = torch_impl.Speller(torch_impl.RNN(3, 5), torch_impl.Decoder(torch_impl.RNN(4, 5), 4), 9)
    saved(tmp_path / "s", speller, {**MODEL, "kind": "speller", "max_steps": 9})
    assert torch_impl.load_run(tmp_path / "s").predict(inputs).shape == (2, 9)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "transformer"}, "kind must be 'classifier' or .* or 'speller', got 'transformer'"),
        ({"kind": "module", "class": "mine.Net"}, "holds a module of your own, 'mine.Net'; make one and give it"),
        ({"network": 3}, "a network must be an object with a kind"),
        ({"network": {**NETWORK, "units": 0}}, "units must be an integer from 1"),
        ({"network": {**NETWORK, "units": 6}}, "does not fit its own model"),
        ({"outputs": 5}, "does not fit its own model"),
        ({"inputs": 10**12}, "inputs must be an integer from 1 to 1048576, got 1000000000000"),
        ({"kind": "speller"}, "max_steps must be an integer from 1"),
    ],
)
def test_a_checkpoint_of_another_kind_is_one_sentence(change: dict[str, Any], words: str, tmp_path: Path) -> None:
    saved(tmp_path, torch_impl.Classifier(torch_impl.RNN(3, 5), 4), {**MODEL, **change})
    with pytest.raises(CheckpointError, match=words) as raised:
        torch_impl.load_run(tmp_path)
    assert "\n" not in str(raised.value) and str(tmp_path) in str(raised.value)


def test_a_folder_without_a_run_and_a_broken_configuration(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="has no checkpoint 'last'"):
        torch_impl.load_run(tmp_path / "nowhere")
    saved(tmp_path, torch_impl.Classifier(torch_impl.RNN(3, 5), 4), MODEL)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"config\.json: truncated or altered"):
        torch_impl.load_run(tmp_path)
    (tmp_path / "config.json").write_text("[" * 100_000)
    with pytest.raises(CheckpointError, match=r"config\.json: truncated or altered"):
        torch_impl.load_run(tmp_path)


@pytest.mark.parametrize("shape", [(6, 3), (0, 6, 3), (2, 6, 4)])
def test_inputs_that_do_not_fit_are_named(shape: tuple[int, ...], tmp_path: Path) -> None:
    saved(tmp_path, torch_impl.Classifier(torch_impl.RNN(3, 5), 4), MODEL)
    with pytest.raises(ValueError, match="inputs must be"):
        torch_impl.load_run(tmp_path).predict(np.zeros(shape))


@pytest.mark.parametrize("name", ["classifier", "wrapped"])
def test_a_converted_tensorflow_1_checkpoint_is_a_run(name: str, tmp_path: Path) -> None:
    files = Path(__file__).parent / "files" / "tf1"
    kind, activation = ("classifier", "tanh") if name == "classifier" else ("regressor", "relu")
    convert_from_tf1(files / name, tmp_path, settings=TrainedAs(kind, activation))
    run = torch_impl.load_run(tmp_path)
    with np.load(files / f"{name}.npz", allow_pickle=False) as truth:
        found = run.logits(truth["inputs"])
        np.testing.assert_allclose(found, truth["forward"], rtol=0, atol=1e-6)
    assert (run.program, run.step, run.data, run.config) == (None, 7, {}, {})


def test_a_claimed_size_is_checked_before_anything_is_allocated(tmp_path: Path) -> None:
    network = {**NETWORK, "units": 1 << 20}
    saved(tmp_path, torch_impl.Classifier(torch_impl.RNN(3, 5), 4), {**MODEL, "network": network})
    with pytest.raises(CheckpointError, match=r"'kernel' must be .*\[1048579, 1048576\], got float32 \[8, 5\]"):
        torch_impl.load_run(tmp_path)  # four tebibytes, if it were believed


def test_values_are_scaled_as_in_the_training_and_predictions_are_in_their_units_again(tmp_path: Path) -> None:
    scaling = {"shift": [10.0, -3.0], "scale": [2.0, 0.5]}
    described = {**MODEL, "kind": "regressor", "inputs": 2}
    model = torch_impl.Regressor(torch_impl.RNN(2, 5), 4)
    saved(tmp_path / "r", model, described, data={"kind": "table", "scaling": scaling})
    shift, scale = np.array(scaling["shift"]), np.array(scaling["scale"])
    raw = np.random.default_rng(1).normal(size=(3, 6, 2)) * scale + shift
    with torch.no_grad():
        plain = model(torch.tensor((raw - shift) / scale, dtype=torch.float32)).numpy()
    run = torch_impl.load_run(tmp_path / "r")
    expected = plain.astype(np.float64) * np.tile(scale, 2) + np.tile(shift, 2)  # two steps of both columns
    assert np.array_equal(run.predict(raw), expected) and run.predict(raw).dtype == np.float64
    # A classifier's inputs are scaled too; there is nothing to undo.
    classifier = torch_impl.Classifier(torch_impl.RNN(2, 5), 4)
    saved(tmp_path / "c", classifier, {**MODEL, "inputs": 2}, data={"kind": "sequences", "scaling": scaling})
    with torch.no_grad():
        logits = classifier(torch.tensor((raw - shift) / scale, dtype=torch.float32)).numpy()
    assert np.array_equal(torch_impl.load_run(tmp_path / "c").logits(raw), logits)


@pytest.mark.parametrize(
    ("scaling", "words"),
    [
        ({"shift": [0.0, 0.0], "scale": [1.0, 1.0, 1.0]}, '"shift" is not 3 finite numbers'),
        ({"shift": [0.0, 0.0, 0.0], "scale": [1.0, 0.0, 1.0]}, '"scale" is not above 0'),
        ({"shift": [0.0, 0.0, 10**400], "scale": [1.0, 1.0, 1.0]}, '"shift" is not 3 finite numbers'),
        ([1], '"shift" is not 3 finite numbers'),
    ],
)
def test_a_scaling_that_does_not_fit_is_one_sentence(scaling: Any, words: str, tmp_path: Path) -> None:
    saved(tmp_path, torch_impl.Classifier(torch_impl.RNN(3, 5), 4), MODEL, data={"scaling": scaling})
    with pytest.raises(CheckpointError, match=words):
        torch_impl.load_run(tmp_path)
