"""What the study trains: the chapter's programs, and its classifiers with an LSTM or a GRU for the plain cell.

A name is its data and its kind: "mnist", "mnist-lstm", "vowels-gru"; of the series, its form. Python 3.7 syntax.
"""

from __future__ import annotations

from dataclasses import replace

from spec_tests.capabilities import needs_of
from spec_tests.questions import cases, makers
from unrolled.networks import GRU, LSTM
from unrolled.programs import VOWELS, Program

CELLS = {"rnn": None, "lstm": LSTM, "gru": GRU}
KINDS = {"basic_rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}
CLASSIFIERS = ("mnist", "mnist-lstm", "mnist-gru", "vowels-rnn", "vowels-lstm", "vowels-gru")
SERIES = ("series-stacked", "series-wrapped")
PROGRAMS = (*CLASSIFIERS, *SERIES)
_DATA = {"mnist": "MNIST", "vowels": "Japanese Vowels", "series": "the series"}


def studied(name: str) -> Program:
    """The program of that name."""
    if name in makers.TRAINING:
        return makers.TRAINING[name]
    data, _, kind = name.partition("-")
    base = makers.TRAINING["mnist"] if data == "mnist" else VOWELS
    cell = CELLS[kind]
    if cell is None:
        return base
    return base._replace(model=replace(base.model, network=cell(base.model.network.output_size)))


def data_of(name: str) -> str:
    """ "mnist", "vowels" or "series"."""
    return name.split("-")[0]


def kind_of(name: str) -> str:
    """ "RNN", "LSTM" or "GRU"."""
    return KINDS[studied(name).model.network.kind]


def seed_of(name: str) -> int:
    """Of the weights and batches in lockstep."""
    return cases.SEEDS.get(name, 1)


def needs(name: str) -> frozenset[str]:
    """What a backend must declare to train it."""
    lengths = {"lengths"} if data_of(name) == "vowels" else set()
    return needs_of(studied(name).model) | {"training"} | lengths


def title(name: str) -> str:
    """In words: "MNIST, LSTM", "the series, wrapped"."""
    data, _, rest = name.partition("-")
    return "%s, %s" % (_DATA[data], rest if data == "series" else kind_of(name))
