"""`train mnist`: the chapter's image classifier, each image read as a sequence of its rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import click
import numpy as np
from tqdm import tqdm

from data import mnist
from data.batches import BatchStream
from data.doors.epochs import curve_plot, forward, record_and_print, train_epochs
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
from data.programs import MNIST, MNIST_EPOCHS, Model

__all__ = ["image_options", "load_images", "mnist_command"]


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


def mnist_command(name: str, backend: Callable[[str, int | None], Any]) -> click.Command:
    """The command `train mnist` of the implementation `name`; see `data.doors.command_line` for backend."""

    @click.command("mnist", short_help="Classify images, reading each as a sequence of rows.")
    @count_option("--epochs", MNIST_EPOCHS, "Epochs to train.")
    @count_option("--batch-size", MNIST.batch, "Images per batch.")
    @count_option("--units", MNIST.model.cell.units, "Recurrent neurons.")
    @learning_rate_option(MNIST.optimizer.learning_rate)
    @seed_option("Of the initial weights and the order of the batches.")
    @image_options
    @output_option("runs/%s-mnist" % name)
    @backend_options
    def train(**options: Any) -> None:
        """Classify images, reading each as a sequence of rows.

        A basic recurrent cell with tanh reads one row of pixels per step; a dense layer on its final state gives the
        logits. Adam minimises the mean softmax cross-entropy. An epoch is as many whole batches as fit into the
        training images; after each, a line gives the accuracy on its last batch and on all test images, the mean
        loss and the seconds. The folder --output gets results.json and learning_curve.png.
        """
        with plain_failures():
            _train(name, backend, options)

    return train


def _train(name: str, backend: Callable[[str, int | None], Any], options: dict[str, Any]) -> None:
    prepare_folder(options["output"])
    images = load_images(options["folder"], options["validation_size"])
    rows, steps, inputs = images.train.images.shape
    if options["batch_size"] > rows:
        raise click.BadParameter(
            "%d is more than the %d training images." % (options["batch_size"], rows), param_hint="'--batch-size'"
        )
    classes = 1 + int(max(part.labels.max() for part in images if len(part.labels)))
    unseen = np.setdiff1d(np.arange(classes), images.train.labels)
    if len(unseen):
        click.echo(
            "Warning: of the %d classes 0 to %d, %d have no training image, class %d first; look for a wrong label."
            % (classes, classes - 1, len(unseen), unseen[0]),
            err=True,
        )
    cell = MNIST.model.cell._replace(units=options["units"])
    model = MNIST.model._replace(cell=cell, inputs=inputs, outputs=max(classes, 2))
    optimizer = MNIST.optimizer._replace(learning_rate=options["learning_rate"])
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
            "program": MNIST.name,
            "implementation": name,
            "hyperparameters": _hyperparameters(options, model, optimizer, iterations),
            "data": dict(sizes, source=source, steps=steps, inputs=inputs, classes=model.outputs),
            "backend": dict(adapter.describe()),
            "epochs": [],
        },
    )
    click.echo(
        "%s: %d training and %d test images of %dx%d, %d classes; %d iterations of %d images per epoch"
        % (source, rows, sizes["test"], steps, inputs, model.outputs, iterations, stream.batch)
    )
    click.echo(", ".join("%s %s" % item for item in run.results["backend"].items()))
    weights = adapter.initial_weights(model, options["seed"])
    trainer = adapter.trainer(model, weights, optimizer, images.train.images, images.train.labels)

    def measure(last: np.ndarray) -> tuple[float, float]:
        return (
            _accuracy(adapter, trainer, images.train.images[last], images.train.labels[last]),
            _accuracy(adapter, trainer, images.test.images, images.test.labels),
        )

    with run.recording(), tqdm(total=options["epochs"] * iterations, unit="it", disable=None) as bar:
        done = record_and_print(run, options["epochs"])
        train_epochs(trainer, stream.take, options["epochs"], iterations, measure, bar, done)


def load_images(folder: str | None, validation_size: int) -> mnist.Mnist:
    """The bundled MNIST, or a folder like it; a --validation-size that does not fit ends the command."""
    try:
        return mnist.load(None if folder is None else Path(folder), validation_size)
    except ValueError as error:
        raise click.BadParameter("%s." % error, param_hint="'--validation-size'") from error


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


def _accuracy(adapter: Any, trainer: Any, images: np.ndarray, labels: np.ndarray) -> float:
    return float(adapter.in_top_k(forward(trainer, images), labels, 1).mean())
