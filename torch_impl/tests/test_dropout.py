"""Dropout around cells: what drops and what does not, in every form that a sequence can have.

What it computes from given masks is the suite's to say.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import torch_impl
from torch_impl import (
    Classifier,
    Decoder,
    GRUCell,
    LSTMCell,
    Recurrent,
    Speller,
    build,
    dynamic_rnn,
    states,
    static_rnn,
)
from torch_impl.unrolling import dynamic
from torch_impl.unrolling.static import by_steps
from unrolled.networks import GRU, LSTM, Bidirectional, Dropout, LayerNormLSTM, Layers, Residual

BATCH, STEPS, INPUTS, UNITS = 5, 6, 3, 4
LENGTHS = torch.tensor([2, 6, 1, 4, 3])
NETWORKS: dict[str, Any] = {
    "inputs and outputs": Dropout(LSTM(UNITS), 0.5, 0.6),
    "state": Dropout(LSTM(UNITS), 0.9, 0.8, 0.7),
    "variational": Dropout(GRU(UNITS, reset_after=True), 0.9, 0.8, 0.7, True),
    "a cell's own": LayerNormLSTM(UNITS, candidate_keep=0.6),
    "nested": Layers(
        (
            Bidirectional(Dropout(LSTM(2), 0.5, 0.5, 0.5), Dropout(GRU(3), 0.5, 0.5)),
            Dropout(Residual(Dropout(LayerNormLSTM(5, candidate_keep=0.5), 0.5, 0.5)), 0.9, 0.9, 0.9),
        )
    ),
}
each_network = pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)


def made(network: Any) -> Recurrent:
    rnn = build.recurrent(network, INPUTS, dtype=torch.float64)
    rnn.reset_parameters(torch.Generator().manual_seed(0))
    return rnn


def inputs() -> Tensor:
    return torch.randn(BATCH, STEPS, INPUTS, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def masks_of(network: Any) -> dict[str, Tensor]:
    torch.manual_seed(2)
    shapes = {
        name: (BATCH, STEPS, mask.width) if mask.per_step else (mask.width,)
        for name, mask in network.masks(INPUTS).items()
    }
    return {name: torch.randint(2, shape, dtype=torch.float64) for name, shape in shapes.items()}


def close(found: Any, expected: Any) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-13)


@each_network
def test_every_way_to_run_a_sequence_drops_the_same(network: Any) -> None:
    rnn, masks = made(network), masks_of(network)
    outputs, last = rnn(inputs(), LENGTHS, masks=masks)
    assert not torch.equal(outputs, rnn.eval()(inputs(), LENGTHS)[0])
    steps, state = static_rnn(rnn.cell, list(inputs().unbind(1)), LENGTHS, masks=masks)
    close((torch.stack(steps, 1), state), (outputs, last))
    packed = pack_padded_sequence(inputs(), LENGTHS, batch_first=True, enforce_sorted=False)
    some, state = rnn(packed, masks=masks)
    close((pad_packed_sequence(some, batch_first=True)[0], state), (outputs, last))
    swapped, state = dynamic_rnn(rnn.cell, inputs().transpose(0, 1), LENGTHS, time_major=True, masks=masks)
    close((swapped.transpose(0, 1), state), (outputs, last))
    nothing, state = rnn(inputs(), LENGTHS, outputs=False, masks=masks)
    assert nothing is None
    close(state, last)


@each_network
def test_masks_are_drawn_anew_in_training_mode_and_nothing_is_dropped_out_of_it(network: Any) -> None:
    rnn = made(network)
    torch.manual_seed(3)
    first, _ = rnn(inputs())
    second, _ = rnn(inputs())
    torch.manual_seed(3)
    close(rnn(inputs())[0], first)
    assert not torch.equal(first, second)
    steps, _ = static_rnn(rnn.cell, list(inputs().unbind(1)))
    assert not torch.equal(torch.stack(steps, 1), first)
    rnn.eval()
    whole, _ = rnn(inputs())
    close(whole, rnn(inputs())[0])
    close(torch.stack(static_rnn(rnn.cell, list(inputs().unbind(1)))[0], 1), whole)


def test_each_part_has_a_mode_of_its_own() -> None:
    rnn = made(Layers((Dropout(LSTM(UNITS), 0.5), Dropout(GRU(2), 0.5)))).eval()
    whole, _ = rnn(inputs())
    rnn.get_submodule("cell.layers.1").train()  # as for a Monte Carlo estimate
    assert not torch.equal(rnn(inputs())[0], whole)
    assert set(rnn.cell.drawn()) == {"cell_1/inputs"}


def test_the_share_kept_is_that_asked_for_and_the_rest_is_scaled() -> None:
    cell = torch_impl.Dropout(LSTMCell(3, 4000), output_keep=0.25)
    with torch.no_grad():
        whole, _ = Recurrent(cell.cell)(torch.ones(2, 3, 3))
        outputs, _ = Recurrent(cell)(torch.ones(2, 3, 3))
    kept = outputs != 0
    assert abs(kept.float().mean() - 0.25) < 0.02
    torch.testing.assert_close(outputs[kept], whole[kept] * 4)


def test_only_the_state_needs_steps(monkeypatch: Any) -> None:
    asked = []

    def counted(*arguments: Any) -> Any:
        asked.append(arguments[0])
        return by_steps(*arguments)

    monkeypatch.setattr(dynamic, "by_steps", counted)
    made(NETWORKS["inputs and outputs"])(inputs(), LENGTHS)
    assert not asked
    made(NETWORKS["state"])(inputs(), LENGTHS)
    assert len(asked) == 1


def test_dropout_between_layers_is_that_of_pytorch() -> None:
    other = nn.LSTM(INPUTS, UNITS, 3, batch_first=True, dropout=0.5, bidirectional=True, dtype=torch.float64)
    rnn = torch_impl.LSTM(INPUTS, UNITS, num_layers=3, dropout=0.5, bidirectional=True, dtype=torch.float64)
    rnn.load_state_dict(other.state_dict())
    close(rnn.eval()(inputs())[0], other.eval()(inputs())[0])
    wanted = [f"cell_{layer}/{way}/outputs" for layer in (0, 1) for way in ("fw", "bw")]
    assert list(rnn.network.masks(INPUTS)) == wanted
    assert {mask.keep for mask in rnn.network.masks(INPUTS).values()} == {0.5}


def test_padding_of_nan_reaches_nothing() -> None:
    rnn, values = made(NETWORKS["nested"]), inputs()
    values[torch.arange(STEPS) >= LENGTHS[:, None]] = float("nan")
    values.requires_grad_()
    outputs, _ = rnn(values, LENGTHS, masks=masks_of(rnn.network))
    outputs.sum().backward()
    gradients = [values.grad, *(p.grad for p in rnn.parameters())]
    assert all(gradient is not None and bool(gradient.isfinite().all()) for gradient in gradients)


def test_a_speller_drops_where_it_is_taught_and_not_where_it_writes() -> None:
    network = Dropout(LSTM(UNITS), 0.5, 0.5, 0.5)
    decoder = Decoder(build.recurrent(network, 7), 7)
    model = Speller(build.recurrent(network, 3), decoder, 4)
    model.reset_parameters()
    tokens, state = torch.tensor([[1, 2, 0], [3, 4, 5]]), states.mapped(torch.tanh, decoder.rnn.zero_state(2))
    assert not torch.equal(decoder(state, tokens), decoder(state, tokens))
    assert torch.equal(decoder.decode(state, 4).logits, decoder.decode(state, 4).logits)
    assert model.training_loss(torch.ones(2, 5, 3), tokens) != model.training_loss(torch.ones(2, 5, 3), tokens)


def exported(model: nn.Module, values: Tensor) -> Any:
    return torch.export.export(model, (values,), dynamic_shapes=({0: torch.export.Dim("batch")},)).module()


def compiled(model: nn.Module, values: Tensor) -> Any:
    torch._dynamo.reset()
    return torch.compile(model, backend="eager", fullgraph=True, dynamic=True)


def traced(model: nn.Module, values: Tensor) -> Any:
    return torch.jit.trace(model, (values,), check_trace=False)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*deprecated")
@pytest.mark.parametrize("way", [exported, compiled, traced])
def test_it_is_written_down_as_other_cells_are(way: Any) -> None:
    model = Classifier(Recurrent(torch_impl.Dropout(GRUCell(3, 4, reset_after=True), 0.5, 0.5, 0.5)), 2)
    values, others = torch.ones(2, 5, 3), torch.ones(4, 5, 3)
    found = way(model.eval(), values)
    torch.testing.assert_close(found(others), model(others))
    model.train()
    found = way(model, values)
    assert found(others).shape == (4, 2)
    assert not torch.equal(found(others), found(others))


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"inputs": None}, ValueError, "masks must be exactly inputs, outputs, got outputs"),
        ({"extra": torch.ones(2)}, ValueError, "masks must be exactly .*, got inputs, outputs, extra"),
        (
            {"inputs": torch.ones(5, 6, 2, dtype=torch.float64)},
            ValueError,
            r"masks\['inputs'\] must be float64 \[5, 6, 3",
        ),
        ({"outputs": torch.ones(5, 6, 4)}, TypeError, r"masks\['outputs'\] must be float64"),
        (
            {"inputs": torch.full((5, 6, 3), 0.5, dtype=torch.float64)},
            ValueError,
            r"masks\['inputs'\] must be ones and zeros",
        ),
    ],
)
def test_masks_that_do_not_fit_are_named(change: dict, error: type[Exception], words: str) -> None:
    rnn = made(NETWORKS["inputs and outputs"])
    masks = {name: mask for name, mask in {**masks_of(rnn.network), **change}.items() if mask is not None}
    with pytest.raises(error, match=words):
        rnn(inputs(), masks=masks)
    with pytest.raises(error, match=words):
        static_rnn(rnn.cell, list(inputs().unbind(1)), masks=masks)


def test_masks_for_what_drops_nothing_are_refused() -> None:
    plain = made(LSTM(UNITS))
    close(plain(inputs(), masks={}), plain(inputs()))
    with pytest.raises(ValueError, match="masks must be exactly none, got inputs"):
        plain(inputs(), masks={"inputs": torch.ones(1)})
    with pytest.raises(TypeError, match="masks must be a dict of tensors"):
        plain(inputs(), masks=torch.ones(2))
