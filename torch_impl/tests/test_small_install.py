"""Unrolled without what only some of its uses need: each such use says what to install, and the others work."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from unrolled.tests.hiding import without

PROGRAM = """
import numpy as np, torch, torch_impl
from unrolled.programs import Adam

inputs, labels = torch.rand(12, 7, 3, generator=torch.Generator().manual_seed(0)), torch.arange(12) % 4
for rnn in (torch_impl.RNN(3, 5), torch_impl.LSTM(3, 5, num_layers=2, bidirectional=True)):
    model = torch_impl.Classifier(rnn, classes=4)
    losses = torch_impl.Trainer(model, Adam(0.01), inputs, labels).run(np.tile(np.arange(12), (30, 1)))
    assert losses[-1] < losses[0]
"""
EXTRAS = "numba,llvmlite,matplotlib,torchvision,PIL,onnx,onnxruntime,pyarrow,yaml,tensorboard,pytest,scipy,pandas"


def test_a_model_is_built_and_trained(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(PROGRAM)
    done = without(tmp_path, EXTRAS, "-", "own.py")
    assert done.returncode == 0, done.stderr
    assert "Numba is missing" in done.stderr  # it is slower, which is said


def test_the_commands_work_but_for_pictures(tmp_path: Path) -> None:
    random = np.random.RandomState(0)
    np.savez(str(tmp_path / "own.npz"), inputs=random.rand(30, 6, 2).astype("f"), labels=np.arange(30) % 3)
    train = ["-m", "torch_impl", "train", "classifier", "--data", "own.npz", "--epochs", "1", "--output", "run"]
    done = without(tmp_path, EXTRAS, "-", *train)
    assert done.returncode == 0, done.stderr
    assert "pip install 'unrolled[pictures]'" in done.stderr and (tmp_path / "run" / "last.json").exists()
    done = without(tmp_path, EXTRAS, "-", "-m", "torch_impl", "evaluate", "run", "--format", "json")
    assert done.returncode == 0 and "accuracy" in json.loads(done.stdout), done.stderr
    assert "No picture: it needs matplotlib" in done.stderr and "pip install 'unrolled[pictures]'" in done.stderr
    done = without(tmp_path, EXTRAS, "-", "-m", "torch_impl", "evaluate", "run", "--picture", "p.png")
    assert done.returncode == 1 and "needs matplotlib" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (["fetch", "fashion-mnist", "."], "fetch"),
        (["train", "regressor", "--data", "own.parquet"], "tables"),
        (["train", "mnist", "--config", "own.yaml"], "yaml"),
        (["train", "classifier", "--data", "images"], "pictures"),
    ],
)
def test_what_needs_more_says_what_to_install(tmp_path: Path, arguments: list[str], extra: str) -> None:
    (tmp_path / "own.parquet").write_bytes(b"PAR1")
    (tmp_path / "own.yaml").write_text("epochs: 1\n")
    for name in "ab":
        (tmp_path / "images" / name).mkdir(parents=True)
        (tmp_path / "images" / name / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    done = without(tmp_path, EXTRAS, "-", "-m", "torch_impl", *arguments)
    assert done.returncode != 0 and "Traceback" not in done.stderr, done.stderr
    assert f"pip install 'unrolled[{extra}]'" in done.stderr
