"""Adam on top of torch.optim.Adam: its formula, and that it is still an ordinary optimizer; the loop around it."""

from __future__ import annotations

import copy
import importlib.util
import inspect
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune
from torch.nn.utils.rnn import pack_padded_sequence

from torch_impl import RNN, Adam, Classifier, Trainer
from torch_impl.conversion import load_canonical
from torch_impl.training.adam import Settings

SETTINGS = Settings(learning_rate=0.01, epsilon=1e-3)


def gradients(steps: int, size: int = 6) -> np.ndarray:
    return np.random.default_rng(2).normal(size=(steps, size)) * 0.01


def expected(start: np.ndarray, grads: np.ndarray, rates: list[float], eps: float = 1e-3) -> np.ndarray:
    """TF1's Adam in NumPy: float32 settings and powers, float64 moments. Returns the weights after each step."""
    beta1, beta2, epsilon = np.float32(0.9), np.float32(0.999), float(np.float32(eps))
    power1, power2 = beta1, beta2
    m, v, weight, out = np.zeros_like(start), np.zeros_like(start), start.copy(), []
    for grad, rate in zip(grads, rates, strict=True):
        m = m + (grad - m) * (1 - float(beta1))
        v = v + (grad * grad - v) * (1 - float(beta2))
        rate_t = float(np.float32(rate)) * np.sqrt(1 - float(power2)) / (1 - float(power1))
        weight = weight - rate_t * m / (np.sqrt(v) + epsilon)
        power1, power2 = np.float32(power1 * beta1), np.float32(power2 * beta2)
        out.append(weight)
    return np.array(out)


def run(optimizer: torch.optim.Optimizer, parameter: nn.Parameter, grads: np.ndarray) -> np.ndarray:
    out = []
    for grad in grads:
        parameter.grad = torch.tensor(grad, dtype=parameter.dtype)
        optimizer.step()
        out.append(parameter.detach().double().numpy().copy())
    return np.array(out)


def parameter(dtype: torch.dtype = torch.float64) -> nn.Parameter:
    return nn.Parameter(torch.linspace(-1, 1, 6, dtype=dtype))


@pytest.mark.parametrize("options", [{}, {"foreach": True}, {"foreach": False}, {"fused": True}])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_adam_is_tf1s_in_each_implementation_of_torch(options: dict[str, Any], dtype: torch.dtype) -> None:
    p = parameter(dtype)
    start, grads = p.detach().double().numpy().copy(), gradients(60)
    got = run(Adam([p], 0.01, eps=1e-3, **options), p, grads)
    rtol, atol = (1e-13, 1e-15) if dtype == torch.float64 else (1e-5, 1e-6)
    np.testing.assert_allclose(got, expected(start, grads, [0.01] * 60), rtol, atol)


@pytest.mark.parametrize("betas", [(0.9, 1 - 1e-9), (1 - 1e-9, 0.999)])
def test_a_beta_that_rounds_to_one_is_refused(betas: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="must be from 0 to below 1 in float32"):
        Adam([parameter()], betas=betas)


def test_adam_is_not_torchs_own() -> None:
    p, q, grads = parameter(), parameter(), gradients(1)
    ours, theirs = (run(kind([w], 0.01, eps=1e-3), w, grads) for kind, w in ((Adam, p), (torch.optim.Adam, q)))
    assert np.abs(ours - theirs).max() > 1e-3  # epsilon 31.6 times stronger


@pytest.mark.parametrize("fused", [False, True])
def test_a_scheduler_sets_the_learning_rate(fused: bool) -> None:
    p = parameter()
    start, grads = p.detach().numpy().copy(), gradients(6)
    optimizer = Adam([p], 0.1, eps=1e-3, fused=fused)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    got, rates = [], []
    for grad in grads:
        rates.append(float(scheduler.get_last_lr()[0]))
        got.append(run(optimizer, p, grad[None])[0])
        scheduler.step()
    assert rates == [0.1, 0.1, 0.05, 0.05, 0.025, 0.025]
    np.testing.assert_allclose(got, expected(start, grads, rates), rtol=1e-13)
    (group,) = optimizer.param_groups
    assert (group["lr"], group["betas"], group["eps"]) == (0.0125, (0.9, 0.999), 1e-3)


