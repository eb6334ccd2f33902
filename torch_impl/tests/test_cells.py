"""LSTM, GRU and what is made of them: as PyTorch's own layers, packed, hooked, loaded, refused.

What they compute is the suite's to say.
"""

from __future__ import annotations

import pickle
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import torch_impl
from torch_impl import (
    GRU,
    LSTM,
    RNN,
    Classifier,
    Decoder,
    GRUCell,
    KerasGRUCell,
    KerasLSTMCell,
    LSTMCell,
    Recurrent,
    Regressor,
    Speller,
    build,
    states,
)
from torch_impl.adapter import backend
from torch_impl.cells.activations import ACTIVATIONS
from torch_impl.unrolling.dynamic import FASTER
from torch_impl.unrolling.static import by_steps
from unrolled import networks
from unrolled.networks import Bidirectional, Layers, Residual

BATCH, STEPS, INPUTS, UNITS = 5, 6, 3, 4
LENGTHS = torch.tensor([2, 6, 1, 4, 3])
EMPTY = torch.tensor([2, 0, 6, 0, 3])
NETWORKS: dict[str, Any] = {
    "lstm": networks.LSTM(UNITS, forget_bias=0.5),
    "lstm projection": networks.LSTM(UNITS, projection=2),
    "gru": networks.GRU(UNITS, reset_after=True),
    "layer_norm_lstm": networks.LayerNormLSTM(UNITS),
    "keras_lstm": networks.KerasLSTM(UNITS, recurrent_activation="sigmoid"),
    "keras_gru": networks.KerasGRU(UNITS, recurrent_activation="sigmoid", reset_after=True),
    "layers": Layers((networks.LSTM(UNITS), Residual(networks.GRU(UNITS)))),
    "bidirectional": Bidirectional(networks.LSTM(UNITS), networks.GRU(2)),
    "stacked": Layers((Bidirectional(networks.LSTM(2), networks.LSTM(2)), networks.GRU(UNITS, reset_after=True))),
}
each_network = pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)


def made(network: Any, dtype: torch.dtype = torch.float64) -> Recurrent:
    rnn = build.recurrent(network, INPUTS, dtype=dtype)
    rnn.reset_parameters(torch.Generator().manual_seed(0))
    with torch.no_grad():
        for parameter in rnn.parameters():
            parameter.add_(0.1)
    return rnn


def inputs(seed: int = 1) -> Tensor:
    return torch.randn(BATCH, STEPS, INPUTS, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def state_of(rnn: Recurrent) -> Any:
    generator = torch.Generator().manual_seed(2)
    return states.mapped(
        lambda part: torch.randn(part.shape, dtype=part.dtype, generator=generator) / 2, rnn.zero_state(BATCH)
    )


def close(found: Any, expected: Any) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    "lengths", [None, LENGTHS, EMPTY, EMPTY * 0], ids=["full", "lengths", "empty rows", "all empty"]
)
@each_network
def test_the_fast_code_gives_what_steps_give(network: Any, lengths: Tensor | None, monkeypatch: Any) -> None:
    rnn = made(network)
    first = state_of(rnn)

    def results() -> list[Tensor]:
        x, state = inputs().requires_grad_(), states.mapped(lambda part: part.clone().requires_grad_(), first)
        outputs, last = rnn(x, lengths, state)
        leaves = list(states.parts(network, state).values())
        parts = list(states.parts(network, last).values())
        cost = torch.stack([outputs.square().sum(), *(part.sin().sum() for part in parts)]).sum()
        found = torch.autograd.grad(cost, [*rnn.parameters(), x, *leaves], allow_unused=True, materialize_grads=True)
        return [outputs, *parts, *found]

    found = results()
    for step in (LSTMCell.step, GRUCell.step, KerasLSTMCell.step, KerasGRUCell.step):
        monkeypatch.setitem(FASTER, step, by_steps)
    close(found, results())


@each_network
def test_packed_and_padded_give_the_same_numbers(network: Any) -> None:
    rnn = made(network)
    first = state_of(rnn)
    outputs, last = rnn(inputs(), LENGTHS, first)
    packed = pack_padded_sequence(inputs(), LENGTHS, batch_first=True, enforce_sorted=False)
    some, other = rnn(packed, None, first)
    close(pad_packed_sequence(some, batch_first=True, total_length=STEPS)[0], outputs)
    close(other, last)
    nothing, other = rnn(packed, None, first, outputs=False)
    assert nothing is None
    close(other, last)


