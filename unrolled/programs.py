"""The training programs of the chapter as plain values: one table of hyperparameters each. Standard library only."""

from __future__ import annotations

from typing import Any, NamedTuple

from unrolled.models import Model
from unrolled.networks import BasicRNN


class Adam(NamedTuple):
    """Adam as tf.train.AdamOptimizer defines it: `epsilon` is the "epsilon hat" of Kingma and Ba, section 2."""

    learning_rate: float = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8


def adam_from_plain(value: Any) -> Adam:
    """The settings that a dict holds by these names, as a run's state does; ValueError where one is missing or none."""
    found: list[Any] = [value.get(name) for name in Adam._fields] if isinstance(value, dict) else [None]
    if not all(type(each) in (int, float) and 0 <= each < 1e300 for each in found):
        raise ValueError("Adam's settings must be %s, each a number of at least 0" % ", ".join(Adam._fields))
    return Adam(*map(float, found))


class Program(NamedTuple):
    """A training program: the model, its optimizer, rows per batch, steps per row, and how long it is trained."""

    name: str
    model: Model
    optimizer: Adam
    batch: int
    steps: int
    iterations: int


MNIST_EPOCHS = 100
MNIST_ITERATIONS_PER_EPOCH = 366  # 55,000 // 150: the chapter drops the remainder (see datasets.batches)

MNIST = Program(
    name="mnist",
    model=Model("classifier", BasicRNN(150), inputs=28, outputs=10),
    optimizer=Adam(),
    batch=150,
    steps=28,
    iterations=MNIST_EPOCHS * MNIST_ITERATIONS_PER_EPOCH,
)

SERIES = Program(
    name="series",
    model=Model("regressor", BasicRNN(100, "relu"), inputs=1, outputs=1),
    optimizer=Adam(),
    batch=1,
    steps=100,
    iterations=10_000,
)

SPELLER_EPOCHS = 10
SPELLER = Program(
    name="speller",
    # 16 tokens: END and the 15 letters of the English names of the digits; the longest is "three" and END.
    model=Model("speller", BasicRNN(200), inputs=28, outputs=16, max_steps=6),
    optimizer=Adam(learning_rate=0.0004),
    batch=50,
    steps=28,
    iterations=SPELLER_EPOCHS * 1100,  # 55,000 // 50 an epoch
)

VOWELS_EPOCHS = 40
VOWELS = Program(
    name="vowels",
    model=Model("classifier", BasicRNN(150), inputs=12, outputs=9),
    optimizer=Adam(learning_rate=0.0003),
    batch=30,
    steps=26,  # the longest of the training set; the lengths are from 7 on
    iterations=VOWELS_EPOCHS * 9,  # 270 // 30 an epoch
)

PROGRAMS = {program.name: program for program in (MNIST, SERIES, SPELLER, VOWELS)}