@pytest.mark.parametrize("fused", [False, True])
def test_state_dict_goes_on_to_the_bit(fused: bool) -> None:
    p, grads = parameter(), gradients(20)
    optimizer = Adam([p], 0.01, fused=fused)
    run(optimizer, p, grads[:9])
    q = nn.Parameter(p.detach().clone())
    other = Adam([q], 0.5, fused=fused)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert np.array_equal(run(optimizer, p, grads[9:]), run(other, q, grads[9:]))
    again = copy.deepcopy(other)
    assert again.param_groups[0]["beta2_power"] == other.param_groups[0]["beta2_power"] < 0.999**20


def test_state_of_torchs_adam_loads() -> None:
    p, grads = parameter(), gradients(12)
    start = p.detach().numpy().copy()
    plain = torch.optim.Adam([p], 0.0)  # moments only; the weights stay
    run(plain, p, grads[:7])
    optimizer = Adam([p], 0.01, eps=1e-3)
    optimizer.load_state_dict(plain.state_dict())
    optimizer.param_groups[0].update(lr=0.01, eps=1e-3)
    got = run(optimizer, p, grads[7:])
    np.testing.assert_allclose(got, expected(start, grads, [0.0] * 7 + [0.01] * 5)[7:], rtol=1e-6)


def test_a_parameter_without_a_gradient_stays_in_step() -> None:
    """As in TF1, where the powers belong to the optimizer and not to a variable."""
    p, late, grads = parameter(), parameter(), gradients(10)
    optimizer = Adam([p, late], 0.01, eps=1e-3)
    run(optimizer, p, grads[:4])
    late.grad = torch.tensor(grads[4])
    before = late.detach().numpy().copy()
    run(optimizer, p, grads[4:5])
    m, v = grads[4] * (1 - float(np.float32(0.9))), grads[4] ** 2 * (1 - float(np.float32(0.999)))
    power1, power2 = (float(np.prod(np.full(5, beta, np.float32))) for beta in (0.9, 0.999))
    rate = float(np.float32(0.01)) * np.sqrt(1 - power2) / (1 - power1)
    after = before - rate * m / (np.sqrt(v) + float(np.float32(1e-3)))
    np.testing.assert_allclose(late.detach().numpy(), after, rtol=1e-6)
    late.grad = None
    run(optimizer, p, grads[5:6])
    assert optimizer.state[late]["step"] == optimizer.state[p]["step"] == 6


def test_hooks_and_closure_run_once() -> None:
    torch.optim.Adam([parameter()])  # PyTorch wraps the step of each class that it has seen
    spec = importlib.util.spec_from_file_location("imported_later", inspect.getfile(Adam))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    p = parameter()
    optimizer = module.Adam([p])
    calls: list[str] = []
    optimizer.register_step_pre_hook(lambda *_: calls.append("before"))
    optimizer.register_step_post_hook(lambda *_: calls.append("after"))

    def closure() -> torch.Tensor:
        calls.append("closure")
        optimizer.zero_grad()
        loss = p.square().sum()
        loss.backward()
        return loss

    before = p.detach().square().sum()
    torch.testing.assert_close(optimizer.step(closure).detach(), before)
    assert calls == ["before", "closure", "after"]
    assert optimizer.param_groups[0]["steps"] == 1


def test_a_failing_step_leaves_the_settings() -> None:
    p = parameter()
    optimizer = Adam([p], 0.01)
    optimizer.param_groups[0]["lr"] = torch.tensor(0.01)
    p.grad = torch.ones_like(p)
    with pytest.raises(TypeError, match="lr must be a number, got a tensor"):
        optimizer.step()
    group = optimizer.param_groups[0]
    assert (group["eps"], group["betas"], group["steps"]) == (1e-8, (0.9, 0.999), 0)


