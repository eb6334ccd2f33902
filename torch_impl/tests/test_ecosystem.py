"""The modules behave as any PyTorch module: saving, copying, moving, compiling, autocast, and exchange with nn.RNN."""

from __future__ import annotations

import copy
import inspect
import io

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import torch_impl
from torch_impl import RNN, BasicRNNCell, Classifier, Regressor

LENGTHS = [6, 0, 2, 3]


def sequences() -> Tensor:
    return torch.randn(4, 6, 3, generator=torch.Generator().manual_seed(1))


def test_state_dict_survives_a_file() -> None:
    model, other = Classifier(RNN(3, 5), 4), Classifier(RNN(3, 5), 4)
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(other(sequences(), LENGTHS), model(sequences(), LENGTHS))
    assert list(model.state_dict()) == [
        "rnn.cell.weight_ih",
        "rnn.cell.weight_hh",
        "rnn.cell.bias",
        "dense.weight",
        "dense.bias",
    ]


def test_a_deep_copy_is_equal_and_apart() -> None:
    model = Regressor(RNN(3, 5, "relu"), 2)
    other = copy.deepcopy(model)
    expected = model(sequences())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert torch.equal(other(sequences()), expected)


def test_dtype_moves() -> None:
    rnn = RNN(3, 5)
    expected = rnn(sequences(), LENGTHS)[0]
    outputs, state = rnn.double()(sequences().double(), LENGTHS)
    assert outputs.dtype == state.dtype == torch.float64
    torch.testing.assert_close(outputs.float(), expected)
    outputs, _ = rnn.bfloat16()(sequences().bfloat16(), LENGTHS)
    torch.testing.assert_close(outputs.float(), expected, rtol=0.05, atol=0.05)
    assert RNN(3, 5, device="meta").to_empty(device="cpu").cell.bias.device.type == "cpu"


@pytest.mark.parametrize("lengths", [None, LENGTHS, [0, 0, 0, 0]])
def test_autocast(lengths: list[int] | None) -> None:
    model = Classifier(RNN(3, 5), 4)
    expected = model(sequences(), lengths)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(sequences(), lengths)
        outputs, _ = torch_impl.static_rnn(model.rnn.cell, list(sequences().unbind(1)), lengths)
    logits.float().sum().backward()
    assert logits.dtype == outputs[0].dtype == torch.bfloat16
    torch.testing.assert_close(logits.float(), expected, rtol=0.05, atol=0.05)
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in model.parameters())


@pytest.mark.parametrize("lengths", [None, LENGTHS])
def test_compile(lengths: list[int] | None) -> None:
    model = Regressor(RNN(3, 5, "relu"), 2)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    limits = None if lengths is None else torch.tensor(lengths)
    expected = model(sequences(), limits)
    torch.testing.assert_close(compiled(sequences(), limits), expected)
    compiled(sequences(), limits).sum().backward()
    assert model.rnn.cell.weight_hh.grad is not None


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_weights_of_nn_rnn_load_with_their_biases_folded(activation: str) -> None:
    plain = nn.RNN(3, 5, nonlinearity=activation, batch_first=True)
    rnn = RNN(3, 5, activation)
    rnn.load_state_dict(plain.state_dict())
    expected, last = plain(sequences())
    outputs, state = rnn(sequences())
    torch.testing.assert_close(outputs, expected)
    torch.testing.assert_close(state, last[0])
    assert sum(p.numel() for p in rnn.parameters()) == sum(p.numel() for p in plain.parameters()) - 5


def test_weights_go_back_to_nn_rnn() -> None:
    rnn = RNN(3, 5)
    with torch.no_grad():
        rnn.cell.bias.copy_(torch.arange(5) / 5)
    plain = nn.RNN(3, 5, batch_first=True)
    plain.load_state_dict(rnn.nn_rnn_state_dict())
    torch.testing.assert_close(plain(sequences())[0], rnn(sequences())[0])


def test_nn_rnn_inside_a_larger_state_dict() -> None:
    model = Classifier(RNN(3, 5), 4)
    state = nn.ModuleDict({"rnn": nn.RNN(3, 5), "dense": nn.Linear(5, 4)}).state_dict()
    model.load_state_dict(state)
    assert torch.equal(model.get_parameter("rnn.cell.weight_hh"), state["rnn.weight_hh_l0"])
    assert torch.equal(model.dense.weight, state["dense.weight"])


@pytest.mark.parametrize("other", [nn.RNN(3, 5, num_layers=2), nn.RNN(3, 5, bidirectional=True), nn.RNN(3, 4)])
def test_another_kind_of_nn_rnn_is_refused(other: nn.RNN) -> None:
    with pytest.raises(RuntimeError, match=r"Unexpected key|size mismatch"):
        RNN(3, 5).load_state_dict(other.state_dict())


def test_canonical_weights_are_copies_in_tf1s_layout() -> None:
    cell = BasicRNNCell(3, 5)
    weights = cell.canonical_weights()
    assert {name: array.shape for name, array in weights.items()} == {"kernel": (8, 5), "bias": (5,)}
    assert np.array_equal(weights["kernel"][:3], cell.weight_ih.detach().numpy().T)
    assert np.array_equal(weights["kernel"][3:], cell.weight_hh.detach().numpy().T)
    before = cell.bias.detach().clone()
    weights["bias"] += 1
    assert torch.equal(cell.bias, before)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bias": None}, "missing: bias"),
        ({"extra": np.zeros(5, np.float32)}, "unknown: extra"),
        ({"kernel": np.zeros((5, 8), np.float32)}, r"'kernel' must be a NumPy array float32 \[8, 5\], got .* \[5, 8\]"),
        ({"kernel": np.zeros((8, 5))}, "'kernel' .* float32 .* got float64"),
        ({"kernel": np.zeros(40, np.float32)}, r"'kernel' .* \[40\]"),
        ({"bias": [0.0] * 5}, "'bias' must be a NumPy array .* got list"),
    ],
)
def test_canonical_weights_are_taken_strictly(change: dict, words: str) -> None:
    cell = BasicRNNCell(3, 5)
    before = cell.canonical_weights()
    changed = {name: array for name, array in {**before, **change}.items() if array is not None}
    with pytest.raises(ValueError, match=words):
        cell.load_canonical(changed)
    assert all(np.array_equal(array, before[name]) for name, array in cell.canonical_weights().items())


def test_initial_values_follow_a_generator_and_leave_the_global_one() -> None:
    model, other = Classifier(RNN(3, 5), 4), Classifier(RNN(3, 5), 4)
    state = torch.random.get_rng_state()
    for module in (model, other):
        module.reset_parameters(torch.Generator().manual_seed(7))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))
    cell = model.get_submodule("rnn.cell")
    assert not torch.equal(cell.get_parameter("weight_hh")[:3, :3], cell.get_parameter("weight_ih")[:3, :3])


def test_every_public_name_is_there_and_documented() -> None:
    names = vars(torch_impl)["__all__"]
    assert set(names) <= set(dir(torch_impl))
    assert all(inspect.getdoc(getattr(torch_impl, name)) for name in names)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        torch_impl.Nothing  # type: ignore[attr-defined]  # noqa: B018
