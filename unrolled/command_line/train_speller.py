"""`train speller`: an encoder reads an image row by row, a decoder spells the digit's English name."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import click
import numpy as np

from unrolled.command_line.epochs import by_rows
from unrolled.command_line.loop import Train
from unrolled.command_line.network_options import network_options
from unrolled.command_line.options import count_option, learning_rate_option, output_options, seed_option
from unrolled.command_line.train_mnist import ImageTask, image_options, load_images
from unrolled.datasets import mnist, spelling
from unrolled.datasets.parts import Part
from unrolled.errors import DataError
from unrolled.programs import SPELLER, SPELLER_EPOCHS

__all__ = ["exact_matches", "names_of", "speller_command"]


def speller_command(name: str, trained: Train) -> click.Command:
    """The command `train speller` of the implementation `name`; see `unrolled.command_line` for the arguments."""

    @click.command("speller", short_help="Spell the digit on an image, letter by letter.")
    @count_option("--epochs", SPELLER_EPOCHS, "Epochs to train.")
    @count_option("--batch-size", SPELLER.batch, "Images per batch.")
    @network_options(SPELLER.model.network, "Recurrent neurons of the encoder, and of the decoder.")
    @learning_rate_option(SPELLER.optimizer.learning_rate)
    @seed_option("Of the initial weights, the batches' order and what is dropped.")
    @image_options
    @output_options("runs/%s-speller" % name)
    def train(**options: Any) -> None:
        """Spell the digit on an image, letter by letter.

        An encoder reads one row of pixels per step. Its final state starts a decoder, which is fed its own letters and
        writes the digit's English name, three to five letters, and the end-of-sequence token. Adam minimises the
        cross-entropy over the letters and the end, the decoder fed with the true letters. Accuracy counts a name only
        when it is right as a whole. The folder --output gets results.json, learning_curve.png and weights.npz, which
        `predict speller` reads.
        """
        trained(options, prepare)

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


class SpellerTask(ImageTask):
    """The targets are the digits' names; a name counts only when it is right as a whole."""

    weights_kept = True
    monitors = MappingProxyType({"accuracy": ("validation_accuracy", True)})

    def validated(self, backend: Any, trainer: Any) -> dict[str, float]:
        assert self.validation is not None
        return {"validation_accuracy": self.accuracy(backend, trainer, self.validation)}

    def part(self, images: mnist.LabelledImages) -> Part:
        return Part(images.images, names_of(images))

    def what(self) -> str:
        self.facts["data"]["letters"] = spelling.LETTERS
        return "spelled with %d letters" % len(spelling.LETTERS)

    def accuracy(self, backend: Any, trainer: Any, part: Part) -> float:
        """The share of images whose name is spelled right; a logit of zeros is END, the lowest token."""
        return float(exact_matches(by_rows(trainer.forward, part.inputs).argmax(axis=2), part.targets).mean())


def prepare(name: str, options: dict[str, Any]) -> SpellerTask:
    """The task for the options of the command line."""
    images = load_images(options["folder"], options["validation_size"])
    return SpellerTask(SPELLER, name, options, images, SPELLER.model)
