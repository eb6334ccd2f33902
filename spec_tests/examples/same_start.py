"""Train a classifier on real data in several frameworks, from the same weights on the same batches.

    python -m spec_tests.examples.same_start mnist --cell lstm --epochs 3 --backend torch_impl --backend tf_reference

Every backend gets the same arrays: first weights drawn by NumPy, rows, and the row numbers of each batch. After each
epoch a line has each one's test accuracy, and how far the losses have been apart, relative to the first backend's.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click
import numpy as np

from spec_tests.backends import loading
from unrolled import initial_values
from unrolled.command_line.network_options import network_of, network_options
from unrolled.datasets import mnist, vowels
from unrolled.datasets.batches import BatchStream
from unrolled.networks import BasicRNN
from unrolled.programs import MNIST, VOWELS, Program

ROWS = 1000  # predicted at a time


def data(name: str) -> tuple[Program, tuple[Any, ...], tuple[Any, ...]]:
    """(program, rows to train on, rows to test on); rows: inputs, targets, lengths."""
    if name == "mnist":
        images = mnist.load()
        return MNIST, (images.train.images, images.train.labels, None), (images.test.images, images.test.labels, None)
    speakers = vowels.standardized(vowels.load())
    train, test = ((part.inputs, part.speaker, part.lengths) for part in speakers)
    return VOWELS, train, test


def accuracy(backend: Any, model: Any, weights: Any, rows: tuple[Any, ...]) -> float:
    inputs, labels, lengths = rows
    found = [
        backend.predict(model, weights, inputs[at : at + ROWS], None if lengths is None else lengths[at : at + ROWS])
        for at in range(0, len(inputs), ROWS)
    ]
    return float(np.mean(np.concatenate(found) == labels))


@click.command()
@click.argument("name", type=click.Choice(["mnist", "vowels"]), metavar="mnist|vowels")
@click.option("--backend", "names", multiple=True, default=("torch_impl", "tf_reference"), help="Repeatable.")
@click.option("--epochs", default=3, show_default=True, type=click.IntRange(1))
@network_options(BasicRNN(100), "Recurrent neurons.")
def main(name: str, names: tuple[str, ...], epochs: int, **options: Any) -> None:
    """Train a classifier on mnist or vowels in each backend, from the same weights on the same batches."""
    program, (inputs, targets, lengths), test = data(name)
    model = replace(program.model, network=network_of(options, BasicRNN(100)))
    backends = loading.select(names).backends
    weights = initial_values.draw(model.weights(), np.random.RandomState(1))
    at: list[Any] = [(weights, None) for _ in backends]
    stream, steps = BatchStream(len(inputs), program.batch, 1), len(inputs) // program.batch
    for epoch in range(1, epochs + 1):
        batches, losses, told = stream.take(steps), [], []
        for number, backend in enumerate(backends):
            own, slots = at[number]
            loss, own, slots = backend.train(model, own, program.optimizer, inputs, targets, batches, lengths, slots)
            at[number] = own, slots
            losses.append(loss.astype(np.float64))
            told.append("%s %.4f" % (backend.name, accuracy(backend, model, own, test)))
        apart = [float(np.max(np.abs(loss - losses[0]) / losses[0])) for loss in losses[1:]]
        click.echo(
            "epoch %d: test accuracy %s; losses apart by %s"
            % (epoch, ", ".join(told), ", ".join("%.1e" % one for one in apart))
        )


if __name__ == "__main__":
    main()
