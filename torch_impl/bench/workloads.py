"""What is timed: the chapter's two training programs, and a grid of shapes; with the arithmetic that each needs."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import NamedTuple

BATCHES, UNITS, STEPS = (1, 8, 32, 150), (16, 64, 150, 256), (16, 100, 400)
GRID_INPUTS = 28


class Workload(NamedTuple):
    """One training step's shapes. kind: "classifier" (a dense layer on the final state), "regressor" (on every output),
    both with their loss and Adam; or "sequence": forward and backward pass of the RNN alone, for a cost on all outputs.

    rows: how many sequences there are to draw batches from.
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

    def multiply_adds(self) -> int:
        """Of the matrix products of a step, forward and backward, without the gradient by the inputs.

        Of the RNN: forward units x (inputs + units) per row and step, backward the same for the weights, and units x
        units for the state before. Of the dense layer: the same product three times.
        """
        places = self.batch * self.steps
        rnn = places * self.units * (2 * (self.inputs + self.units) + self.units)
        if self.kind == "sequence":
            return rnn
        return rnn + 3 * self.units * self.outputs * (self.batch if self.kind == "classifier" else places)


PROGRAMS = (
    Workload("mnist", "classifier", "tanh", batch=150, steps=28, inputs=28, units=150, outputs=10, rows=6000),
    Workload("series", "regressor", "relu", batch=1, steps=100, inputs=1, units=100, outputs=1, rows=1),
)


def grid(batches: Iterable[int], units: Iterable[int], steps: Iterable[int]) -> Iterator[Workload]:
    """The "sequence" of every shape: tanh, 28 inputs."""
    for b, u, t in itertools.product(batches, units, steps):
        yield Workload(f"{b} x {t} x {u}", "sequence", "tanh", b, t, GRID_INPUTS, u, 0, b)