@each_network
def test_time_major_moves_the_axes_alone(network: Any) -> None:
    rnn = made(network)
    outputs, last = rnn(inputs(), LENGTHS)
    rnn.batch_first = False
    found, other = rnn(inputs().transpose(0, 1), LENGTHS)
    close(found.transpose(0, 1), outputs)
    close(other, last)


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize(
    ("ours", "theirs", "options"),
    [
        (RNN, nn.RNN, {}),
        (LSTM, nn.LSTM, {}),
        (LSTM, nn.LSTM, {"projection": 2}),
        (GRU, nn.GRU, {"reset_after": True}),
    ],
)
def test_state_dicts_of_pytorch_load(ours: Any, theirs: Any, options: Any, layers: int, directions: int) -> None:
    shape = {"num_layers": layers, "bidirectional": directions == 2}
    sizes = {"proj_size": options["projection"]} if "projection" in options else {}
    other = theirs(INPUTS, UNITS, batch_first=True, dtype=torch.float64, **sizes, **shape)
    rnn = ours(INPUTS, UNITS, dtype=torch.float64, **options, **shape)
    holder, held = nn.ModuleDict({"rnn": rnn}), nn.ModuleDict({"rnn": other})  # under a prefix
    holder.load_state_dict(held.state_dict())
    outputs, last = rnn(inputs())
    expected, expected_last = other(inputs())
    close(outputs, expected)
    h = torch.stack([part for name, part in states.parts(rnn.network, last).items() if name.split("/")[-1] == "h"])
    close(h, expected_last[0] if theirs is nn.LSTM else expected_last)
    if ours is RNN:
        other.load_state_dict(rnn.nn_rnn_state_dict())
        close(other(inputs())[0], outputs)


def test_what_pytorch_computes_otherwise_does_not_load() -> None:
    with pytest.raises(ValueError, match="reset_after=True"):
        GRU(INPUTS, UNITS).load_state_dict(nn.GRU(INPUTS, UNITS).state_dict())
    with pytest.raises(ValueError, match=r"nn\.LSTM has tanh, no peepholes and no clip"):
        LSTM(INPUTS, UNITS, peepholes=True).load_state_dict(nn.LSTM(INPUTS, UNITS).state_dict())
    with pytest.raises(RuntimeError, match="weight_ih_l1"):
        LSTM(INPUTS, UNITS).load_state_dict(nn.LSTM(INPUTS, UNITS, num_layers=2).state_dict())


def test_weights_of_pytorch_fit_keras_s_kinds_where_the_gates_are_sigmoids() -> None:
    kinds: list[Any] = [
        (nn.LSTM, networks.KerasLSTM(UNITS, recurrent_activation="sigmoid"), networks.KerasLSTM(UNITS)),
        (nn.GRU, networks.KerasGRU(UNITS, "tanh", "sigmoid", True), networks.KerasGRU(UNITS, reset_after=True)),
    ]
    for theirs, same, other in kinds:
        layer, rnn = theirs(INPUTS, UNITS, batch_first=True, dtype=torch.float64), made(same)
        weights = {name.removesuffix("_l0"): weight.detach() for name, weight in layer.state_dict().items()}
        rnn.cell.load_state_dict(rnn.cell.from_nn(weights))
        close(rnn(inputs())[0], layer(inputs())[0])
        with pytest.raises(ValueError, match="sigmoid gates"):
            made(other).cell.from_nn(weights)


def test_keras_s_gates_are_stored_in_its_order() -> None:
    cell = torch_impl.KerasGRUCell(2, 1, reset_after=True)
    assert (cell.bias.shape, cell.weight_ih.shape) == ((2, 3), (3, 2))
    weights = {name: np.zeros(weight.shape, np.float32) for name, weight in cell.network.weights(2).items()}
    weights["bias"] = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
    cell.load_canonical(weights)
    assert cell.bias.tolist() == [[2, 1, 3], [5, 4, 6]]  # r, z, n of z, r, h


def test_the_forget_bias_is_not_stored() -> None:
    rnn = LSTM(INPUTS, UNITS, forget_bias=3.0)
    assert not rnn.cell.bias.any()
    assert not rnn.canonical_weights()["bias"].any()