def test_a_grad_scaler_skips_a_step_whole() -> None:
    p = nn.Parameter(torch.ones(2))
    optimizer = Adam([p], 0.01, fused=True)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
    for grad in ([1.0, float("inf")], [1.0, 2.0]):
        loss = scaler.scale((p * torch.tensor(grad)).sum())
        optimizer.zero_grad()
        loss.backward()
        scaler.step(optimizer)
        scaler.update()
    assert optimizer.param_groups[0]["steps"] == 1
    assert p.isfinite().all()


def trainer(**changes: Any) -> Trainer:
    torch.manual_seed(0)
    arguments = {
        "model": Classifier(RNN(3, 5), 4),
        "optimizer": SETTINGS,
        "inputs": torch.randn(8, 6, 3),
        "targets": torch.arange(8) % 4,
        "lengths": [6, 0, 2, 3, 1, 5, 4, 6],
    }
    return Trainer(**{**arguments, **changes})


BATCHES = np.random.default_rng(4).integers(0, 8, (30, 3))


def test_the_trainer_learns_and_goes_on_from_its_slots() -> None:
    whole, first = trainer(), trainer()
    losses = whole.run(BATCHES)
    assert losses.shape == (30,) and losses.dtype == np.float32
    assert whole.run(BATCHES).mean() < losses.mean()
    early = first.run(BATCHES[:13])
    second = trainer(slots=first.slots())
    second.model.load_canonical(first.weights())
    assert np.array_equal(np.concatenate([early, second.run(BATCHES[13:])]), losses)
    assert set(first.slots()) >= {"kernel/Adam", "dense/bias/Adam_1", "beta1_power", "beta2_power"}


def test_forward_in_parts_is_forward() -> None:
    it = trainer()
    whole = it.model(it.inputs, it.lengths)
    parts = it.forward(it.inputs, it.lengths, rows=3)
    assert not parts.requires_grad
    torch.testing.assert_close(parts, whole)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"inputs": torch.ones(8, 6, 2)}, ValueError, "inputs must be float32"),
        ({"targets": torch.arange(8)}, ValueError, r"targets\[7\] = 7"),
        ({"targets": torch.arange(7) % 4}, ValueError, r"targets must be integers \[batch\] = \[8\]"),
        ({"lengths": [7] * 8}, ValueError, r"lengths\[0\] = 7"),
        ({"slots": {}}, ValueError, "slot 'beta1_power' must be a float32 scalar"),
    ],
)
def test_the_trainer_checks_its_data(change: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        trainer(**change)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("kernel/Adam", None, "missing: kernel/Adam"),
        ("momentum", np.zeros(5, np.float32), "unknown: momentum"),
        ("bias/Adam_1", np.zeros(4, np.float32), r"'bias/Adam_1' must be .* \[5\], got float32 \[4\]"),
        ("beta2_power", np.array(0.9), "'beta2_power' must be a float32 scalar"),
        ("beta2_power", np.float32(1.0), "'beta2_power' must be a float32 scalar from 0 to below 1"),
    ],
)
def test_slots_are_taken_strictly(name: str, value: Any, words: str) -> None:
    slots = {**trainer().slots(), name: value}
    with pytest.raises(ValueError, match=words):
        trainer(slots={key: array for key, array in slots.items() if array is not None})


