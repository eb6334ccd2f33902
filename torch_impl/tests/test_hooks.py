"""What hangs on a module works on an RNN and its cell as it does on nn.RNN: hooks, pruning, norms, parametrizations."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, prune

from torch_impl import RNN, BasicRNNCell, Classifier, Layers, dynamic_rnn, static_rnn
from torch_impl.conversion import canonical_weights, load_canonical
from torch_impl.unrolling.paths import PATHS, forced_path

pytestmark = pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated:FutureWarning")
each_path = pytest.mark.parametrize("path", PATHS)

X = torch.randn(4, 6, 3, generator=torch.Generator().manual_seed(1))
LENGTHS = [6, 0, 2, 3]


class Symmetric(nn.Module):
    """A parametrization that has no way back."""

    def forward(self, weight: Tensor) -> Tensor:
        return (weight + weight.T) / 2


def twice(module: nn.Module, name: str) -> None:
    prune.l1_unstructured(module, name, 0.3)
    prune.random_unstructured(module, name, 3)


CHANGES: dict[str, Callable[[nn.Module, str], Any]] = {
    "prune": lambda module, name: prune.l1_unstructured(module, name, 0.5),
    "prune twice": twice,
    "old weight_norm": nn.utils.weight_norm,
    "old spectral_norm": nn.utils.spectral_norm,
    "weight_norm": parametrizations.weight_norm,
    "spectral_norm": parametrizations.spectral_norm,
    "orthogonal": parametrizations.orthogonal,
    "symmetric": lambda module, name: parametrize.register_parametrization(module, name, Symmetric()),
}
each_change = pytest.mark.parametrize("name", list(CHANGES))


def changed(name: str, module: nn.Module, weight: str) -> nn.Module:
    """The module, its weight pruned or made of others; in evaluation mode, where a spectral norm stands still, if it is
    a parametrization: nn.RNN looks at those four times a call."""
    torch.manual_seed(3)
    CHANGES[name](module, weight)
    return module.eval() if name == "spectral_norm" else module


def pair() -> tuple[RNN, nn.RNN]:
    """An RNN and an nn.RNN of the same weights, whose second bias stays zero."""
    rnn, plain = RNN(3, 5), nn.RNN(3, 5, batch_first=True)
    rnn.reset_parameters(torch.Generator().manual_seed(2))
    plain.load_state_dict(rnn.nn_rnn_state_dict())
    plain.bias_hh_l0.requires_grad_(False)
    return rnn, plain


def made(name: str) -> RNN:
    rnn = pair()[0]
    changed(name, rnn.cell, "weight_hh")
    return rnn


def close(found: Any, expected: Any) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@each_path
@each_change
def test_training_is_that_of_nn_rnn(name: str, path: str) -> None:
    rnn, plain = pair()
    changed(name, rnn.cell, "weight_hh")
    changed(name, plain, "weight_hh_l0")
    optimizers = [torch.optim.SGD((p for p in m.parameters() if p.requires_grad), 0.1) for m in (rnn, plain)]
    for _ in range(4):
        with forced_path(path):
            results = [rnn(X), plain(X)]
        close(results[0][0], results[1][0])
        for (outputs, state), optimizer in zip(results, optimizers, strict=True):
            optimizer.zero_grad()
            (outputs.square().mean() + state.mean()).backward()
            optimizer.step()
    close(rnn.cell.weight_ih, plain.weight_ih_l0)


@each_change
def test_a_state_dict_carries_what_a_weight_is_made_of(name: str) -> None:
    rnn, other = made(name), RNN(3, 5)
    changed(name, other.cell, "weight_hh")
    for module in (rnn, other):
        module(X)  # what was made for an earlier call must not stay
    with torch.no_grad():
        for parameter in rnn.parameters():
            parameter.add_(0.1)
    file = io.BytesIO()
    torch.save(rnn.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    for module in (rnn, other):
        module.eval()
    assert torch.equal(other(X, LENGTHS)[0], rnn(X, LENGTHS)[0])


@each_change
def test_canonical_weights_are_those_that_are_computed_with(name: str) -> None:
    rnn = made(name)
    rnn(X)
    with torch.no_grad():
        for parameter in rnn.parameters():
            parameter.add_(0.1)
    before = copy.deepcopy(rnn.state_dict())
    plain = RNN(3, 5)
    plain.load_canonical(rnn.canonical_weights())
    assert all(torch.equal(value, before[key]) for key, value in rnn.state_dict().items()), "looking changed something"
    close(plain(X)[0], rnn.eval()(X)[0])
    other = nn.RNN(3, 5, batch_first=True)
    other.load_state_dict(rnn.nn_rnn_state_dict())
    close(other(X)[0], plain(X)[0])
    with pytest.raises(ValueError, match=r"cell\.weight_hh has no gradient of its own"):
        rnn.canonical_gradients()


@pytest.mark.parametrize("name", ["weight_norm", "orthogonal"])
def test_canonical_weights_load_where_there_is_a_way_back(name: str) -> None:
    weights, rnn = made(name).canonical_weights(), RNN(3, 5)
    changed(name, rnn.cell, "weight_hh")
    parameters = list(rnn.parameters())
    load_canonical(rnn, weights)
    assert all(a is b for a, b in zip(rnn.parameters(), parameters, strict=True)), "an optimizer would lose them"
    for key, value in rnn.canonical_weights().items():
        np.testing.assert_allclose(value, weights[key], 1e-5, 1e-6)
    other = RNN(3, 5)
    other.load_canonical(weights)
    close(rnn(X)[0], other(X)[0])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("prune", r"cell\.weight_hh cannot be set: L1Unstructured makes it anew at every call"),
        ("prune twice", "PruningContainer makes it anew"),
        ("old weight_norm", "WeightNorm makes it anew"),
        ("old spectral_norm", "SpectralNorm makes it anew"),
        ("spectral_norm", r"its parametrization \(_SpectralNorm\) cannot give"),
        ("orthogonal", r"its parametrization \(_Orthogonal\) cannot give"),
        ("symmetric", r"its parametrization \(Symmetric\) cannot give"),
    ],
)
def test_weights_that_cannot_be_set_are_refused_and_nothing_is_set(name: str, words: str) -> None:
    rnn, weights = made(name), RNN(3, 5).canonical_weights()
    before = copy.deepcopy(rnn.state_dict())
    with pytest.raises(ValueError, match=words) as raised:
        rnn.load_canonical(weights)
    assert "\n" not in str(raised.value)
    assert all(torch.equal(value, before[key]) for key, value in rnn.state_dict().items())


def test_any_module_has_canonical_weights() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(3, 2)  # an attribute of that name is not our table
            self.rnn = RNN(2, 4)
            self.scale = nn.Parameter(torch.tensor(2.0))

    one, other = Own(), Own()
    weights = canonical_weights(one)
    names = ["scale", "table/weight", "rnn/cell/weight_ih", "rnn/cell/weight_hh", "rnn/cell/bias"]
    assert list(weights) == names and weights["scale"].shape == ()
    load_canonical(other, weights)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    with pytest.raises(ValueError, match="missing: scale"):
        load_canonical(other, {name: weights[name] for name in names[1:]})
    parametrizations.weight_norm(one.rnn.cell, "weight_hh")
    assert "rnn/cell/parametrizations/weight_hh/original0" in canonical_weights(one)


def test_hooks_on_the_cell_see_a_whole_sequence_once() -> None:
    rnn, seen = RNN(3, 5), []
    rnn.cell.register_forward_hook(lambda module, args, result: seen.append((args, result)))
    outputs, state = rnn(X, LENGTHS)
    ((args, result),) = seen
    assert args[0] is X and args[1] is None
    assert result[0] is outputs and result[1] is state
    seen.clear()
    static_rnn(rnn.cell, list(X.unbind(1)))
    assert len(seen) == 6 and seen[0][0][0].shape == (4, 3)


@each_path
@pytest.mark.parametrize("on_cell", [False, True])
def test_hooks_change_what_goes_in_and_comes_out(path: str, on_cell: bool) -> None:
    rnn, plain = pair()
    module = rnn.cell if on_cell else rnn
    for each in (module, plain):
        each.register_forward_pre_hook(lambda m, args: (args[0] * 2, *args[1:]))
        each.register_forward_pre_hook(lambda m, args, kwargs: ((args[0] + 1, *args[1:]), kwargs), with_kwargs=True)
        each.register_forward_hook(lambda m, args, result: (result[0] * 3, result[1]))
        each.register_forward_hook(lambda m, args, kwargs, result: (result[0] - 1, result[1]), with_kwargs=True)
    with forced_path(path):
        close(rnn(X)[0], plain(X)[0])


@each_path
@pytest.mark.parametrize("on_cell", [False, True])
def test_hooks_on_the_way_back(path: str, on_cell: bool) -> None:
    rnn, plain = pair()
    grads: dict[str, list[Any]] = {"ours": [], "nn": []}

    def double(module: nn.Module, out: Any) -> Any:
        return tuple(None if grad is None else grad * 2 for grad in out)

    for name, hooked in (("ours", rnn.cell if on_cell else rnn), ("nn", plain)):
        hooked.register_full_backward_pre_hook(double)
        hooked.register_full_backward_hook(
            partial(lambda kept, m, into, out: kept.extend((into[0], out[0])), grads[name])
        )
    inputs = [X.clone().requires_grad_() for _ in range(2)]
    for each, x in zip((rnn, plain), inputs, strict=True):
        with forced_path(path):
            outputs, _ = each(x)
        outputs.square().sum().backward()
    assert len(grads["ours"]) == 2
    close(grads["ours"], grads["nn"])
    close(inputs[0].grad, inputs[1].grad)


def test_a_subclass_with_another_step_is_unrolled_by_it() -> None:
    class Doubled(BasicRNNCell):
        def step(self, inputs: Tensor, state: Tensor) -> Tensor:
            return 2 * super().step(inputs, state)

    rnn = RNN(3, 5)
    rnn.cell = Doubled(3, 5)
    outputs, state = rnn(X, LENGTHS)
    expected, last = static_rnn(rnn.cell, list(X.unbind(1)), LENGTHS)
    close((outputs, state), (torch.stack(expected, 1), last))
    assert outputs.max() > 1


def test_a_subclass_with_a_forward_of_its_own_is_named() -> None:
    class Called(BasicRNNCell):
        def forward(self, inputs: Tensor, state: Tensor) -> Tensor:  # type: ignore[override]
            return self.step(inputs, state) + 1

    class Taking(BasicRNNCell):
        def forward(self, inputs: Any, state: Any, unroll: Any = None, masks: Any = None) -> Any:
            return super().forward(inputs, state, unroll)

    for cell in (Called(3, 5), Layers([Called(3, 5)])):
        with pytest.raises(TypeError, match=r"Called must leave `forward` as Cell has it, .* say in `step`"):
            dynamic_rnn(cell, X)
    static_rnn(Called(3, 5), list(X.unbind(1)))
    dynamic_rnn(Taking(3, 5), X)


def test_a_pruned_model_moves_and_freezes() -> None:
    model, other = (Classifier(RNN(3, 5), 4) for _ in range(2))
    for each in (model, other):
        prune.l1_unstructured(each.rnn.cell, "bias", 2)
        prune.l1_unstructured(each.rnn.cell, "weight_hh", 0.5)
    other.load_state_dict(model.state_dict())
    other.double()
    expected = model(X, LENGTHS)
    close(other(X.double(), LENGTHS).float(), expected)
    outputs, _ = static_rnn(model.double().rnn.cell, list(X.double().unbind(1)))  # before any other call
    close(outputs[-1], other.rnn(X.double())[1])
    other.rnn.requires_grad_(False)
    other(X.double(), LENGTHS).sum().backward()
    assert all(p.grad is None for p in other.rnn.parameters()) and other.dense.weight.grad is not None
    prune.remove(other.rnn.cell, "weight_hh")
    close(other(X.double(), LENGTHS).float(), expected)


@each_path
@pytest.mark.parametrize(
    "change", [lambda o: o.mul_(2), lambda o: o.relu_(), lambda o: o[:, 1:3].zero_(), lambda o: o.detach().zero_()]
)
def test_outputs_may_be_changed_in_place(path: str, change: Callable[[Tensor], Any]) -> None:
    inputs, grads = [X.clone().requires_grad_() for _ in range(2)], []
    for module, x in zip(pair(), inputs, strict=True):
        with forced_path(path):
            outputs, state = module(x)
        change(outputs)
        wanted = [p for p in module.parameters() if p.requires_grad]
        grads.append(torch.autograd.grad(outputs.square().sum() + state.sum(), [x, *wanted]))
    torch.testing.assert_close(*grads, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("path", [path for path in PATHS if path != "native"])
def test_the_way_back_can_be_gone_twice_with_a_change_between(path: str) -> None:
    rnn, x = RNN(3, 5, dtype=torch.float64), X.double().requires_grad_()
    with forced_path(path):
        outputs, _ = rnn(x, LENGTHS)
    first = torch.autograd.grad(outputs.sum(), rnn.cell.weight_hh, retain_graph=True)[0]
    with torch.no_grad():
        outputs.zero_()
    again = torch.autograd.grad(outputs.sum(), rnn.cell.weight_hh, retain_graph=True)[0]
    torch.testing.assert_close(again, first, rtol=1e-12, atol=0)
    with torch.no_grad():
        rnn.cell.weight_hh.zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        outputs.sum().backward()
