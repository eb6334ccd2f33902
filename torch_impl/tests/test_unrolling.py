"""Padded tensors, packed sequences, layouts and other cells; gradients by finite differences."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, unpack_sequence

from torch_impl import RNN, Classifier, Regressor, dynamic_rnn, static_rnn
from torch_impl.cells import Cell
from torch_impl.conversion import Entry
from torch_impl.states import mapped
from torch_impl.unrolling.module import Recurrent

LENGTHS = [3, 6, 1, 4]


def make(activation: str = "tanh", batch_first: bool = True) -> tuple[RNN, Tensor, Tensor]:
    """A float64 RNN with a bias, sequences [4, 6, 3] and a state [4, 5]."""
    generator = torch.Generator().manual_seed(3)
    rnn = RNN(3, 5, activation, batch_first, dtype=torch.float64)
    rnn.cell.reset_parameters(generator)
    with torch.no_grad():
        rnn.cell.bias.copy_(torch.randn(5, generator=generator))
    x = torch.randn(4, 6, 3, generator=generator, dtype=torch.float64)
    return rnn, x, torch.randn(4, 5, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("enforce_sorted", [True, False])
def test_packed_sequences_give_what_padded_ones_give(activation: str, enforce_sorted: bool) -> None:
    rnn, x, state = make(activation)
    lengths = sorted(LENGTHS, reverse=True) if enforce_sorted else LENGTHS
    packed = pack_padded_sequence(x, torch.tensor(lengths), batch_first=True, enforce_sorted=enforce_sorted)
    got, last = rnn(packed, initial_state=state)
    outputs, expected = rnn(x, lengths, state)
    assert isinstance(got, nn.utils.rnn.PackedSequence)
    padded, got_lengths = pad_packed_sequence(got, batch_first=True, total_length=6)
    torch.testing.assert_close(padded, outputs)  # not bit for bit: packed sequences run in PyTorch's own kernel
    torch.testing.assert_close(last, expected)
    assert got_lengths.tolist() == lengths
    assert [len(row) for row in unpack_sequence(got)] == lengths
    classifier = Classifier(RNN(3, 5, dtype=torch.float64), 2)
    torch.testing.assert_close(classifier(packed), classifier(x, lengths))
    regressor = Regressor(RNN(3, 5, "relu", dtype=torch.float64), 2, "wrapped")
    predictions, _ = pad_packed_sequence(regressor(packed), batch_first=True, total_length=6)
    torch.testing.assert_close(predictions, regressor(x, lengths))


def test_steps_first_is_the_transposed_result() -> None:
    rnn, x, state = make()
    steps_first, _, _ = make(batch_first=False)
    steps_first.load_state_dict(rnn.state_dict())
    outputs, last = steps_first(x.transpose(0, 1), LENGTHS, state)
    expected, expected_last = rnn(x, LENGTHS, state)
    assert torch.equal(outputs, expected.transpose(0, 1))
    assert torch.equal(last, expected_last)
    with pytest.raises(ValueError, match=r"inputs must have rank 3, float64 \[steps, batch, 3\]"):
        steps_first(x[0])


@pytest.mark.parametrize("kind", [list, tuple, torch.tensor, lambda v: torch.tensor(v, dtype=torch.int32)])
def test_lengths_come_in_any_integer_form(kind: type) -> None:
    rnn, x, _ = make()
    expected = torch.stack([rnn(x[i : i + 1, :n])[1][0] for i, n in enumerate(LENGTHS)])
    torch.testing.assert_close(rnn(x, kind(LENGTHS))[1], expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("lengths", [None, LENGTHS, [0, 6, 2, 0], [0, 0, 0, 0]])
def test_gradients_by_finite_differences(activation: str, lengths: list[int] | None) -> None:
    rnn, x, state = make(activation)
    names = [name for name, _ in rnn.cell.named_parameters()]

    def dynamic(x: Tensor, state: Tensor, *weights: Tensor) -> tuple[Tensor, Tensor]:
        parameters = {f"cell.{name}": weight for name, weight in zip(names, weights, strict=True)}
        return torch.func.functional_call(rnn, parameters, (x, lengths, state))

    def static(x: Tensor, state: Tensor, *weights: Tensor) -> tuple[Tensor, Tensor]:
        class Bare(nn.Module):
            def forward(self, x: Tensor, state: Tensor) -> Tensor:
                return torch.func.functional_call(rnn.cell, dict(zip(names, weights, strict=True)), (x, state))

            def zero_state(self, batch: int) -> Tensor:
                return rnn.cell.zero_state(batch)

        outputs, last = static_rnn(Bare(), list(x.unbind(1)), lengths, state)
        return torch.stack(outputs, 1), last

    arguments = [t.detach().clone().requires_grad_() for t in (x, state, *rnn.cell.parameters())]
    for function in (dynamic, static):
        assert torch.autograd.gradcheck(function, arguments, fast_mode=True)


@pytest.mark.parametrize("garbage", [float("nan"), float("inf"), 1e6])
@pytest.mark.parametrize(
    "model", [Classifier(RNN(3, 5), 2), Regressor(RNN(3, 5, "relu"), 2), Regressor(RNN(3, 5, "relu"), 2, "wrapped")]
)
def test_garbage_in_the_padding_reaches_no_gradient(garbage: float, model: Classifier | Regressor) -> None:
    lengths = torch.tensor([3, 0, 6, 2])
    x = torch.ones(4, 6, 3)
    padding = torch.arange(6) >= lengths[:, None]
    x[padding] = garbage
    x.requires_grad_()
    model.reset_parameters(torch.Generator().manual_seed(1))  # so that ReLU leaves no row without a gradient
    model.zero_grad()
    model(x, lengths).square().sum().backward()
    assert x.grad is not None
    assert not x.grad[padding].any()
    assert x.grad[~padding].all()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


def test_all_rows_empty_still_trains() -> None:
    rnn, x, state = make()
    outputs, last = rnn(x.fill_(float("nan")), [0, 0, 0, 0], state)
    assert outputs.shape == (4, 6, 5) and not outputs.any()
    assert torch.equal(last, state)
    outputs.sum().backward()  # part of the graph, with zero gradients
    assert all(p.grad is not None and not p.grad.any() for p in rnn.parameters())


def test_static_rnn_takes_any_cell() -> None:
    class Counter(nn.Module):
        def forward(self, inputs: Tensor, state: Tensor) -> Tensor:
            return state + 1

        def zero_state(self, batch: int) -> Tensor:
            return torch.zeros(batch, 1)

    outputs, state = static_rnn(Counter(), [torch.ones(3, 2)] * 4, [4, 0, 2])
    assert torch.cat(outputs, 1).tolist() == [[1, 2, 3, 4], [0, 0, 0, 0], [1, 2, 0, 0]]
    assert state.tolist() == [[4], [0], [2]]


@dataclass(frozen=True)
class Counting:
    """A network whose state has two parts: the sum of the inputs, and the number of steps."""

    width: int

    kind: ClassVar[str] = "counting"

    @property
    def state(self) -> dict[str, int]:
        return {"total": self.width, "steps": 1}


class CountingCell(Cell):
    kind = Counting.kind
    table = (Entry("scale", ("scale",), False),)

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.inputs, self.scale = inputs, nn.Parameter(torch.ones(inputs))

    @property
    def network(self) -> Any:
        return Counting(self.inputs)

    def step(self, inputs: Tensor, state: Any) -> tuple[Tensor, Any]:
        new = state._replace(total=state.total + inputs * self.scale, steps=state.steps + 1)
        return torch.cat([new.total, -new.steps], 1), new


def test_a_state_of_two_parts_keeps_the_length_law() -> None:
    """Output and state are two things, and no path is made for this cell."""
    cell, x = CountingCell(3), torch.ones(4, 6, 3)
    x[1, 1:] = x[2] = float("nan")
    lengths = [6, 1, 0, 4]
    first = cell.zero_state(4)._replace(steps=torch.full((4, 1), 10.0))
    outputs, state = static_rnn(cell, list(x.unbind(1)), lengths, first)
    assert state.total[:, 0].tolist() == [6, 1, 0, 4] and state.steps[:, 0].tolist() == [16, 11, 10, 14]
    assert torch.stack(outputs, 1)[:, :, 3].tolist() == [
        [-11, -12, -13, -14, -15, -16],
        [-11, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0],
        [-11, -12, -13, -14, 0, 0],
    ]
    rnn = Recurrent(cell, batch_first=False)
    for found, last in (dynamic_rnn(cell, x, lengths, first), rnn(x.transpose(0, 1), lengths, first)):
        assert torch.equal(found if found.shape[0] == 4 else found.transpose(0, 1), torch.stack(outputs, 1))
        assert torch.equal(last.total, state.total) and torch.equal(last.steps, state.steps)
    none, last = dynamic_rnn(cell, x, lengths, first, outputs=False)
    assert none is None and torch.equal(last.steps, state.steps)
    some = torch.tensor([0, 1, 3])
    packed = pack_padded_sequence(x[some], torch.tensor([6, 1, 4]), batch_first=True, enforce_sorted=False)
    found, last = dynamic_rnn(cell, packed, None, mapped(lambda part: part[some], first))
    whole, _ = pad_packed_sequence(found, batch_first=True)
    assert torch.equal(whole, torch.stack(outputs, 1)[some]) and torch.equal(last.total, state.total[some])
    assert list(rnn.canonical_weights()) == ["scale"] and rnn.network == Counting(3)


@pytest.mark.parametrize("run", [dynamic_rnn, lambda cell, x, *rest: static_rnn(cell, list(x.unbind(1)), *rest)])
def test_each_part_of_a_state_is_checked_by_name(run: Any) -> None:
    cell, x = CountingCell(3), torch.ones(4, 6, 3)
    zeros = cell.zero_state(4)
    with pytest.raises(ValueError, match=r"initial_state/total must be float32 \[4, 3\], got float32 \[4, 2\]"):
        run(cell, x, None, zeros._replace(total=torch.zeros(4, 2)))
    with pytest.raises(TypeError, match="initial_state/steps must be float32"):
        run(cell, x, None, zeros._replace(steps=torch.zeros(4, 1).double()))
    with pytest.raises(TypeError, match="initial_state must"):
        run(cell, x, None, torch.zeros(4, 4))


def test_evaluation_mode_and_no_grad_change_nothing() -> None:
    rnn, x, state = make()
    expected = rnn(x, LENGTHS, state)[0]
    with torch.inference_mode():
        assert torch.equal(rnn.eval()(x, LENGTHS, state)[0], expected)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("lengths", [None, LENGTHS, [0, 6, 2, 0]])
def test_a_gpu_gives_what_the_cpu_gives(lengths: list[int] | None) -> None:
    """Also without cuDNN's warning that the weights are not in one piece, which would be an error here."""
    rnn, x, state = make()
    expected = rnn(x, lengths, state)
    moved = rnn.cuda()
    for module in (moved, moved.float().double(), copy.deepcopy(moved).eval()):
        got = dynamic_rnn(module.cell, x.cuda(), lengths, state.cuda())
        for one, other in zip(got, expected, strict=True):
            torch.testing.assert_close(one.cpu(), other, rtol=1e-5, atol=1e-6)
        got[0].sum().backward()
