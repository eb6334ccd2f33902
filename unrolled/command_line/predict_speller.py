"""`predict speller`: test images as a picture, each with the word that a trained speller writes for it."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable

import click
import numpy as np

from unrolled import networks
from unrolled.command_line.epochs import WEIGHTS_FILE, by_rows
from unrolled.command_line.options import backend_options, count_option, open_backend, plain_failures
from unrolled.command_line.plots import spelled_images
from unrolled.command_line.results import prepare_folder
from unrolled.command_line.train_speller import exact_matches, names_of
from unrolled.datasets import mnist, spelling
from unrolled.datasets.reading import plainly
from unrolled.errors import DataError
from unrolled.models import Model
from unrolled.networks import MOST, shapes
from unrolled.own_data.arrays import read_npz
from unrolled.programs import SPELLER
from unrolled.reading import parse_json, read_whole
from unrolled.showing import shown
from unrolled.writing import write_atomically

__all__ = ["predict_speller_command", "read_weights"]

PICTURE = "spelled.png"
_MOST_RESULTS = 1 << 24  # bytes of results.json
_LISTED = 10


def predict_speller_command(name: str, backend: Callable[[str, int | None], Any]) -> click.Command:
    """The command `predict speller` of the implementation `name`; see `unrolled.command_line` for backend."""
    folder = "runs/%s-speller" % name

    @click.command("speller", short_help="Picture test images with the words spelled for them.")
    @click.option(
        "--weights",
        type=click.Path(dir_okay=False),
        default="%s/%s" % (folder, WEIGHTS_FILE),
        show_default=True,
        callback=lambda context, parameter, value: Path(value),
        help="What `train speller` of either implementation left behind.",
    )
    @click.option(
        "--data",
        "data_folder",
        type=click.Path(exists=True, file_okay=False),
        help="Folder with an MNIST-like data set of digits.  [default: the bundled MNIST]",
    )
    @count_option("--images", 30, "How many test images to show, and at most how many of the misspelled ones.")
    @click.option(
        "--output",
        type=click.Path(file_okay=False),
        default=folder,
        show_default=True,
        callback=lambda context, parameter, value: Path(value),
        help="Folder for the picture, %s; made when missing, an earlier one is replaced." % PICTURE,
    )
    @backend_options
    def predict(**options: Any) -> None:
        """Picture test images with the words spelled for them.

        All test images are spelled, and the share of those spelled right is printed. The picture shows the first ones
        as they come, and then the first that are misspelled, each with the right name.
        """
        with plain_failures():
            _predict(backend, options)

    return predict


def read_weights(path: Path) -> tuple[Model, dict[str, np.ndarray]]:
    """A speller and its weights from an .npz file; DataError for a file that holds no such thing."""
    with plainly(path):
        if not path.exists():
            raise DataError("%s: is missing; run `train speller` first, or name its file with --weights" % path)
    weights = read_npz(path)
    model = _described(path.with_name("results.json")) or _sized(weights)
    found, expected = {name: array.shape for name, array in weights.items()}, shapes(model.weights())
    if found != expected or any(array.dtype != np.float32 for array in weights.values()):
        raise DataError(
            "%s: holds %s, expected the float32 weights %s; name a file that `train speller` wrote"
            % (path, _listed(found) or "nothing", _listed(expected))
        )
    return model, weights


def _described(path: Path) -> Model | None:
    """The speller that `train speller` has left its results of, with its weights; None where it has not."""
    try:
        results = parse_json(read_whole(path, _MOST_RESULTS))
        network = networks.from_plain(results["hyperparameters"]["network"])
        return replace(SPELLER.model, network=network, inputs=results["data"]["inputs"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _sized(weights: dict[str, np.ndarray]) -> Model:
    """The program's model in the sizes of these weights, as far as they tell any."""
    dense = weights.get("dense/kernel")
    if dense is None or dense.ndim != 2 or not 1 <= len(dense) <= MOST:
        return SPELLER.model
    model = replace(SPELLER.model, network=replace(SPELLER.model.network, units=len(dense)))  # type: ignore[type-var]
    name, weight = next(iter(model.weights().items()))
    inputs = len(np.atleast_1d(weights.get(name, ()))) - weight.shape[0] + model.inputs
    return replace(model, inputs=inputs) if 1 <= inputs <= MOST else model


def _listed(shapes: dict[str, tuple[int, ...]]) -> str:
    """The first few."""
    rest = ", …" if len(shapes) > _LISTED else ""
    return ", ".join("%s %s" % (name, list(shape)) for name, shape in list(shapes.items())[:_LISTED]) + rest


def _predict(backend: Callable[[str, int | None], Any], options: dict[str, Any]) -> None:
    prepare_folder(options["output"])
    model, weights = read_weights(options["weights"])
    folder = options["data_folder"]
    images = mnist.load(None if folder is None else Path(folder), 0).test
    names = names_of(images)
    if images.images.shape[2] != model.inputs:
        sizes = (options["weights"], model.inputs, images.images.shape[2])
        raise DataError("%s: reads rows of %d pixels, the images have %d; use the data set trained on" % sizes)
    opened = open_backend(backend, options["device"], options["threads"])
    tokens = by_rows(functools.partial(opened.predict, model, weights), images.images)
    right = exact_matches(tokens, names)
    click.echo("%d of %d test images spelled right: %.4f" % (right.sum(), len(right), right.mean()))
    first, wrong = np.arange(len(right))[: options["images"]], np.flatnonzero(~right)[: options["images"]]
    sections = [("the first %d test images" % len(first), first)]
    if len(wrong):
        sections.append(("%s %d of the %d misspelled ones" % ("the first", len(wrong), (~right).sum()), wrong))
    pictured = [(title, images.images[rows], _words(tokens, rows), _words(names, rows)) for title, rows in sections]
    target = options["output"] / PICTURE
    title = "%d of %d test images spelled right (%.2f%%)" % (right.sum(), len(right), 100 * right.mean())
    write_atomically(target, spelled_images(title, pictured))
    click.echo("Picture: %s" % shown(target))


def _words(tokens: np.ndarray, rows: np.ndarray) -> list[str]:
    return spelling.words(tokens[rows])
