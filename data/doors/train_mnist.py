"""`train mnist`: the chapter's image classifier, each image read as a sequence of its rows."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Callable

import click
import numpy as np
from tqdm import tqdm

from data import mnist
from data.batches import BatchStream
from data.doors.options import (
    backend_options,
    count_option,
    learning_rate_option,
    open_backend,
    output_option,
    plain_failures,
    seed_option,
)
from data.doors.plots import learning_curve
from data.doors.runs import Run, check_losses, prepare_folder
from data.programs import MNIST, MNIST_EPOCHS, Model

__all__ = ["mnist_command"]

_CHUNK = 10  # iterations between two updates of the progress bar: some 50 ms
_ROWS_AT_ONCE = 10_000  # images per forward pass: MNIST's test set in one piece, a larger set in bounded memory


def mnist_command(name: str, backend: Callable[[str, int | None], Any]) -> click.Command:
    """The command `train mnist` of the implementation `name`; see `data.doors.command_line` for backend."""

    @click.command("mnist", short_help="Classify images, reading each as a sequence of rows.")
    @count_option("--epochs", MNIST_EPOCHS, "Epochs to train.")
    @count_option("--batch-size", MNIST.batch, "Images per batch.")
    @count_option("--units", MNIST.model.cell.units, "Recurrent neurons.")
    @learning_rate_option(MNIST.optimizer.learning_rate)
    @seed_option("Of the initial weights and the order of the batches.")
    @click.option(
        "--data",
        "folder",
        type=click.Path(exists=True, file_okay=False),
        help="Folder with an MNIST-like data set: the four IDX files, with or without .gz, there or in NAME/raw.  "
        "[default: the bundled MNIST]",
    )
    @click.option(
        "--validation-size",
        type=click.IntRange(min=0),
        default=mnist.VALIDATION_SIZE,
        show_default=True,
        help="The first so many training images are set aside.",
    )
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
    images = _load(options["folder"], options["validation_size"])
    rows, steps, inputs = images.train.images.shape
    if options["batch_size"] > rows:
        raise click.BadParameter(
            "%d is more than the %d training images." % (options["batch_size"], rows), param_hint="'--batch-size'"
        )
    classes = 1 + int(max(part.labels.max() for part in images if len(part.labels)))
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
        lambda results: _plot(name, source, results["epochs"]),
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
    with run.recording(), tqdm(total=options["epochs"] * iterations, unit="it", disable=None) as bar:
        for epoch in range(1, options["epochs"] + 1):
            figures = _epoch(adapter, trainer, images, stream, epoch, iterations, bar)
            run.results["epochs"].append(figures)
            run.save()
            with tqdm.external_write_mode():
                click.echo(_line(figures, options["epochs"]))


def _load(folder: str | None, validation_size: int) -> mnist.Mnist:
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


def _epoch(
    adapter: Any, trainer: Any, images: mnist.Mnist, stream: BatchStream, epoch: int, iterations: int, bar: tqdm
) -> dict[str, Any]:
    """Train one epoch and measure it: the figures of one entry in results.json."""
    start = time.perf_counter()
    batches = stream.take(iterations)
    losses = np.empty(iterations)
    for first in range(0, iterations, _CHUNK):
        part = slice(first, min(first + _CHUNK, iterations))
        losses[part] = trainer.run(batches[part])
        check_losses(losses[part], (epoch - 1) * iterations + first)
        bar.update(part.stop - part.start)
    trained = time.perf_counter()
    last = batches[-1]
    return {
        "epoch": epoch,
        "train_accuracy": _accuracy(adapter, trainer, images.train.images[last], images.train.labels[last]),
        "test_accuracy": _accuracy(adapter, trainer, images.test.images, images.test.labels),
        "loss": float(losses.mean()),
        "training_seconds": round(trained - start, 3),
        "seconds": round(time.perf_counter() - start, 3),
    }


def _accuracy(adapter: Any, trainer: Any, images: np.ndarray, labels: np.ndarray) -> float:
    parts = [slice(first, first + _ROWS_AT_ONCE) for first in range(0, len(labels), _ROWS_AT_ONCE)]
    hits = [adapter.in_top_k(trainer.forward(images[part]), labels[part], 1) for part in parts]
    return float(np.concatenate(hits).mean())


def _line(figures: dict[str, Any], epochs: int) -> str:
    return "epoch %*d/%d   train accuracy %.4f   test accuracy %.4f   loss %.4f   %.1f s" % (
        len(str(epochs)),
        figures["epoch"],
        epochs,
        figures["train_accuracy"],
        figures["test_accuracy"],
        figures["loss"],
        figures["seconds"],
    )


def _plot(name: str, source: str, epochs: list[dict[str, Any]]) -> bytes | None:
    if not epochs:
        return None
    reached = (name, Path(source).name, 100 * epochs[-1]["test_accuracy"], len(epochs))
    return learning_curve("%s, %s: %.2f%% of the test images right after epoch %d" % reached, epochs)