def test_gates_are_stored_in_tensorflow_s_order() -> None:
    cell = LSTMCell(INPUTS, 1)
    kernel = np.arange(16, dtype=np.float32).reshape(4, 4)
    cell.load_canonical({"kernel": kernel, "bias": np.array([0, 1, 2, 3], np.float32)})
    assert cell.bias.tolist() == [0, 2, 1, 3]  # i, f, g, o of i, j, f, o
    assert cell.weight_hh[:, 0].tolist() == [12, 14, 13, 15]
    assert np.array_equal(cell.canonical_weights()["kernel"], kernel)


def test_a_state_has_its_parts_by_name() -> None:
    _, state = LSTM(INPUTS, UNITS, dtype=torch.float64)(inputs())
    assert state._fields == ("c", "h")
    assert state.c.shape == state.h.shape == (BATCH, UNITS)
    _, state = LSTM(INPUTS, UNITS, dtype=torch.float64, num_layers=2, bidirectional=True)(inputs())
    assert state[1][0].h.shape == (BATCH, UNITS)
    pickle.dumps(state)  # which another process, or a file, would take


@pytest.mark.parametrize("name", ["layers", "bidirectional"])
def test_hooks_of_the_cells_within_work(name: str) -> None:
    """Each once for a sequence, with whole sequences; and what makes a weight anew at every call is asked."""
    rnn, seen = made(NETWORKS[name]), []
    for cell in (module for module in rnn.modules() if isinstance(module, (LSTMCell, GRUCell))):
        cell.register_forward_hook(lambda cell, given, result: seen.append((type(cell), given[0].shape)))
    rnn(inputs(), LENGTHS)
    assert [(kind, shape[:2]) for kind, shape in seen] == [(LSTMCell, (5, 6)), (GRUCell, (5, 6))]
    lstm = next(module for module in rnn.modules() if isinstance(module, LSTMCell))
    prune.l1_unstructured(lstm, "weight_hh", amount=0.5)
    outputs, _ = rnn(inputs())
    fresh = build.recurrent(rnn.network, INPUTS, dtype=torch.float64)
    fresh.load_canonical(rnn.canonical_weights())
    close(outputs, fresh(inputs())[0])


@each_network
def test_models_take_every_network(network: Any) -> None:
    rnn, labels = made(network), torch.tensor([0, 3, 1, 2, 2])
    model = Classifier(rnn, 4)
    loss = model.loss(model(inputs(), LENGTHS), labels)
    loss.backward()
    assert set(model.canonical_gradients()) == {*network.weights(INPUTS), "dense/kernel", "dense/bias"}
    outputs, _ = rnn(inputs())
    last = model.dense(outputs[:, -1]) if network.stepwise else None
    if last is not None and not isinstance(network, Layers):
        close(model(inputs()), last)
    assert Regressor(rnn, 2, "wrapped")(inputs(), LENGTHS).shape == (BATCH, STEPS, 2)


def test_a_speller_of_layers_decodes_as_it_is_taught() -> None:
    torch.manual_seed(0)
    network = NETWORKS["layers"]
    encoder, decoder = made(network), Decoder(made(network), 8, embedding=INPUTS)
    model = Speller(encoder, decoder, 4)
    tokens = model.predict(inputs(), LENGTHS)
    logits = model(inputs(), LENGTHS)
    taught = model(inputs(), LENGTHS, tokens)
    valid = logits.any(2)
    close(logits[valid], taught[valid])


