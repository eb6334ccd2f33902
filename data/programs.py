"""The programs of the chapter as plain values: cells, models, optimizers, and one table of hyperparameters each.

A value here says *what* is computed. Weights, inputs and batches are always given beside it, as NumPy arrays, so that
any framework can be asked for the same thing. Python 3.7 syntax: these values also travel to TensorFlow 1.15.5.
"""

from __future__ import annotations

from typing import Dict, NamedTuple, Tuple


class Cell(NamedTuple):
    """A recurrent cell.

    kind: "basic_rnn" is h' = activation(concat(x, h) @ kernel + bias), TF1's BasicRNNCell; other kinds may come later.
    units: size of the state. activation: "tanh" or "relu".
    """

    kind: str
    units: int
    activation: str = "tanh"


class Model(NamedTuple):
    """A cell with a dense layer on it.

    kind: "classifier" puts the dense layer on the final state (logits [batch, outputs], loss: mean sparse softmax
    cross-entropy); "regressor" puts it on every output (predictions [batch, steps, outputs], loss: mean square over
    every entry).
    inputs: values per step. outputs: classes, or values per step.
    projection: for a regressor, "stacked" (one dense layer over all outputs as [-1, units]) or "wrapped" (TF1's
    OutputProjectionWrapper, inside the loop). They differ only where lengths are given: on a padded step "wrapped"
    gives zeros, "stacked" the dense bias. A classifier always has "stacked".
    """

    kind: str
    cell: Cell
    inputs: int
    outputs: int
    projection: str = "stacked"

    def weight_shapes(self) -> Dict[str, Tuple[int, ...]]:
        """The canonical weights by name: TF1's names and layouts."""
        units = self.cell.units
        return {
            "kernel": (self.inputs + units, units),
            "bias": (units,),
            "dense/kernel": (units, self.outputs),
            "dense/bias": (self.outputs,),
        }


class Adam(NamedTuple):
    """Adam as tf.train.AdamOptimizer defines it: `epsilon` is the "epsilon hat" of Kingma and Ba, section 2."""

    learning_rate: float = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8


class Program(NamedTuple):
    """A training program: the model, its optimizer, rows per batch, steps per row, and how long the chapter trains it."""

    name: str
    model: Model
    optimizer: Adam
    batch: int
    steps: int
    iterations: int


MNIST_EPOCHS = 100
MNIST_ITERATIONS_PER_EPOCH = 366  # 55,000 // 150: the chapter drops the remainder (see data.batches)

MNIST = Program(
    name="mnist",
    model=Model("classifier", Cell("basic_rnn", 150, "tanh"), inputs=28, outputs=10),
    optimizer=Adam(),
    batch=150,
    steps=28,
    iterations=MNIST_EPOCHS * MNIST_ITERATIONS_PER_EPOCH,
)

SERIES = Program(
    name="series",
    model=Model("regressor", Cell("basic_rnn", 100, "relu"), inputs=1, outputs=1),
    optimizer=Adam(),
    batch=1,
    steps=100,
    iterations=10_000,
)

PROGRAMS = {program.name: program for program in (MNIST, SERIES)}
