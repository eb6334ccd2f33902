"""The paths for the CPU against PyTorch's own kernel, and by finite differences: all with the same tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from torch_impl import RNN
from torch_impl.unrolling.bptt import bptt_rnn
from torch_impl.unrolling.native import native_rnn
from torch_impl.unrolling.paths import PATHS, forced_path

pytest.importorskip("numba", reason="the compiled path needs Numba")

from torch_impl.unrolling.compiled import compiled_rnn

FAST = pytest.mark.parametrize("rnn", [bptt_rnn, compiled_rnn])
ACTIVATIONS = pytest.mark.parametrize("activation", ["tanh", "relu"])
LENGTHS = pytest.mark.parametrize("lengths", [None, [3, 0, 6, 1], [0, 0, 0, 0], [2, 5, 1, 2]])
# The largest difference over the largest entry: float64 to rounding, float32 as the goal says.
LIMITS = {torch.float64: 1e-13, torch.float32: 1e-6}

Rnn = Callable[..., "tuple[Tensor, Tensor]"]


def arguments(
    dtype: torch.dtype = torch.float64, batch: int = 4, steps: int = 6, inputs: int = 3, units: int = 5, seed: int = 0
) -> list[Tensor]:
    """inputs, weight_ih, weight_hh, bias, initial_state: unsaturated, all requiring gradients."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [(batch, steps, inputs), (units, inputs), (units, units), (units,), (batch, units)]
    scales = [1.0, 0.5, 0.9 / units**0.5, 0.3, 0.5]
    tensors = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]
    return [(s * t).to(dtype).requires_grad_() for s, t in zip(scales, tensors, strict=True)]


# As the tests call it: with a list of arguments.
native: Rnn = native_rnn


def limits_of(lengths: list[int] | None) -> Tensor | None:
    return None if lengths is None else torch.tensor(lengths)


def difference(found: Tensor, expected: Tensor) -> float:
    """The largest difference, relative to the largest entry."""
    return float((found.double() - expected).detach().abs().max() / expected.detach().abs().max().clamp(min=1e-30))


def run_all(rnn: Rnn, args: list[Tensor], lengths: Tensor | None, activation: str, used: str) -> list[Tensor]:
    """outputs, state, and the gradients of a cost on the results in `used`."""
    outputs, state = rnn(*args, lengths, activation)
    generator = torch.Generator().manual_seed(9)
    cost = torch.zeros((), dtype=torch.float64)
    for name, result in (("outputs", outputs), ("state", state)):
        weight = torch.randn(result.shape, generator=generator, dtype=torch.float64)
        if name in used:
            cost = cost + (result * weight).sum()
    return [outputs, state, *torch.autograd.grad(cost, args)]


@FAST
@ACTIVATIONS
@LENGTHS
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("used", ["outputs", "state", "outputs and state"])
def test_results_and_gradients_are_the_native_ones(
    rnn: Rnn, activation: str, lengths: list[int] | None, dtype: torch.dtype, used: str
) -> None:
    args, limits = arguments(dtype), limits_of(lengths)
    # Expected in float64, from the very same numbers.
    exact = [a.detach().double().requires_grad_() for a in args]
    expected = run_all(native_rnn, exact, limits, activation, used)
    found = run_all(rnn, args, limits, activation, used)
    for name, f, e in zip(("outputs", "state", "inputs", "ih", "hh", "bias", "initial"), found, expected, strict=True):
        assert f.shape == e.shape and f.dtype == dtype
        assert difference(f, e) <= LIMITS[dtype], name


# Every remainder of the register tiles: rows of 1 to 7, one to five and nine vectors of columns, several depths.
@FAST
@pytest.mark.parametrize(
    ("batch", "steps", "inputs", "units"),
    [(1, 1, 1, 1), (1, 9, 1, 16), (2, 3, 17, 31), (3, 2, 15, 33), (5, 4, 16, 64), (6, 2, 1, 65), (7, 40, 2, 144)],
)
def test_every_shape(rnn: Rnn, batch: int, steps: int, inputs: int, units: int) -> None:
    args = arguments(torch.float64, batch, steps, inputs, units)
    expected = run_all(native_rnn, args, None, "tanh", "outputs and state")
    for f, e in zip(run_all(rnn, args, None, "tanh", "outputs and state"), expected, strict=True):
        assert difference(f, e) <= 1e-12


@FAST
@ACTIVATIONS
@pytest.mark.parametrize("lengths", [None, [3, 0, 6, 1]])
def test_first_and_second_derivatives_by_finite_differences(
    rnn: Rnn, activation: str, lengths: list[int] | None
) -> None:
    args, limits = arguments(steps=6, units=3, inputs=2), limits_of(lengths)

    def function(*a: Tensor) -> tuple[Tensor, Tensor]:
        return rnn(*a, limits, activation)

    assert torch.autograd.gradcheck(function, args, fast_mode=True)
    assert torch.autograd.gradgradcheck(function, args, fast_mode=True)


