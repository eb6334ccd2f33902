"""Gradients scaled down to one norm together, as tf.clip_by_global_norm does it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own idiom)

from torch_impl import build
from torch_impl.models import Tagger
from torch_impl.runs import load_run, save_run
from torch_impl.training.trainer import Trainer
from unrolled.models import Model
from unrolled.networks import GRU
from unrolled.programs import Adam

TOKENS = torch.tensor([[3, 3, 1, 0], [3, 2, 1, 3]])
CLASSES = torch.tensor([[0, 1, 1, 0], [1, 1, 0, 1]])
BATCHES = [[0, 1], [1, 1]]
SHARE = 1.0 - float(np.float32(0.9))
ADAM = Adam(0.01, epsilon=1.0)  # so that a step hangs on the gradient's size


def tagger() -> Tagger:
    torch.manual_seed(3)
    model = build.model(Model("tagger", GRU(4), 5, 2, embedding=3), dtype=torch.float64)
    model.reset_parameters(torch.Generator().manual_seed(5))
    assert isinstance(model, Tagger)
    return model


def moments(most: float | None) -> dict[str, np.ndarray]:
    """SHARE of the first step's gradients."""
    trainer = Trainer(tagger(), ADAM, TOKENS, CLASSES, clip_norm=most)
    trainer.run([[0, 1]])
    return {name: array for name, array in trainer.slots().items() if name.endswith("/Adam")}


def slices() -> torch.Tensor:
    """The gradient by each row that is looked up."""
    model = tagger()
    rows = model.embedding.weight[TOKENS].detach().requires_grad_()  # type: ignore[union-attr]
    logits = model.head_of_steps(model.rnn(rows)[0])
    F.cross_entropy(logits.flatten(0, 1), CLASSES.flatten()).backward()
    assert rows.grad is not None
    return rows.grad


def test_the_norm_is_over_an_embedding_s_slices() -> None:
    whole = moments(None)
    others = sum(float(np.square(array).sum()) for name, array in whole.items() if not name.startswith("embedding"))
    norm = float(np.sqrt(others / SHARE**2 + float(slices().square().sum())))
    summed = float(np.sqrt(sum(np.square(array).sum() for array in whole.values())) / SHARE)
    assert abs(norm - summed) > 0.01 * norm  # tokens occur twice
    for most in (norm / 3, norm * 0.999, norm * 1.001):
        for name, array in moments(most).items():
            expected = whole[name] * min(1.0, most / norm)
            np.testing.assert_allclose(array, expected, rtol=1e-9, atol=1e-15, err_msg=name)


def test_a_norm_that_is_not_finite_makes_every_gradient_nan() -> None:
    model = tagger()
    with torch.no_grad():
        model.dense.bias[0] = float("inf")
    trainer = Trainer(model, ADAM, TOKENS, CLASSES, clip_norm=1.0)
    trainer.run([[0, 1]])
    assert all(bool(p.isnan().all()) for p in model.parameters())


def test_a_run_goes_on_clipping(tmp_path: Path) -> None:
    straight = Trainer(tagger(), ADAM, TOKENS, CLASSES, clip_norm=0.05)
    straight.run([*BATCHES, *BATCHES])
    first = Trainer(tagger(), ADAM, TOKENS, CLASSES, clip_norm=0.05)
    first.run(BATCHES)
    save_run(tmp_path / "run", first)
    for rows in BATCHES:
        run = load_run(tmp_path / "run")
        trainer = run.trainer(TOKENS, CLASSES)
        assert trainer.clip_norm == 0.05
        trainer.run([rows])
        run.save(trainer)
    for name, array in straight.weights().items():
        np.testing.assert_allclose(load_run(tmp_path / "run").model.canonical_weights()[name], array, rtol=1e-12)


@pytest.mark.parametrize("most", [0, -1.0, float("inf"), float("nan"), True])
def test_a_norm_that_is_none_is_refused(most: float) -> None:
    with pytest.raises(ValueError, match="clip_norm must be a finite number above 0"):
        Trainer(tagger(), ADAM, TOKENS, CLASSES, clip_norm=most)
