"""Steps that live on the device train as the trainer's own do (the graph itself needs a GPU); and bfloat16."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.utils import prune

from torch_impl import RNN, Adam, Classifier, Regressor, Trainer
from torch_impl.training import cuda_graph as capture_module
from torch_impl.training.adam import Settings
from torch_impl.training.cuda_graph import DeviceSteps, capturable
from torch_impl.training.whole_steps import ordinary
from torch_impl.unrolling.paths import forced_path

SETTINGS = Settings(learning_rate=0.01, epsilon=1e-3)


def trained(kind: str, device: str = "cpu", precision: str = "fp32", dtype: Any = torch.float64) -> Trainer:
    generator = torch.Generator().manual_seed(3)
    inputs = torch.randn(9, 6, 4, generator=generator, dtype=dtype)
    if kind == "classifier":
        model: Any = Classifier(RNN(4, 5, dtype=dtype), 3)
        targets = torch.randint(0, 3, (9,), generator=generator)
    else:
        model = Regressor(RNN(4, 5, "relu", dtype=dtype), 2)
        targets = torch.randn(9, 6, 2, generator=generator, dtype=dtype)
    model.reset_parameters(generator)
    return Trainer(model.to(device), SETTINGS, inputs.to(device), targets.to(device), precision=precision)


def batches(iterations: int) -> torch.Tensor:
    return torch.randint(0, 9, (iterations, 2), generator=torch.Generator().manual_seed(4))


def assert_alike(one: Trainer, other: Trainer) -> None:
    for found, expected in ((one.weights(), other.weights()), (one.slots(), other.slots())):
        for name, array in expected.items():
            np.testing.assert_allclose(found[name], array, rtol=1e-10, atol=1e-14, err_msg=name)
    assert one.optimizer.param_groups[0]["steps"] == other.optimizer.param_groups[0]["steps"]


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_device_steps_are_the_trainers(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture_module, "CAPACITY", 8)  # so that 20 steps take three transfers
    one, other = trained(kind), trained(kind)
    steps = DeviceSteps(one.model, one.optimizer, one.inputs, one.targets, 2, contextlib.nullcontext)
    rows = batches(20)
    with forced_path("native"):
        found = np.concatenate([steps(rows[:3]), steps(rows[3:])])
        np.testing.assert_allclose(found, other.run(rows), rtol=1e-10)
    assert_alike(one, other)
    assert one.optimizer.state[next(one.model.parameters())]["step"] == 20
    one.optimizer.param_groups[0]["lr"] = other.optimizer.param_groups[0]["lr"] = 0.5  # as a scheduler would
    steps(rows), other.run(rows)
    assert_alike(one, other)


def test_only_ordinary_steps_on_a_gpu_are_captured(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = trained("classifier")
    given = trainer.model, trainer.optimizer
    assert not capturable(*given, trainer.inputs)
    on_a_gpu: Any = SimpleNamespace(is_cuda=True)
    assert capturable(*given, on_a_gpu)
    monkeypatch.setenv("UNROLLED_CUDA_GRAPH", "0")
    assert not capturable(*given, on_a_gpu)


def hooked(model: Any) -> None:
    model.rnn.cell.register_forward_pre_hook(lambda *_: None)


def frozen(model: Any) -> None:
    model.dense.bias.requires_grad_(False)


def pruned(model: Any) -> None:
    prune.l1_unstructured(model.rnn.cell, "weight_hh", 0.3)


def normalized(model: Any) -> None:
    torch.nn.utils.parametrizations.weight_norm(model.rnn.cell, "weight_hh")


def normalized_as_of_old(model: Any) -> None:
    with pytest.warns(FutureWarning):
        torch.nn.utils.weight_norm(model.dense)


def replaced(model: Any) -> None:
    model.dense = torch.nn.Linear(5, 3, dtype=torch.float64)


def extended(model: Any) -> None:
    model.extra = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))


@pytest.mark.parametrize(
    "change", [hooked, frozen, pruned, normalized, normalized_as_of_old, replaced, extended], ids=lambda f: f.__name__
)
def test_what_is_not_ordinary_trains_by_autograd(change: Callable[[Any], None]) -> None:
    """Also where it was ordinary when its trainer was made."""
    trainer = trained("classifier")
    assert ordinary(trainer.model, trainer.optimizer)
    change(trainer.model)
    assert not ordinary(trainer.model, trainer.optimizer)
    changed = Trainer(trainer.model, SETTINGS, trainer.inputs, trainer.targets)  # whose optimizer has every parameter
    assert not ordinary(trainer.model, changed.optimizer)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_a_graph_trains_as_the_trainer_does(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = trained(kind, "cuda"), trained(kind, "cuda")
    rows = batches(20)
    found = np.concatenate([one.run(rows[:3]), one.run(rows[3:])])
    monkeypatch.setenv("UNROLLED_CUDA_GRAPH", "0")
    np.testing.assert_allclose(found, other.run(rows), rtol=1e-10)
    assert_alike(one, other)


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_bf16_trains_near_full_precision(kind: str) -> None:
    one, other = trained(kind, precision="bf16", dtype=torch.float32), trained(kind, dtype=torch.float32)
    rows = batches(20)
    found, expected = one.run(rows), other.run(rows)
    assert not np.array_equal(found, expected)
    np.testing.assert_allclose(found, expected, rtol=0.05)
    assert found.dtype == np.float32 and all(p.dtype == torch.float32 for p in one.model.parameters())
    logits = one.forward(one.inputs)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, other.forward(other.inputs), rtol=0.1, atol=0.05)


def test_another_precision_is_refused() -> None:
    with pytest.raises(ValueError, match="precision must be 'fp32' or 'bf16', got 'fp16'"):
        trained("classifier", precision="fp16")
    with pytest.raises(ValueError, match="'bf16' needs weights in float32, got float64"):
        trained("classifier", precision="bf16")


def test_moments_are_made_once() -> None:
    p = torch.nn.Parameter(torch.ones(3))
    optimizer = Adam([p])
    optimizer.ensure_moments(p)
    first = optimizer.state[p]["exp_avg"]
    optimizer.ensure_moments(p)
    assert optimizer.state[p]["exp_avg"] is first
