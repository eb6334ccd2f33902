"""Modules from values, and states as named parts: for kinds of state that no cell here has yet, too."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from torch_impl import RNN, Classifier, Decoder, Regressor, Speller, build, states
from unrolled import networks
from unrolled.models import Model
from unrolled.networks import BasicRNN, shapes
from unrolled.programs import PROGRAMS


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_a_model_has_the_weights_of_its_value(program: Any) -> None:
    before = torch.random.get_rng_state()
    model = build.model(program.model, dtype=torch.float64)
    assert torch.equal(torch.random.get_rng_state(), before)
    model.reset_parameters(torch.Generator().manual_seed(1))
    weights = model.canonical_weights()
    assert {name: array.shape for name, array in weights.items()} == shapes(program.model.weights())
    for name, weight in program.model.weights().items():
        assert np.abs(weights[name] - weight.value).max() <= weight.limit
    again = build.loaded(program.model, weights)
    assert all(np.array_equal(array, weights[name]) for name, array in again.canonical_weights().items())
    assert all(p.dtype == torch.float64 for p in again.parameters())
    assert copy.deepcopy(again).table == again.table


def test_a_claimed_size_takes_no_memory() -> None:
    claimed = Model("classifier", BasicRNN(networks.MOST), 3, 4)
    weights = build.model(Model("classifier", BasicRNN(5), 3, 4)).canonical_weights()
    with pytest.raises(ValueError, match=r"weight 'kernel' must be .* \[1048579, 1048576\], got float32 \[8, 5\]"):
        build.loaded(claimed, weights)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Classifier(28, 10), TypeError, "rnn must be a recurrent module, such as RNN.*, got int 28"),  # type: ignore[arg-type]
        (lambda: Regressor(RNN(3, 5, batch_first=False), 2), ValueError, "rnn must have batch_first=True"),
        (lambda: Decoder(RNN(3, 5), 7), ValueError, "rnn must read 7 values per step, the size of the vocabulary"),
        (lambda: Decoder(RNN(7, 5), 7, embedding=4), ValueError, "must read 4 values .*, the size of the embedding"),
        (lambda: Speller(RNN(3, 5), Decoder(RNN(7, 6), 7), 4), ValueError, "the encoder's state {'h': 5}, .* {'h': 6}"),
    ],
)
def test_parts_that_do_not_fit_are_named(make: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        make()


class TwoParts(NamedTuple):
    """As a network answers."""

    state: dict[str, int]
    read_out: tuple[str, ...]


LSTM: Any = TwoParts({"c": 3, "h": 2}, ("h",))
DEEP: Any = TwoParts({"cell_0/c": 3, "cell_0/h": 2, "cell_1/h": 4}, ("cell_0/h", "cell_1/h"))
PARTS = {name: torch.full((5, width), float(width)) for name, width in DEEP.state.items()}


def test_states_are_named_tuples_and_tuples_of_states() -> None:
    deep: Any = states.from_parts(DEEP, PARTS)
    assert [type(part) for part in deep[:1] + deep[0]][1:] == [torch.Tensor] * 2 and deep[0]._fields == ("c", "h")
    assert deep[0].c is PARTS["cell_0/c"] and deep[1] is PARTS["cell_1/h"]
    assert states.parts(DEEP, deep) == PARTS and states.rows(deep) == 5
    doubled: Any = states.mapped(lambda one, other: one + other, deep, deep)
    assert doubled[0].h[0, 0] == 4.0 and type(doubled) is tuple and doubled[0]._fields == ("c", "h")
    assert torch.equal(states.read_out(DEEP, deep), torch.cat([PARTS["cell_0/h"], PARTS["cell_1/h"]], 1))
    assert states.checked(DEEP, deep, 5, PARTS["cell_1/h"]) is deep


def test_a_state_with_a_part_too_few_or_another_shape_is_named() -> None:
    c, h = torch.zeros(5, 3), torch.zeros(5, 2)
    with pytest.raises(TypeError, match="initial_state must have the parts c, h"):
        states.checked(LSTM, h, "batch", h)
    with pytest.raises(ValueError, match=r"initial_state/h must be float32 \[5, 2\], got float32 \[4, 2\]"):
        states.checked(LSTM, (c, h[:4]), "batch", h)