def test_two_directions_cannot_write() -> None:
    with pytest.raises(ValueError, match="one direction"):
        Decoder(LSTM(8, UNITS, bidirectional=True), 8)
    with pytest.raises(ValueError, match="no single step"):
        LSTM(8, UNITS, bidirectional=True).cell(torch.ones(2, 8), None)
    with pytest.raises(ValueError, match="cannot be truncated"):
        Regressor(LSTM(8, UNITS, bidirectional=True), 2).zero_state(3)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: LSTMCell(INPUTS, 0), ValueError, "units must be an integer"),
        (lambda: LSTMCell(INPUTS, UNITS, "sine"), ValueError, "activation must be"),
        (lambda: LSTMCell(INPUTS, UNITS, projection_clip=1.0), ValueError, "projection_clip needs a projection"),
        (lambda: GRUCell(0, UNITS), ValueError, "inputs must be at least 1"),
        (lambda: LSTM(INPUTS, UNITS, num_layers=0), ValueError, "num_layers must be at least 1"),
        (lambda: torch_impl.Layers([]), ValueError, "layers must be"),
        (lambda: torch_impl.Layers([nn.LSTMCell(3, 4)]), TypeError, r"layers\[0\] must be a cell"),  # type: ignore[list-item]
        (lambda: torch_impl.Layers([GRUCell(3, 4), GRUCell(3, 4)]), ValueError, r"layers\[1\] must read 4 values"),
        (lambda: torch_impl.Layers([GRUCell(4, 4)] * 2), ValueError, r"layers\[1\] must be a cell of its own"),
        (lambda: torch_impl.Bidirectional(GRUCell(3, 4), GRUCell(2, 4)), ValueError, "backward must read 3 values"),
        (lambda: torch_impl.Residual(GRUCell(3, 4)), ValueError, "got 3 inputs and 4 outputs"),
        (lambda: build.cell(SimpleNamespace(kind="mamba"), 3), ValueError, "network kind must be"),  # type: ignore[arg-type]
        (lambda: torch_impl.KerasGRUCell(3, 4, recurrent_activation="hard"), ValueError, "recurrent_activation must"),
        (lambda: torch_impl.Dropout(GRUCell(3, 4), 0.0), ValueError, "input_keep must be a number above 0"),
        (lambda: LSTM(3, 4, num_layers=2, dropout=1.0), ValueError, "dropout must be the share to drop, .* float 1.0"),
        (lambda: LSTM(3, 4, dropout=0.5), ValueError, "dropout must be 0 for one layer"),
    ],
)
def test_wrong_arguments_are_named(make: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        make()


def test_a_state_that_is_not_whole_is_named() -> None:
    rnn = LSTM(INPUTS, UNITS, dtype=torch.float64)
    zero = torch.zeros(BATCH, UNITS, dtype=torch.float64)
    with pytest.raises(TypeError, match="initial_state must have the parts c, h"):
        rnn(inputs(), None, zero)
    with pytest.raises(ValueError, match="initial_state/h"):
        rnn(inputs(), None, (zero, zero[:2]))
    outputs, _ = rnn(inputs(), None, (zero, zero))  # any tuple will do
    close(outputs, rnn(inputs())[0])


def test_two_step_is_for_the_plain_cell() -> None:
    x = np.ones((2, 3), np.float32)
    with pytest.raises(ValueError, match="network must be of kind 'basic_rnn' for two_step, got 'lstm'"):
        backend().two_step(networks.LSTM(2), {}, x, x)


def test_the_activations_are_those_that_networks_know() -> None:
    assert tuple(ACTIVATIONS) == networks.ACTIVATIONS
    z = torch.linspace(-60, 60, 241, dtype=torch.float64)
    close(ACTIVATIONS["softplus"](z), torch.logaddexp(z, torch.zeros(())))


@pytest.mark.parametrize("name", ["lstm", "layers"])
@pytest.mark.parametrize("lengths", [None, EMPTY], ids=["full", "lengths"])
def test_a_program_of_torch_export_gives_the_same(name: str, lengths: Tensor | None) -> None:
    from torch_impl.export.torch_program import build_program

    model = Regressor(made(NETWORKS[name], torch.float32), 2)
    program = build_program(model, lengths is not None).module()
    given = (inputs().float(),) if lengths is None else (inputs().float(), lengths)
    torch.testing.assert_close(program(*given), model(*given), rtol=1e-5, atol=1e-6)


def test_a_state_that_is_nested_otherwise_is_refused() -> None:
    """Its parts are as many, and of the right shapes."""
    rnn = RNN(INPUTS, UNITS, num_layers=2, bidirectional=True)
    flat = tuple(states.parts(rnn.network, rnn.zero_state(BATCH)).values())
    with pytest.raises(
        TypeError, match=r"nested as the network is, \(\(\*, \*\), \(\*, \*\)\), got \(\*, \*, \*, \*\)"
    ):
        rnn(torch.zeros(BATCH, STEPS, INPUTS), None, flat)


def test_what_a_cell_computes_cannot_part_from_the_network_that_describes_it() -> None:
    cell = RNN(INPUTS, UNITS).cell
    with pytest.raises(AttributeError):
        cell.activation = "relu"
