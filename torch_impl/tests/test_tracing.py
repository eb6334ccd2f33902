"""A module of one's own with an RNN inside goes where one with nn.RNN goes: jit.trace, fx, torch.export, ONNX, compile.

The batch stays free: what is written down for two rows serves six.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from torch_impl import RNN, BasicRNNCell, GRUCell, LSTMCell, states

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.jit.*deprecated"),
    pytest.mark.filterwarnings("ignore:.*legacy TorchScript-based ONNX export"),
    pytest.mark.filterwarnings("ignore:Exporting a model to ONNX with a batch_size other than 1"),
    pytest.mark.filterwarnings("ignore:The feature will be removed:DeprecationWarning"),
    # PyTorch's own pad_packed_sequence, of total_length.
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning:torch.nn.utils.rnn"),
]


class Own(nn.Module):
    """An RNN and a dense layer on all its outputs."""

    def __init__(self, rnn: nn.Module) -> None:
        super().__init__()
        self.rnn, self.head = rnn, nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        outputs, _ = self.rnn(x)
        return self.head(outputs)


class WithState(Own):
    def forward(self, x: Tensor, state: Tensor) -> Tensor:  # type: ignore[override]
        if isinstance(self.rnn, nn.RNN):
            return self.head(self.rnn(x, state[None])[0])
        return self.head(self.rnn(x, None, state)[0])


class WithLengths(Own):
    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:  # type: ignore[override]
        if isinstance(self.rnn, nn.RNN):
            return Packs.forward(self, x, lengths)  # type: ignore[arg-type]
        outputs, state = self.rnn(x, lengths)
        return self.head(outputs) + self.head(state)[:, None]


class Packs(Own):
    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:  # type: ignore[override]
        packed, state = self.rnn(pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False))
        outputs, _ = pad_packed_sequence(packed, batch_first=True, total_length=x.shape[1])
        state = state[0] if isinstance(self.rnn, nn.RNN) else state
        return self.head(outputs) + self.head(state)[:, None]


def models(kind: type[Own]) -> tuple[Own, Own]:
    """The same with an RNN of ours and with an nn.RNN."""
    ours, plain = kind(RNN(3, 4)), kind(nn.RNN(3, 4, batch_first=True))
    plain.load_state_dict({**plain.state_dict(), **{f"head.{k}": v for k, v in ours.head.state_dict().items()}})
    plain.rnn.load_state_dict(ours.rnn.nn_rnn_state_dict())  # type: ignore[operator]
    return ours.eval(), plain.eval()


def arguments(kind: type[Own], batch: int, steps: int = 5) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(batch)
    x = torch.randn(batch, steps, 3, generator=generator)
    if kind is WithState:
        return x, torch.randn(batch, 4, generator=generator)
    return (x,) if kind is Own else (x, torch.randint(1, steps + 1, (batch,), generator=generator))


def traced(model: nn.Module, example: tuple[Tensor, ...]) -> Callable[..., Tensor]:
    return torch.jit.trace(model, example)


def symbolic(model: nn.Module, example: tuple[Tensor, ...]) -> Callable[..., Tensor]:
    found = torch.fx.symbolic_trace(model)
    assert set(found.state_dict()) == set(model.state_dict())
    return found


def exported(model: nn.Module, example: tuple[Tensor, ...]) -> Callable[..., Tensor]:
    batch = torch.export.Dim("batch")
    return torch.export.export(model, example, dynamic_shapes=tuple({0: batch} for _ in example)).module()


def compiled(model: nn.Module, example: tuple[Tensor, ...]) -> Callable[..., Tensor]:
    torch._dynamo.reset()
    return torch.compile(model, backend="eager", fullgraph=True, dynamic=True)


def of_onnx(path: Path) -> Callable[..., Tensor]:
    session = pytest.importorskip("onnxruntime").InferenceSession(path)
    names = [value.name for value in session.get_inputs()]

    def run(*given: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, dict(zip(names, (g.numpy() for g in given), strict=True)))[0])

    return run


WAYS = {"jit.trace": traced, "fx": symbolic, "export": exported, "compile": compiled}
# Neither does nn.RNN: packing depends on the lengths' values.
CANNOT = {("fx", Packs), ("export", Packs), ("compile", Packs)}


@pytest.mark.parametrize("kind", [Own, WithState, WithLengths, Packs])
@pytest.mark.parametrize("way", list(WAYS))
def test_it_gives_what_nn_rnn_gives_for_another_batch(way: str, kind: type[Own]) -> None:
    if (way, kind) in CANNOT:
        pytest.skip("nor with nn.RNN")
    ours, plain = models(kind)
    found, other = WAYS[way](ours, arguments(kind, 2)), arguments(kind, 6)
    torch.testing.assert_close(found(*other), plain(*other))


@pytest.mark.parametrize("way", ["jit.trace", "fx", "export", "compile"])
def test_lengths_of_zero_and_nothing_in_the_padding(way: str) -> None:
    ours, _ = models(WithLengths)
    found = WAYS[way](ours, arguments(WithLengths, 2))
    x, lengths = torch.randn(4, 5, 3), torch.tensor([3, 0, 5, 1])
    x[torch.arange(5) >= lengths[:, None]] = float("nan")
    x.requires_grad_()
    torch.testing.assert_close(found(x, lengths), ours(x, lengths))
    found(x, lengths).sum().backward()
    assert x.grad is not None and x.grad.isfinite().all() and x.grad[0].any() and not x.grad[1].any()


@pytest.mark.parametrize("kind", [Own, WithState, WithLengths, Packs])
def test_onnx_with_free_batch_and_steps(kind: type[Own], tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="onnx is not installed (the extra `onnx`)")
    path = tmp_path / "model.onnx"
    ours, plain = models(kind)
    example = arguments(kind, 2)
    names = ["x", "y"][: len(example)]
    axes = {name: {0: "batch", 1: "steps"} if name == "x" else {0: "batch"} for name in names}
    torch.onnx.export(ours, example, path, dynamo=False, input_names=names, dynamic_axes=axes)
    other = arguments(kind, 6, 9)
    torch.testing.assert_close(of_onnx(path)(*other), plain(*other), rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore:# The axis name:UserWarning")
@pytest.mark.skipif(importlib.util.find_spec("onnxscript") is None, reason="needs onnxscript")
@pytest.mark.parametrize("kind", [Own, WithState, WithLengths])
def test_onnx_by_torch_export(kind: type[Own], tmp_path: Path) -> None:
    path, batch = tmp_path / "model.onnx", torch.export.Dim("batch")
    ours, plain = models(kind)
    example = arguments(kind, 2)
    shapes = tuple({0: batch} for _ in example)
    torch.onnx.export(ours, example, path, dynamo=True, dynamic_shapes=shapes, verbose=False)
    other = arguments(kind, 6)
    torch.testing.assert_close(of_onnx(path)(*other), plain(*other), rtol=1e-5, atol=1e-6)


def test_what_is_traced_can_be_trained() -> None:
    ours, _ = models(WithLengths)
    x, lengths = arguments(WithLengths, 6)
    with torch.no_grad():
        found = traced(ours, arguments(WithLengths, 2))
    expected = torch.autograd.grad(ours(x, lengths).square().sum(), list(ours.parameters()))
    grads = torch.autograd.grad(found(x, lengths).square().sum(), list(ours.parameters()))
    torch.testing.assert_close(grads, expected)


@pytest.mark.filterwarnings("ignore:The tensor attribute .* was assigned during export:UserWarning")
def test_a_pruned_cell_is_written_down_with_its_mask() -> None:
    ours, _ = models(Own)
    torch.nn.utils.prune.l1_unstructured(ours.rnn.cell, "weight_hh", 0.5)
    assert isinstance(ours.rnn.cell, BasicRNNCell)
    (x,) = arguments(Own, 6)
    found: dict[str, Any] = {name: way(ours, arguments(Own, 2)) for name, way in WAYS.items()}
    for name, each in found.items():
        torch.testing.assert_close(each(x), ours(x), msg=name)


@pytest.mark.parametrize("cell", [LSTMCell, GRUCell])
def test_a_step_is_mapped_by_torch_func_without_a_graph(cell: Any) -> None:
    torch.manual_seed(0)
    made, rows, zero = cell(3, 5), torch.randn(4, 2, 3), torch.zeros(2, 5)

    def step(inputs: Tensor) -> Any:
        return made.step(inputs, states.LSTMState(zero, zero))[0] if cell is LSTMCell else made.step(inputs, zero)

    with torch.no_grad():
        torch.testing.assert_close(torch.func.vmap(step)(rows), torch.stack([step(inputs) for inputs in rows]))
