"""Packed sequences wherever a padded batch goes: the same numbers, whatever the order of the rows."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence, pad_packed_sequence

from torch_impl import RNN, Classifier, Decoder, Regressor, Speller, dynamic_rnn, mean_square
from torch_impl.loading import split
from torch_impl.unrolling.paths import forced_path

BATCH, STEPS, INPUTS, UNITS = 7, 6, 3, 5
LENGTHS = torch.tensor([2, 6, 1, 4, 6, 3, 1])
SORTED = LENGTHS.sort(descending=True).values
each_path = pytest.mark.parametrize("path", ["compiled", "bptt", "native"])
each_order = pytest.mark.parametrize("lengths", [LENGTHS, SORTED], ids=["unsorted", "sorted"])


def inputs(seed: int = 0) -> Tensor:
    return torch.randn(BATCH, STEPS, INPUTS, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def packed(padded: Tensor, lengths: Tensor, enforce_sorted: bool = False) -> PackedSequence:
    return pack_padded_sequence(padded, lengths, batch_first=True, enforce_sorted=enforce_sorted)


def gradients(model: torch.nn.Module, cost: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(cost, list(model.parameters())))


def close(found: Any, expected: Any) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-13)


@each_path
@each_order
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_packed_and_padded_give_the_same_numbers(path: str, lengths: Tensor, activation: str) -> None:
    rnn = RNN(INPUTS, UNITS, activation, dtype=torch.float64)
    state = torch.randn(BATCH, UNITS, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) / 2
    padded, first = inputs().requires_grad_(), state.requires_grad_()
    with forced_path(path):
        outputs, last = rnn(padded, lengths, first)
        cost = (outputs.square().sum() + last.sin().sum(),)
        expected = torch.autograd.grad(cost, [*rnn.parameters(), padded, first])
        for enforce_sorted in (False, True) if lengths is SORTED else (False,):
            some, other = rnn(packed(padded, lengths, enforce_sorted), None, first)
            assert isinstance(some, PackedSequence)
            whole, found_lengths = pad_packed_sequence(some, batch_first=True, total_length=STEPS)
            close(whole, outputs)
            close(other, last)
            assert found_lengths.tolist() == lengths.tolist()
            found = torch.autograd.grad(
                (some.data.square().sum() + other.sin().sum(),), [*rnn.parameters(), padded, first]
            )
            close(list(found), list(expected))


@each_path
def test_the_result_is_packed_as_the_input_was(path: str) -> None:
    rnn, given = RNN(INPUTS, UNITS, dtype=torch.float64), packed(inputs(), LENGTHS)
    with forced_path(path):
        found, _ = rnn(given)
    for name in ("batch_sizes", "sorted_indices", "unsorted_indices"):
        assert torch.equal(getattr(found, name), getattr(given, name)), name


@each_path
def test_sorting_is_invisible(path: str) -> None:
    """Rows of equal lengths too: the order of packing is not the order of the rows."""
    model = Classifier(RNN(INPUTS, UNITS, dtype=torch.float64), 4)
    order = torch.tensor([4, 0, 6, 2, 5, 1, 3])
    with forced_path(path):
        logits = model(packed(inputs(), LENGTHS))
        close(model(packed(inputs()[order], LENGTHS[order])), logits[order])
        close(model(pack_sequence(split(inputs(), LENGTHS), enforce_sorted=False)), logits)


@each_path
def test_a_classifier_takes_either(path: str) -> None:
    model, labels = Classifier(RNN(INPUTS, UNITS, dtype=torch.float64), 4), torch.tensor([0, 3, 1, 2, 2, 0, 1])
    with forced_path(path):
        logits, found = model(inputs(), LENGTHS), model(packed(inputs(), LENGTHS))
        close(found, logits)
        assert torch.equal(model.predict(packed(inputs(), LENGTHS)), model.predict(inputs(), LENGTHS))
        close(gradients(model, model.loss(found, labels)), gradients(model, model.loss(logits, labels)))


@pytest.mark.parametrize("projection", ["stacked", "wrapped"])
def test_a_regressor_takes_either(projection: str) -> None:
    """Its packed loss is over the values that are there: the padded one over the valid steps."""
    model = Regressor(RNN(INPUTS, UNITS, "relu", dtype=torch.float64), 2, projection)
    targets = torch.randn(BATCH, STEPS, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    predictions, found = model(inputs(), LENGTHS), model(packed(inputs(), LENGTHS))
    valid = torch.arange(STEPS) < LENGTHS[:, None]
    whole, _ = pad_packed_sequence(found, batch_first=True, total_length=STEPS)
    close(whole[valid], predictions[valid])
    expected = (predictions - targets)[valid].square().mean()
    loss = model.loss(found, packed(targets, LENGTHS))
    close(loss, expected)
    close(gradients(model, loss), gradients(model, expected))
    close(mean_square(found, packed(targets, LENGTHS)), expected)


def test_full_lengths_give_the_padded_loss() -> None:
    model, full = Regressor(RNN(INPUTS, UNITS, "relu", dtype=torch.float64), INPUTS), torch.full((BATCH,), STEPS)
    loss = model.loss(model(packed(inputs(), full)), packed(inputs(3), full))
    close(loss, model.loss(model(inputs()), inputs(3)))


def test_a_speller_takes_either() -> None:
    torch.manual_seed(0)
    model = Speller(RNN(INPUTS, UNITS, dtype=torch.float64), Decoder(RNN(8, UNITS, dtype=torch.float64), 8), 4)
    tokens = torch.randint(0, 8, (BATCH, 4), generator=torch.Generator().manual_seed(2))
    close(model(packed(inputs(), LENGTHS)), model(inputs(), LENGTHS))
    assert torch.equal(model.predict(packed(inputs(), LENGTHS)), model.predict(inputs(), LENGTHS))
    losses = [
        model.loss(model(*given, tokens=tokens), tokens)
        for given in ((packed(inputs(), LENGTHS),), (inputs(), LENGTHS))
    ]
    close(*losses)
    close(*(gradients(model, loss) for loss in losses))


def test_dynamic_rnn_takes_packed_sequences_too() -> None:
    rnn = RNN(INPUTS, UNITS, dtype=torch.float64)
    found, state = dynamic_rnn(rnn.cell, packed(inputs(), LENGTHS))
    expected, last = dynamic_rnn(rnn.cell, inputs(), LENGTHS)
    close(pad_packed_sequence(found, batch_first=True, total_length=STEPS)[0], expected)
    close(state, last)


def test_what_does_not_fit_a_packed_sequence_is_an_error() -> None:
    model = Regressor(RNN(INPUTS, UNITS, "relu", dtype=torch.float64), 2)
    given = packed(inputs(), LENGTHS)
    predictions = model(given)
    with pytest.raises(ValueError, match="lengths must be None with a PackedSequence"):
        model(given, LENGTHS)
    with pytest.raises(TypeError, match="targets must be a PackedSequence"):
        model.loss(predictions, torch.zeros(BATCH, STEPS, 2, dtype=torch.float64))
    other = torch.zeros(BATCH, STEPS, 2, dtype=torch.float64)
    with pytest.raises(ValueError, match="their batch_sizes differ"):
        model.loss(predictions, packed(other, torch.full((BATCH,), STEPS)))
    with pytest.raises(ValueError, match="their sorted_indices differ"):
        model.loss(predictions, packed(other, LENGTHS.flip(0)))
    with pytest.raises(ValueError, match="initial_state"):
        model.rnn(given, None, torch.zeros(BATCH - 1, UNITS, dtype=torch.float64))
