"""The programs of the chapter as plain values: cells, models, optimizers, and one table of hyperparameters each.

A value here says *what* is computed. Weights, inputs and batches are always given beside it, as NumPy arrays, so that
any framework can be asked for the same thing. Python 3.7 syntax: these values also travel to TensorFlow 1.15.5.
"""

from __future__ import annotations

from typing import NamedTuple


class Cell(NamedTuple):
    """A recurrent cell.

    kind: "basic_rnn" is h' = activation(concat(x, h) @ kernel + bias), TF1's BasicRNNCell; other kinds may come later.
    units: size of the state. activation: "tanh" or "relu".
    """

    kind: str
    units: int
    activation: str = "tanh"


# A speller's start token and its end-of-sequence token (EOS), one and the same: a word ends where the next would begin.
# As token 0 it is also what zero padding means, and what all-zero logits give.
START = END = 0


class Model(NamedTuple):
    """A cell with a dense layer on it.

    kind: "classifier" puts the dense layer on the final state (logits [batch, outputs], loss: mean sparse softmax
    cross-entropy); "regressor" puts it on every output (predictions [batch, steps, outputs], loss: mean square over
    every entry); "speller" has two cells of the same kind, units and activation: the encoder reads the inputs, and from
    its final state the decoder writes one token per step, the dense layer on its outputs giving the logits. Its tokens
    go in one-hot, it starts with START, and a row ends with its first END.
    inputs: values per step. outputs: classes, or values per step, or the size of a speller's vocabulary.
    projection: for a regressor, "stacked" (one dense layer over all outputs as [-1, units]) or "wrapped" (TF1's
    OutputProjectionWrapper, inside the loop). They differ only where lengths are given: on a padded step "wrapped"
    gives zeros, "stacked" the dense bias. A classifier or speller always has "stacked".
    max_steps: for a speller, at least 1: the most tokens that it writes for a row, END included. 0 for the others.
    """

    kind: str
    cell: Cell
    inputs: int
    outputs: int
    projection: str = "stacked"
    max_steps: int = 0

    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """The canonical weights by name: TF1's names and layouts."""
        units = self.cell.units
        dense = {"dense/kernel": (units, self.outputs), "dense/bias": (self.outputs,)}
        if self.kind != "speller":
            return dict({"kernel": (self.inputs + units, units), "bias": (units,)}, **dense)
        encoder = {"encoder/kernel": (self.inputs + units, units), "encoder/bias": (units,)}
        decoder = {"decoder/kernel": (self.outputs + units, units), "decoder/bias": (units,)}
        return dict(encoder, **dict(decoder, **dense))


class Adam(NamedTuple):
    """Adam as tf.train.AdamOptimizer defines it: `epsilon` is the "epsilon hat" of Kingma and Ba, section 2."""

    learning_rate: float = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8


class Program(NamedTuple):
    """A training program: the model, its optimizer, rows per batch, steps per row, and how long it is trained."""

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

SPELLER_EPOCHS = 10
SPELLER = Program(
    name="speller",
    # 16 tokens: END and the 15 letters of the English names of the digits; the longest is "three" and END.
    model=Model("speller", Cell("basic_rnn", 200, "tanh"), inputs=28, outputs=16, max_steps=6),
    optimizer=Adam(learning_rate=0.0004),
    batch=50,
    steps=28,
    iterations=SPELLER_EPOCHS * 1100,  # 55,000 // 50 an epoch
)

VOWELS_EPOCHS = 40
VOWELS = Program(
    name="vowels",
    model=Model("classifier", Cell("basic_rnn", 150, "tanh"), inputs=12, outputs=9),
    optimizer=Adam(learning_rate=0.0003),
    batch=30,
    steps=26,  # the longest of the training set; the lengths are from 7 on
    iterations=VOWELS_EPOCHS * 9,  # 270 // 30 an epoch
)

PROGRAMS = {program.name: program for program in (MNIST, SERIES, SPELLER, VOWELS)}
