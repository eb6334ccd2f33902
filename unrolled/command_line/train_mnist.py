"""`train mnist`: the chapter's image classifier, each image read as a sequence of its rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Callable

import click
import numpy as np

from unrolled.command_line.loop import Train
from unrolled.command_line.network_options import network_options, shape_words, with_network
from unrolled.command_line.options import count_option, learning_rate_option, output_options, seed_option
from unrolled.command_line.tasks import EpochTask
from unrolled.datasets import mnist
from unrolled.datasets.parts import Part
from unrolled.models import Model
from unrolled.programs import MNIST, MNIST_EPOCHS, Program

__all__ = ["ImageTask", "image_options", "load_images", "mnist_command"]


def image_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--data and --validation-size."""
    command = click.option(
        "--validation-size",
        type=click.IntRange(min=0),
        default=mnist.VALIDATION_SIZE,
        show_default=True,
        help="The first so many training images are set aside.",
    )(command)
    return click.option(
        "--data",
        "folder",
        type=click.Path(exists=True, file_okay=False),
        help="Folder with an MNIST-like data set: the four IDX files, with or without .gz, there or in NAME/raw.  "
        "[default: the bundled MNIST]",
    )(command)


def mnist_command(name: str, trained: Train) -> click.Command:
    """The command `train mnist` of the implementation `name`; see `unrolled.command_line` for the arguments."""

    @click.command("mnist", short_help="Classify images, reading each as a sequence of rows.")
    @count_option("--epochs", MNIST_EPOCHS, "Epochs to train.")
    @count_option("--batch-size", MNIST.batch, "Images per batch.")
    @network_options(MNIST.model.network, "Recurrent neurons.")
    @learning_rate_option(MNIST.optimizer.learning_rate)
    @seed_option("Of the initial weights, the batches' order and what is dropped.")
    @image_options
    @output_options("runs/%s-mnist" % name)
    def train(**options: Any) -> None:
        """Classify images, reading each as a sequence of rows.

        A basic recurrent cell with tanh, or the --cell, reads one row of pixels per step; a dense layer on its final
        state gives the logits. Adam minimises the mean softmax cross-entropy. An epoch is as many whole batches as fit
        into the training images; after each, a line gives the accuracy on its last batch and on all test images, the
        mean loss and the seconds. The folder --output gets results.json and learning_curve.png.
        """
        trained(options, prepare)

    return train


class ImageTask(EpochTask):
    """Images read as sequences of rows, by a classifier or a speller."""

    rows_name = "images"

    def __init__(self, program: Program, name: str, options: dict[str, Any], images: mnist.Mnist, model: Model) -> None:
        """targets are the labels; a subclass may replace them. A --batch-size that does not fit ends the command."""
        rows, steps, inputs = images.train.images.shape
        if options["batch_size"] > rows:
            raise click.BadParameter(
                "%d is more than the %d training images." % (options["batch_size"], rows), param_hint="'--batch-size'"
            )
        self.program, self.implementation = program.name, name
        self.model = with_network(model, options, inputs=inputs)
        self.optimizer = program.optimizer._replace(learning_rate=options["learning_rate"])
        self.train, self.test = (self.part(part) for part in (images.train, images.test))
        self.validation = self.part(images.validation) if len(images.validation.labels) else None
        self.batch, self.seeds = options["batch_size"], [options["seed"]]
        self.per_round = rows // self.batch
        self.iterations = options["epochs"] * self.per_round
        self.source = "MNIST" if options["folder"] is None else str(Path(options["folder"]).resolve())
        sizes = {part: len(getattr(images, part).labels) for part in images._fields}
        self.facts = {
            "hyperparameters": self.hyperparameters(
                epochs=options["epochs"],
                iterations_per_epoch=self.per_round,
                batch_size=self.batch,
                seed=options["seed"],
                validation_size=options["validation_size"],
            ),
            "data": dict(sizes, source=self.source, steps=steps, inputs=inputs),
        }
        self.header = [
            "%s: %d training and %d test images of %dx%d, %s; %d iterations of %d images per epoch"
            % (self.source, rows, sizes["test"], steps, inputs, self.what(), self.per_round, self.batch),
            *shape_words(options),
        ]

    def part(self, images: mnist.LabelledImages) -> Part:
        return Part(images.images, images.labels)

    def what(self) -> str:
        """What the images are told apart as, for the header."""
        self.facts["data"]["classes"] = self.model.outputs
        return "%d classes" % self.model.outputs


def prepare(name: str, options: dict[str, Any]) -> ImageTask:
    """The task for the options of the command line."""
    images = load_images(options["folder"], options["validation_size"])
    classes = 1 + int(max(part.labels.max() for part in images if len(part.labels)))
    task = ImageTask(MNIST, name, options, images, replace(MNIST.model, outputs=max(classes, 2)))
    unseen = np.setdiff1d(np.arange(classes), images.train.labels)
    if len(unseen):
        click.echo(
            "Warning: of the %d classes 0 to %d, %d have no training image, class %d first; look for a wrong label."
            % (classes, classes - 1, len(unseen), unseen[0]),
            err=True,
        )
    return task


def load_images(folder: str | None, validation_size: int) -> mnist.Mnist:
    """The bundled MNIST, or a folder like it; a --validation-size that does not fit ends the command."""
    try:
        return mnist.load(None if folder is None else Path(folder), validation_size)
    except ValueError as error:
        raise click.BadParameter("%s." % error, param_hint="'--validation-size'") from error