@pytest.mark.parametrize(
    ("batches", "error", "words"),
    [
        ([[0, 8]], ValueError, r"batches\[0, 1\] = 8"),
        ([[0, 1], [-1, 0]], ValueError, r"batches\[1, 0\] = -1"),
        ([0, 1], ValueError, r"batches must be integers \[iterations, batch\]"),
        ([[0.0]], TypeError, "float"),
        ("ab", TypeError, "batches must be integers .* got str 'ab'"),
        ([[0, 1], [0]], TypeError, "batches must be integers"),
        (np.zeros((2, 0), int), ValueError, "batch at least 1"),
    ],
)
def test_batches_are_row_numbers(batches: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        trainer().run(batches)


def test_no_batches_is_no_step() -> None:
    it = trainer()
    before = it.weights()
    assert it.run(np.zeros((0, 3), int)).shape == (0,)
    assert all(np.array_equal(array, before[name]) for name, array in it.weights().items())


class Own(nn.Module):
    """A module that knows nothing of this library, but for its protocol."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(3, 5, batch_first=True)
        self.head = nn.Linear(5, 4)
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, inputs: Tensor, lengths: Any = None) -> Tensor:
        values: Any = inputs
        if lengths is not None:
            values = pack_padded_sequence(inputs, lengths, batch_first=True, enforce_sorted=False)
        return self.scale * self.head(self.gru(values)[1][0])

    def training_loss(self, inputs: Tensor, targets: Tensor, lengths: Any = None) -> Tensor:
        return nn.functional.cross_entropy(self(inputs, lengths), targets)


@pytest.mark.parametrize("lengths", [None, [6, 1, 2, 3, 1, 5, 4, 6]])
def test_a_module_of_ones_own_is_trained_and_goes_on_from_its_slots(lengths: Any) -> None:
    first = trainer(model=Own(), lengths=lengths)
    early, weights, slots = first.run(BATCHES[:13]), first.weights(), first.slots()
    assert weights["gru/weight_ih_l0"].shape == (15, 3) and weights["scale"].shape == ()
    assert slots.keys() == {f"{name}/{slot}" for name in weights for slot in ("Adam", "Adam_1")} | {
        "beta1_power",
        "beta2_power",
    }
    late = first.run(BATCHES[13:])
    assert late.mean() < early.mean()
    second = trainer(model=Own(), lengths=lengths, slots=slots)
    load_canonical(second.model, weights)
    assert np.array_equal(second.run(BATCHES[13:]), late)
    assert all(np.array_equal(array, first.weights()[name]) for name, array in second.weights().items())
    torch.testing.assert_close(second.forward(second.inputs, lengths, rows=3), second.model(second.inputs, lengths))


def test_a_pruned_model_goes_on_from_its_slots() -> None:
    """They are those of the parameters, which are not the weights."""

    def pruned() -> Classifier:
        model = Classifier(RNN(3, 5), 4)
        model.load_canonical(trainer().weights())
        prune.l1_unstructured(model.rnn.cell, "weight_hh", 0.3)
        return model

    whole, first = trainer(model=pruned()), trainer(model=pruned())
    losses, early = whole.run(BATCHES), first.run(BATCHES[:13])
    assert "rnn/cell/weight_hh_orig/Adam" in first.slots()
    assert (first.weights()["kernel"][3:] == 0.0).sum() == 8
    second = trainer(model=first.model, slots=first.slots())
    assert np.array_equal(np.concatenate([early, second.run(BATCHES[13:])]), losses)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"model": nn.Linear(3, 4)}, TypeError, "model must be an nn.Module with training_loss.*, got Linear"),
        ({"inputs": np.zeros((8, 6, 3))}, TypeError, r"inputs must be a tensor \[rows, steps, ...\]"),
        ({"inputs": torch.zeros(8)}, ValueError, r"inputs must be \[rows, steps, ...\]"),
        ({"targets": torch.zeros(7)}, ValueError, r"targets must be \[8, ...\]"),
        ({"targets": [0] * 8}, TypeError, "targets must be a tensor"),
    ],
)
def test_what_a_module_of_ones_own_is_given_is_checked(change: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        trainer(**{"model": Own(), **change})


def test_an_optimizer_object_where_settings_are_wanted_is_named() -> None:
    model = Classifier(RNN(3, 5), classes=4)
    adam: Any = Adam(model.parameters(), lr=0.01)
    with pytest.raises(TypeError, match=r"optimizer must be settings, as unrolled\.programs\.Adam\("):
        Trainer(model, adam, torch.zeros(2, 6, 3), torch.zeros(2, dtype=torch.int64))