@FAST
@ACTIVATIONS
def test_nothing_passes_between_padding_and_the_rest(rnn: Rnn, activation: str) -> None:
    lengths = torch.tensor([3, 0, 6, 1])
    padding = torch.arange(6) >= lengths[:, None]
    clean = run_all(rnn, arguments(), lengths, activation, "outputs and state")
    for poison in (float("nan"), float("inf")):
        args = arguments()
        with torch.no_grad():
            args[0][padding] = poison
        outputs, state = rnn(*args, lengths, activation)
        generator = torch.Generator().manual_seed(9)
        weights = [torch.randn(r.shape, generator=generator, dtype=torch.float64) for r in (outputs, state)]
        weights[0][padding] = poison  # a cost whose derivative by the padding is not a number
        found = [outputs, state, *torch.autograd.grad((outputs, state), args, weights)]
        for f, e in zip(found, clean, strict=True):
            assert torch.equal(f, e)
        assert not found[0][padding].any() and not found[2][padding].any()
        assert torch.equal(state[1], args[4][1])


@FAST
def test_a_row_of_length_zero_hands_its_state_and_gradient_through(rnn: Rnn) -> None:
    args = arguments()
    with torch.no_grad():
        args[4][1] = float("nan")  # and it reaches no other row
    _, state = rnn(*args, torch.tensor([3, 0, 6, 1]), "tanh")
    assert state[1].isnan().all() and state[[0, 2, 3]].isfinite().all()
    weights = torch.arange(20.0, dtype=torch.float64).view(4, 5)
    grads = torch.autograd.grad(state, args, weights)
    assert torch.equal(grads[4][1], weights[1])
    assert all(g.isfinite().all() for g in grads)


@FAST
def test_nan_and_infinity_in_valid_steps_are_seen(rnn: Rnn) -> None:
    for poison, activation in ((float("nan"), "tanh"), (float("nan"), "relu"), (float("inf"), "tanh")):
        args = arguments()
        with torch.no_grad():
            args[0][2, 3, 0] = poison
        found, expected = (r(*args, None, activation)[0] for r in (rnn, native))
        torch.testing.assert_close(found, expected, equal_nan=True)
        assert found[2, 3].isnan().any() == expected[2, 3].isnan().any()


@FAST
def test_only_what_is_needed_is_computed(rnn: Rnn) -> None:
    for wanted in range(5):
        args = [a.detach() for a in arguments()]
        args[wanted].requires_grad_()
        expected = torch.autograd.grad(native(*args)[0].sum(), args[wanted])[0]
        outputs, state = rnn(*args)
        outputs.sum().backward()
        assert difference(args[wanted].grad, expected) < 1e-12  # type: ignore[arg-type]
        assert all(a.grad is None for i, a in enumerate(args) if i != wanted)
    outputs, state = rnn(*(a.detach() for a in arguments()))
    assert not outputs.requires_grad and not state.requires_grad


@FAST
def test_no_argument_is_modified_and_no_initial_state_is_zeros(rnn: Rnn) -> None:
    args = arguments()
    kept = [a.detach().clone() for a in args]
    run_all(rnn, args, torch.tensor([3, 0, 6, 1]), "tanh", "outputs and state")
    assert all(torch.equal(a, k) for a, k in zip(args, kept, strict=True))
    zeros = torch.zeros(4, 5, dtype=torch.float64)
    assert torch.equal(rnn(*args[:4])[0], rnn(*args[:4], zeros)[0])
    strided = args[0].detach().transpose(0, 1).contiguous().transpose(0, 1)
    assert torch.equal(rnn(strided, *args[1:])[0], rnn(*args)[0])


@FAST
@ACTIVATIONS
@LENGTHS
def test_outputs_changed_in_place_change_no_gradient(rnn: Rnn, activation: str, lengths: list[int] | None) -> None:
    args, limits = arguments(), limits_of(lengths)
    outputs, state = rnn(*args, limits, activation)
    expected = torch.autograd.grad(outputs.sum() + state.sum(), args, retain_graph=True)
    with torch.no_grad():
        outputs.zero_()
    for found, e in zip(torch.autograd.grad(outputs.sum() + state.sum(), args), expected, strict=True):
        assert torch.equal(found, e)


@pytest.mark.parametrize("path", PATHS)
def test_the_module_runs_each_path(path: str) -> None:
    rnn, x = RNN(3, 5, dtype=torch.float64), torch.ones(4, 6, 3, dtype=torch.float64)
    with forced_path("native"):
        expected, _ = rnn(x, [3, 0, 6, 1])
    with forced_path(path):
        outputs, _ = rnn(x, [3, 0, 6, 1])
    torch.testing.assert_close(outputs, expected)
    assert {"compiled": "Compiled", "bptt": "BPTT"}.get(path, "") in type(outputs.grad_fn).__name__
