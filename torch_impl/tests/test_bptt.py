"""The paths for the CPU, of every kind of cell, against the same cell step by step in float64, and by finite
differences: all with the same tests."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence

from torch_impl import states
from torch_impl.cells.basic_rnn import BasicRNNCell
from torch_impl.cells.gru import GRUCell
from torch_impl.cells.lstm import LSTMCell
from torch_impl.unrolling.dynamic import dynamic_rnn
from torch_impl.unrolling.paths import PATHS, forced_path
from torch_impl.unrolling.static import by_steps

pytest.importorskip("numba", reason="the compiled path needs Numba")

MAKERS: dict[str, Callable[..., Any]] = {
    "tanh": BasicRNNCell,
    "relu": lambda inputs, units, **rest: BasicRNNCell(inputs, units, "relu", **rest),
    "lstm": lambda inputs, units, **rest: LSTMCell(inputs, units, forget_bias=0.5, **rest),
    "gru": GRUCell,
    "gru, reset after": lambda inputs, units, **rest: GRUCell(inputs, units, reset_after=True, **rest),
}
FAST = pytest.mark.parametrize("path", ["bptt", "compiled"])
KINDS = pytest.mark.parametrize("kind", MAKERS)
LENGTHS = pytest.mark.parametrize("lengths", [None, [3, 0, 6, 1], [0, 0, 0, 0], [2, 5, 1, 2]])
# The largest difference over the largest entry: float64 to rounding, float32 as the goal says.
LIMITS = {torch.float64: 1e-12, torch.float32: 2e-6}
NODES = {"compiled": "Compiled", "bptt": "BPTT"}


class Case:
    """A cell with inputs and an initial state: unsaturated, all requiring gradients."""

    def __init__(
        self,
        kind: str,
        dtype: torch.dtype = torch.float64,
        batch: int = 4,
        steps: int = 6,
        inputs: int = 3,
        units: int = 5,
    ) -> None:
        generator = torch.Generator().manual_seed(0)

        def drawn(*shape: int) -> Tensor:
            return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

        self.cell = MAKERS[kind](inputs, units, dtype=dtype)
        with torch.no_grad():
            for p in self.cell.parameters():
                p.copy_(drawn(*p.shape) * (0.3 if p.ndim == 1 else 0.9 / p.shape[1] ** 0.5))
        self.inputs = drawn(batch, steps, inputs).requires_grad_()
        zeros = self.cell.zero_state(batch)
        self.state: Any = states.mapped(lambda part: (0.5 * drawn(*part.shape)).requires_grad_(), zeros)

    def exact(self) -> Case:
        """The same numbers in float64."""
        other = object.__new__(Case)
        other.inputs = self.inputs.detach().double().requires_grad_()
        other.state = states.mapped(lambda part: part.detach().double().requires_grad_(), self.state)
        other.cell = copy.deepcopy(self.cell).double()
        return other

    @property
    def leaves(self) -> list[Tensor]:
        return [self.inputs, *_parts(self.state), *self.cell.parameters()]


def _parts(state: Any) -> list[Tensor]:
    return [state] if isinstance(state, Tensor) else list(state)


def limits_of(lengths: list[int] | None) -> Tensor | None:
    return None if lengths is None else torch.tensor(lengths)


def run(path: str | None, case: Case, lengths: Tensor | None = None, given: bool = True) -> list[Tensor]:
    """Outputs and the parts of the state; path None: step by step. given: whether the initial state is."""
    state = case.state if given else None
    if path is None:
        outputs, last = by_steps(case.cell, case.inputs, lengths, state)
    else:
        with forced_path(path):
            outputs, last = dynamic_rnn(case.cell, case.inputs, lengths, state)
        if lengths is None or lengths.any():
            assert NODES[path] in type(_parts(last)[0].grad_fn).__name__ or not torch.is_grad_enabled()
    return [outputs, *_parts(last)]


def costs(results: list[Tensor]) -> list[Tensor]:
    """Weights of a cost on each result."""
    generator = torch.Generator().manual_seed(9)
    return [torch.randn(r.shape, generator=generator, dtype=torch.float64).to(r.dtype) for r in results]


def with_gradients(results: list[Tensor], case: Case, used: tuple[int, ...] | None = None) -> list[Tensor]:
    """The results, and the gradients of a cost on those in `used` (all of them) by all leaves."""
    weights = costs(results)
    chosen = range(len(results)) if used is None else [i for i in used if i < len(results)]
    cost = sum((results[i] * weights[i]).sum() for i in chosen)
    grads = torch.autograd.grad(cost, case.leaves, allow_unused=True, retain_graph=True)  # type: ignore[arg-type]
    return [*results, *(torch.zeros_like(leaf) if g is None else g for g, leaf in zip(grads, case.leaves, strict=True))]


def difference(found: Tensor, expected: Tensor) -> float:
    """The largest difference, relative to the largest entry."""
    return float((found.double() - expected).detach().abs().max() / expected.detach().abs().max().clamp(min=1e-30))


@FAST
@KINDS
@LENGTHS
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("used", [(0,), (1,), (2,), None])
def test_results_and_gradients_are_those_of_single_steps(
    path: str, kind: str, lengths: list[int] | None, dtype: torch.dtype, used: tuple[int, ...] | None
) -> None:
    case, limits = Case(kind, dtype), limits_of(lengths)
    if used == (2,) and kind != "lstm":
        used = (0, 1)
    exact = case.exact()
    expected = with_gradients(run(None, exact, limits), exact, used)
    found = with_gradients(run(path, case, limits), case, used)
    for number, (f, e) in enumerate(zip(found, expected, strict=True)):
        assert f.shape == e.shape and f.dtype == dtype
        assert difference(f, e) <= LIMITS[dtype], number


# Every remainder of the register tiles: rows of 1 to 7, one to five and nine vectors of columns, several depths.
@FAST
@KINDS
@pytest.mark.parametrize(
    ("batch", "steps", "inputs", "units"),
    [(1, 1, 1, 1), (1, 9, 1, 16), (2, 3, 17, 31), (3, 2, 15, 33), (5, 4, 16, 64), (6, 2, 1, 65), (7, 40, 2, 144)],
)
def test_every_shape(path: str, kind: str, batch: int, steps: int, inputs: int, units: int) -> None:
    case = Case(kind, torch.float64, batch, steps, inputs, units)
    expected = with_gradients(run(None, case), case)
    for f, e in zip(with_gradients(run(path, case), case), expected, strict=True):
        assert difference(f, e) <= 1e-12


@FAST
@KINDS
@pytest.mark.parametrize("lengths", [None, [3, 0, 6, 1]])
def test_first_and_second_derivatives_by_finite_differences(path: str, kind: str, lengths: list[int] | None) -> None:
    case, limits = Case(kind, units=3, inputs=2), limits_of(lengths)
    names = [name for name, _ in case.cell.named_parameters()]
    like = type(case.state)

    def function(inputs: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        parts = rest[: len(rest) - len(names)]
        state: Any = parts[0] if like is Tensor else like(*parts)
        weights = dict(zip(names, rest[len(parts) :], strict=True))
        with forced_path(path):
            outputs, last = torch.func.functional_call(
                _Whole(case.cell, limits), {f"cell.{name}": w for name, w in weights.items()}, (inputs, state)
            )
        return outputs, *_parts(last)

    assert torch.autograd.gradcheck(function, case.leaves, fast_mode=True)
    assert torch.autograd.gradgradcheck(function, case.leaves, fast_mode=True)


class _Whole(torch.nn.Module):
    def __init__(self, cell: Any, lengths: Tensor | None) -> None:
        super().__init__()
        self.cell, self.lengths = cell, lengths

    def forward(self, inputs: Tensor, state: Any) -> Any:
        return dynamic_rnn(self.cell, inputs, self.lengths, state)


@FAST
@KINDS
def test_nothing_passes_between_padding_and_the_rest(path: str, kind: str) -> None:
    lengths = torch.tensor([3, 0, 6, 1])
    padding = torch.arange(6) >= lengths[:, None]
    case = Case(kind)
    clean = with_gradients(run(path, case, lengths), case)
    for poison in (float("nan"), float("inf")):
        case = Case(kind)
        with torch.no_grad():
            case.inputs[padding] = poison
        results = run(path, case, lengths)
        weights = costs(results)
        weights[0][padding] = poison  # a cost whose derivative by the padding is not a number
        found = [*results, *torch.autograd.grad(results, case.leaves, weights)]
        for f, e in zip(found, clean, strict=True):
            assert torch.equal(f, e)
        assert not results[0][padding].any() and not found[len(results)][padding].any()
        for last, first in zip(results[1:], _parts(states.mapped(lambda p: p, case.state))[::1], strict=True):
            assert torch.equal(last[1], first[1])


@FAST
@KINDS
def test_a_row_of_length_zero_hands_its_state_and_gradient_through(path: str, kind: str) -> None:
    case = Case(kind)
    with torch.no_grad():
        for part in _parts(case.state):
            part[1] = float("nan")  # and it reaches no other row
    _, *last = run(path, case, torch.tensor([3, 0, 6, 1]))
    assert all(part[1].isnan().all() and part[[0, 2, 3]].isfinite().all() for part in last)
    weights = [torch.arange(20.0, dtype=torch.float64).view(4, 5) + i for i in range(len(last))]
    grads = torch.autograd.grad(last, case.leaves, weights)
    for found, weight in zip(grads[1:], weights, strict=False):
        assert torch.equal(found[1], weight[1])
    assert all(g.isfinite().all() for g in grads)


@FAST
@KINDS
def test_nan_and_infinity_in_valid_steps_are_seen(path: str, kind: str) -> None:
    for poison in (float("nan"), float("inf")):
        if kind == "relu" and poison == float("inf"):
            continue
        case = Case(kind)
        with torch.no_grad():
            case.inputs[2, 3, 0] = poison
        found, expected = run(path, case)[0], run(None, case)[0]
        torch.testing.assert_close(found, expected, equal_nan=True)
        assert found[2, 3].isnan().any() == expected[2, 3].isnan().any()


@FAST
@KINDS
def test_only_what_is_needed_is_computed(path: str, kind: str) -> None:
    for wanted in range(len(Case(kind).leaves)):
        case = Case(kind)
        for number, leaf in enumerate(case.leaves):
            leaf.requires_grad_(number == wanted)
        expected = torch.autograd.grad(run(None, case)[0].sum(), case.leaves[wanted])[0]
        run(path, case)[0].sum().backward()
        assert difference(case.leaves[wanted].grad, expected) < 1e-12  # type: ignore[arg-type]
        assert all(leaf.grad is None for number, leaf in enumerate(case.leaves) if number != wanted)
    case = Case(kind)
    with torch.no_grad():
        assert not any(result.requires_grad for result in run(path, case))


@FAST
@KINDS
def test_no_argument_is_modified_and_no_initial_state_is_zeros(path: str, kind: str) -> None:
    case = Case(kind)
    kept = [leaf.detach().clone() for leaf in case.leaves]
    with_gradients(run(path, case, torch.tensor([3, 0, 6, 1])), case)
    assert all(torch.equal(leaf, k) for leaf, k in zip(case.leaves, kept, strict=True))
    none = run(path, case, given=False)[0]
    case.state = case.cell.zero_state(4)
    assert torch.equal(none, run(path, case)[0])
    case.inputs = case.inputs.detach().transpose(0, 1).contiguous().transpose(0, 1)
    assert torch.equal(none, run(path, case)[0])


@FAST
@KINDS
@LENGTHS
def test_outputs_changed_in_place_change_no_gradient_and_a_graph_serves_again(
    path: str, kind: str, lengths: list[int] | None
) -> None:
    case, limits = Case(kind), limits_of(lengths)
    results = run(path, case, limits)
    expected = with_gradients(results, case)[len(results) :]
    for f, e in zip(with_gradients(results, case)[len(results) :], expected, strict=True):
        assert torch.equal(f, e)
    weights = costs(results)
    with torch.no_grad():
        results[0].zero_()
    for f, e in zip(torch.autograd.grad(results, case.leaves, weights), expected, strict=True):
        assert torch.equal(f, e)


@KINDS
@pytest.mark.parametrize("path", PATHS)
def test_packed_sequences_are_the_padded_ones(path: str, kind: str) -> None:
    case, lengths = Case(kind), torch.tensor([3, 2, 6, 1])
    expected, last = by_steps(case.cell, case.inputs, lengths, case.state)
    packed = pack_padded_sequence(case.inputs, lengths, batch_first=True, enforce_sorted=False)
    with forced_path(path):
        found, state = dynamic_rnn(case.cell, packed, None, case.state)
    wanted = pack_padded_sequence(expected, lengths, batch_first=True, enforce_sorted=False)
    results, others = [found.data, *_parts(state)], [wanted.data, *_parts(last)]
    for f, e in zip(with_gradients(results, case), with_gradients(others, case), strict=True):
        assert difference(f, e) <= 1e-12
