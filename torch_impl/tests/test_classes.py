"""A classifier's classes: weights that make rare ones count, text labels from Python."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own idiom)

import torch_impl
from torch_impl.checkpoints.run_files import load_checkpoint
from torch_impl.runs import load_run, save_run
from torch_impl.tests.training_runs import assert_same_bits, call, stop_at, trained
from unrolled.programs import Adam

RANDOM = np.random.default_rng(0)
INPUTS = RANDOM.normal(size=(12, 4, 2))
NAMES = np.array(["one", "two", "many", "many"] * 3)


def trainer(targets: Any, **options: Any) -> torch_impl.Trainer[Any]:
    model = torch_impl.Classifier(torch_impl.RNN(2, 5), 3)
    model.reset_parameters(torch.Generator().manual_seed(1))
    return torch_impl.Trainer(model.double(), Adam(0.01), torch.tensor(INPUTS), targets, **options)


def test_text_labels_are_numbered_and_kept_with_the_run(tmp_path: Path) -> None:
    by_name, numbers = trainer(NAMES.tolist()), np.unique(NAMES, return_inverse=True)[1]
    assert by_name.classes == ["many", "one", "two"]
    batches = np.arange(12).reshape(3, 4)
    np.testing.assert_array_equal(by_name.run(batches), trainer(torch.tensor(numbers)).run(batches))
    run = save_run(tmp_path, by_name)
    found = load_run(tmp_path)
    assert set(run.predict(INPUTS, names=True)) <= set(NAMES)
    assert found.predict(INPUTS, names=True).tolist() == run.predict(INPUTS, names=True).tolist()
    with pytest.raises(ValueError, match=r"targets name 2 classes \(a, b\), the model has 3"):
        trainer(["a", "b"] * 6)


def test_each_row_counts_by_its_class() -> None:
    labels = torch.tensor(np.unique(NAMES, return_inverse=True)[1])
    weighted = trainer(NAMES, class_weights="balanced")
    assert weighted.class_weights == pytest.approx([12 / (3 * 6), 12 / (3 * 3), 12 / (3 * 3)])
    assert trainer(NAMES, class_weights=[1, 0.5, 2]).class_weights == [1, 0.5, 2]
    with torch.no_grad():
        rows = F.cross_entropy(weighted.model(torch.tensor(INPUTS)), labels, reduction="none")
    counts = torch.tensor([6.0, 3.0, 3.0])
    expected = sum(float(rows[labels == label].sum()) * 12 / (3 * float(counts[label])) for label in range(3)) / 12
    assert weighted.run(np.arange(12)[None])[0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("weights", [[1.0, 2.0], [1.0, -1.0, 1.0], [0, 0, 0], "heavy", [np.nan, 1, 1]])
def test_weights_that_cannot_be(weights: Any) -> None:
    with pytest.raises(ValueError, match="class_weights must be 'balanced' or 3 numbers of at least 0"):
        trainer(NAMES, class_weights=weights)


def test_a_run_keeps_its_weights_and_resumes_to_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.array(["rare", *["often"] * 4])[np.arange(60) % 5]
    np.savez(tmp_path / "d.npz", inputs=RANDOM.normal(size=(60, 5, 2)), labels=labels)
    cut = ("classifier", "--data", tmp_path / "d.npz", "--units", 4, "--epochs", 4, "--batch-size", 8)
    trained(*cut, "--class-weights", "balanced", "--output", tmp_path / "whole")
    trained(*cut, "--output", tmp_path / "plain")
    kept = load_checkpoint(tmp_path / "whole").state["class_weights"]
    assert kept == pytest.approx([48 / (2 * 38), 48 / (2 * 10)])  # 60 rows less those put aside
    losses = [load_checkpoint(tmp_path / name).state["run"]["rounds"][0][0]["loss"] for name in ("whole", "plain")]
    assert losses[0] != losses[1]
    with monkeypatch.context() as patch:
        stop_at(patch, 3)
        given = ("--class-weights", "balanced", "--output", tmp_path / "parts")
        trained(*cut, *given, code=128 + signal.SIGTERM)
    trained("classifier", "--resume", tmp_path / "parts")
    assert_same_bits(tmp_path / "whole", tmp_path / "parts")
    run = load_run(tmp_path / "whole")
    assert run.trainer(RANDOM.normal(size=(4, 5, 2)), labels[:4]).class_weights == kept
    refused = call("series", "--class-weights", "balanced", "--output", tmp_path / "s")
    assert refused.exit_code == 2 and "--class-weights is for classifiers" in refused.output
