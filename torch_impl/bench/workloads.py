"""What is timed: training programs of every kind of cell, and a grid of shapes; with the arithmetic that each needs."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

BATCHES, UNITS, STEPS = (1, 8, 32, 150), (16, 64, 150, 256), (16, 100, 400)
GRID_INPUTS = 28


# The cells: what they are here (unrolled.networks), and how many blocks of products each has.
CELLS = {"basic_rnn": 1, "lstm": 4, "gru": 3, "gru_after": 3}


class Workload(NamedTuple):
    """One training step's shapes. kind: "classifier" (a dense layer on the final state), "regressor" (on every output),
    both with their loss and Adam; "sequence": forward and backward pass of the RNN alone, for a cost on all outputs;
    "forward": the RNN alone without a graph; or "stream": one such step at a time.

    rows: how many sequences there are to draw batches from. cell: one of CELLS, "gru_after" being the GRU with its
    reset gate after the product. lengths: whether the sequences have different lengths, from a quarter of the steps up.
    """

    name: str
    kind: str
    activation: str
    batch: int
    steps: int
    inputs: int
    units: int
    outputs: int
    rows: int
    cell: str = "basic_rnn"
    lengths: bool = False
    layers: int = 1
    directions: int = 1

    @property
    def simple(self) -> bool:
        """Whether it is one layer in one direction on sequences of one length: what a profile takes apart."""
        return not self.lengths and self.layers == self.directions == 1

    def multiply_adds(self) -> int:
        """Of the matrix products of a step, forward and backward, without the gradient by the inputs.

        Of a cell: forward blocks x units x (inputs + units) per row and step, backward the same for the weights, and
        blocks x units x units for the state before; above the first layer as much for the inputs. Of the dense layer:
        the same product three times.
        """
        places = self.batch * self.steps * (5 / 8 if self.lengths else 1)
        blocks, width = CELLS[self.cell], self.units * self.directions
        total = 0.0
        for layer in range(self.layers):
            inputs = width if layer else self.inputs
            one = inputs + self.units
            if self.kind not in ("forward", "stream"):
                one += inputs + 2 * self.units + (inputs if layer else 0)
            total += places * blocks * self.units * one * self.directions
        if self.kind in ("classifier", "regressor"):
            total += 3 * width * self.outputs * (self.batch if self.kind == "classifier" else places)
        return round(total)


_MNIST = Workload("mnist", "classifier", "tanh", batch=150, steps=28, inputs=28, units=150, outputs=10, rows=6000)
_SERIES = Workload("series", "regressor", "relu", batch=1, steps=100, inputs=1, units=100, outputs=1, rows=1)
_VOWELS = Workload("vowels", "classifier", "tanh", 30, 26, 12, 100, 9, 270, lengths=True)
_LANGUAGE = Workload("language", "classifier", "tanh", 32, 100, 28, 128, 10, 256, lengths=True)


def _of(workload: Workload, cell: str, **changed: Any) -> Workload:
    return workload._replace(name=f"{workload.name} {cell}", cell=cell, activation="tanh", **changed)


PROGRAMS = (
    _MNIST,
    _SERIES,
    *(_of(workload, cell) for cell in ("lstm", "gru", "gru_after") for workload in (_MNIST, _SERIES)),
    *(_of(workload, cell) for cell in ("lstm", "gru", "gru_after") for workload in (_VOWELS, _LANGUAGE)),
    _of(_VOWELS, "lstm", layers=2)._replace(name="vowels lstm, two layers"),
    _of(_VOWELS, "lstm", directions=2)._replace(name="vowels lstm, two directions"),
)

# Whole sequences of one row, some and many, and a stream, of the MNIST program's sizes.
INFERENCE = tuple(
    _MNIST._replace(name=f"{cell}, {text}", kind=kind, cell=cell, batch=batch, steps=steps, rows=batch)
    for cell in CELLS
    for text, kind, batch, steps in (
        ("a step of a stream", "stream", 1, 1),
        ("1 row", "forward", 1, 28),
        ("32 rows", "forward", 32, 28),
        ("2000 rows", "forward", 2000, 28),
    )
)


def grid(
    batches: Iterable[int], units: Iterable[int], steps: Iterable[int], cells: Iterable[str] = CELLS
) -> Iterator[Workload]:
    """The "sequence" of every shape and cell: tanh, 28 inputs."""
    for cell, b, u, t in itertools.product(cells, batches, units, steps):
        yield Workload(f"{cell} {b} x {t} x {u}", "sequence", "tanh", b, t, GRID_INPUTS, u, 0, b, cell)
