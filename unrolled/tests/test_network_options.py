"""The options that make a network, and what `show` prints of one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner

from unrolled.command_line import command_line
from unrolled.command_line.network_options import CELLS, check_dropout, network_of, network_options, shape_words
from unrolled.networks import GRU, LSTM, BasicRNN, Bidirectional, Dropout, Layers
from unrolled.own_data.prepare import NETWORK
from unrolled.programs import MNIST, SERIES, SPELLER, VOWELS


def options(*arguments: str, default: Any = NETWORK) -> dict[str, Any]:
    """What the command line makes of arguments."""
    found: dict[str, Any] = {}

    @click.command()
    @network_options(default, "Neurons.")
    def command(**given: Any) -> None:
        found.update(given)

    done = CliRunner().invoke(command, list(arguments))
    assert done.exit_code == 0, done.output
    return found


@pytest.mark.parametrize("program", [MNIST, SERIES, SPELLER, VOWELS], ids=lambda program: program.name)
def test_the_defaults_are_the_chapters(program: Any) -> None:
    network = program.model.network
    found = options(default=network)
    assert network_of(found, network) == network and shape_words(found) == []


DROPPED = Dropout(GRU(7), output_keep=0.75)


@pytest.mark.parametrize(
    ("arguments", "network", "words"),
    [
        (("--cell", "lstm"), LSTM(100), "cell lstm"),
        (("--cell", "gru_reset_after"), GRU(100, reset_after=True), "cell gru_reset_after"),
        (("--layers", "2", "--units", "3"), Layers((BasicRNN(3), BasicRNN(3))), "2 layers"),
        (("--bidirectional",), Bidirectional(BasicRNN(100), BasicRNN(100)), "two directions"),
        (
            ("--cell", "gru", "--units", "7", "--layers", "2", "--bidirectional", "--dropout", "0.25"),
            Layers((Bidirectional(DROPPED, DROPPED),) * 2),
            "cell gru, 2 layers, two directions, dropout 0.25",
        ),
    ],
)
def test_options_make_a_network(arguments: tuple[str, ...], network: Any, words: str) -> None:
    found = options(*arguments)
    assert network_of(found, NETWORK) == network
    assert shape_words(found) == ["network: " + words]


@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_takes_every_structure(cell: str) -> None:
    network = network_of(options("--cell", cell, "--layers", "2", "--bidirectional", "--dropout", "0.5"), NETWORK)
    assert network.state and network.masks(3)


def test_the_activation_is_the_programs_for_its_own_cell_alone() -> None:
    series: Any = SERIES.model.network
    found: Any = network_of(dict(options("--cell", "lstm"), activation="elu"), series)
    assert found.activation == "elu"
    found = network_of(options(default=series), series)
    assert found.activation == "relu"
    assert network_of(options("--cell", "lstm", default=series), series) == LSTM(series.units, "tanh")


def test_a_dropout_that_reaches_nothing_is_refused() -> None:
    with pytest.raises(click.UsageError, match="its only layer, which would stay whole; add --layers 2"):
        check_dropout("classifier", options("--dropout", "0.5"))
    check_dropout("classifier", options("--dropout", "0.5", "--layers", "2"))
    check_dropout("regressor", options("--dropout", "0.5"))


@pytest.mark.parametrize("program", ["series", "regressor"])
def test_what_predicts_a_series_does_not_read_it_backwards(program: str, tmp_path: Path) -> None:
    """Its targets are among the inputs then: on noise the error would be near nothing."""
    data = tmp_path / "noise.csv"
    data.write_text("a\n" + "\n".join(map(str, np.random.RandomState(1).normal(size=60))) + "\n")
    own = ["--data", str(data), "--window", "5"] if program == "regressor" else []
    group = command_line("fake", "", lambda device, threads: None)
    result = CliRunner().invoke(group, ["train", program, *own, "--bidirectional", "--output", str(tmp_path / "run")])
    assert result.exit_code == 2 and "the values stand that are to be predicted" in result.output, result.output
