"""`train speller`: an encoder reads an image row by row, a decoder spells the digit's English name."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import click
import numpy as np
from tqdm import tqdm

from data import mnist, spelling
from data.batches import BatchStream
from data.doors.epochs import curve_plot, forward, record_and_print, save_weights, train_epochs
from data.doors.options import (
    backend_options,
    count_option,
    learning_rate_option,
    open_backend,
    output_option,
    plain_failures,
    seed_option,
)
from data.doors.runs import Run, prepare_folder
from data.doors.train_mnist import image_options, load_images
from data.errors import DataError
from data.programs import SPELLER, SPELLER_EPOCHS, Model

__all__ = ["exact_matches", "names_of", "speller_command"]


def speller_command(name: str, backend: Callable[[str, int | None], Any]) -> click.Command:
    """The command `train speller` of the implementation `name`; see `data.doors.command_line` for backend."""

    @click.command("speller", short_help="Spell the digit on an image, letter by letter.")
    @count_option("--epochs", SPELLER_EPOCHS, "Epochs to train.")
    @count_option("--batch-size", SPELLER.batch, "Images per batch.")
    @count_option("--units", SPELLER.model.cell.units, "Recurrent neurons of the encoder, and of the decoder.")
    @learning_rate_option(SPELLER.optimizer.learning_rate)
    @seed_option("Of the initial weights and the order of the batches.")
    @image_options
    @output_option("runs/%s-speller" % name)
    @backend_options
    def train(**options: Any) -> None:
        """Spell the digit on an image, letter by letter.

        An encoder reads one row of pixels per step. Its final state starts a decoder, which is fed its own letters and
        writes the digit's English name, three to five letters, and the end-of-sequence token. Adam minimises the
        cross-entropy over the letters and the end, the decoder fed with the true letters. Accuracy counts a name only
        when it is right as a whole. The folder --output gets results.json, learning_curve.png and weights.npz, which
        `predict speller` reads.
        """
        with plain_failures():
            _train(name, backend, options)

    return train


def names_of(part: mnist.LabelledImages) -> np.ndarray:
    """The digits' names as tokens [images, 6]; DataError where a label is no digit."""
    try:
        return spelling.names_of(part.labels)
    except ValueError as error:
        raise DataError("the images cannot be spelled: %s; use a data set of digits" % error) from error


def exact_matches(tokens: np.ndarray, names: np.ndarray) -> np.ndarray:
    """Which rows of tokens [rows, steps] are right as a whole; bool [rows]."""
    return (tokens == names).all(axis=1)


def _train(name: str, backend: Callable[[str, int | None], Any], options: dict[str, Any]) -> None:
    prepare_folder(options["output"])
    images = load_images(options["folder"], options["validation_size"])
    names, test_names = names_of(images.train), names_of(images.test)
    rows, steps, inputs = images.train.images.shape
    if options["batch_size"] > rows:
        raise click.BadParameter(
            "%d is more than the %d training images." % (options["batch_size"], rows), param_hint="'--batch-size'"
        )
    model = SPELLER.model._replace(cell=SPELLER.model.cell._replace(units=options["units"]), inputs=inputs)
    optimizer = SPELLER.optimizer._replace(learning_rate=options["learning_rate"])
    adapter = open_backend(backend, options["device"], options["threads"])
    stream = BatchStream(rows, options["batch_size"], options["seed"])
    iterations = rows // stream.batch
    source = "MNIST" if options["folder"] is None else str(Path(options["folder"]).resolve())
    sizes = {part: len(getattr(images, part).labels) for part in images._fields}
    run = Run(
        options["output"],
        "learning_curve.png",
        lambda results: curve_plot(name, source, "images", results["epochs"]),
        {
            "program": SPELLER.name,
            "implementation": name,
            "hyperparameters": _hyperparameters(options, model, optimizer, iterations),
            "data": dict(sizes, source=source, steps=steps, inputs=inputs, letters=spelling.LETTERS),
            "backend": dict(adapter.describe()),
            "epochs": [],
        },
    )
    click.echo(
        "%s: %d training and %d test images of %dx%d, spelled with %d letters; %d iterations of %d images per epoch"
        % (source, rows, sizes["test"], steps, inputs, len(spelling.LETTERS), iterations, stream.batch)
    )
    click.echo(", ".join("%s %s" % item for item in run.results["backend"].items()))
    weights = adapter.initial_weights(model, options["seed"])
    trainer = adapter.trainer(model, weights, optimizer, images.train.images, names)

    def measure(last: np.ndarray) -> tuple[float, float]:
        return (
            _accuracy(trainer, images.train.images[last], names[last]),
            _accuracy(trainer, images.test.images, test_names),
        )

    def done(figures: dict[str, Any]) -> None:
        save_weights(options["output"], trainer.weights())
        recorded(figures)

    recorded = record_and_print(run, options["epochs"])
    with run.recording(), tqdm(total=options["epochs"] * iterations, unit="it", disable=None) as bar:
        train_epochs(trainer, stream.take, options["epochs"], iterations, measure, bar, done)


def _accuracy(trainer: Any, images: np.ndarray, names: np.ndarray) -> float:
    """The share of images whose name is spelled right as a whole; a logit of zeros is END, the lowest token."""
    return float(exact_matches(forward(trainer, images).argmax(axis=2), names).mean())


def _hyperparameters(options: dict[str, Any], model: Model, optimizer: Any, iterations: int) -> dict[str, Any]:
    return {
        "epochs": options["epochs"],
        "iterations_per_epoch": iterations,
        "batch_size": options["batch_size"],
        "seed": options["seed"],
        "validation_size": options["validation_size"],
        "cell": dict(model.cell._asdict()),
        "optimizer": dict(optimizer._asdict(), kind="adam"),
    }
