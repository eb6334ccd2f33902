"""What the command line has no form for is said in a sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import torch_impl
from torch_impl import build
from torch_impl.training.trainer import Trainer
from torch_impl.using.evaluate import evaluate
from torch_impl.using.predict import predict_file
from unrolled.errors import DataError
from unrolled.models import Model
from unrolled.networks import GRU
from unrolled.programs import Adam


@pytest.mark.parametrize(("kind", "embedding"), [("tagger", 0), ("classifier", 2)])
def test_taggers_and_models_of_tokens_are_for_python(tmp_path: Path, kind: str, embedding: int) -> None:
    model = build.model(Model(kind, GRU(3), 4, 2, embedding=embedding))
    model.reset_parameters()
    inputs = np.zeros((2, 5), np.int64) if embedding else np.zeros((2, 5, 4), np.float32)
    targets = np.zeros((2, 5) if kind == "tagger" else 2, np.int64)
    torch_impl.save_run(tmp_path / "run", Trainer(model, Adam(), torch.tensor(inputs), torch.tensor(targets)))
    run = torch_impl.load_run(tmp_path / "run")
    np.save(tmp_path / "rows.npy", inputs)
    for use in (predict_file, evaluate):
        with pytest.raises(DataError, match="which only Python has a form for"):
            use(run, tmp_path / "rows.npy")
    assert run.predict(inputs).shape == targets.shape
