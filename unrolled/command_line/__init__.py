"""What the command lines of the two implementations share: the same commands, flags, help and output for both.

`python -m torch_impl` and `python -m tf_reference` each call `command_line` with a function that makes their adapter.
The adapter keeps the contract of `spec_tests.contract`, and has in addition

    trainer(model, weights, optimizer, inputs, targets, lengths=None, slots=None)

which returns an object that keeps its weights between calls, NumPy in and NumPy out:

    run(batches)                   one optimizer step per row of batches [iterations, batch]; losses [iterations],
                                   each before its step
    forward(inputs, lengths=None)  logits or predictions with the weights reached so far
    weights(), slots()             the state reached, in canonical form
"""

from __future__ import annotations

from typing import Any, Callable

import click

from unrolled.command_line.plain_loop import Train, train_task
from unrolled.command_line.predict_speller import predict_speller_command
from unrolled.command_line.show import show_command
from unrolled.command_line.train_mnist import mnist_command
from unrolled.command_line.train_own import classifier_command, regressor_command
from unrolled.command_line.train_series import series_command
from unrolled.command_line.train_speller import speller_command
from unrolled.command_line.train_vowels import vowels_command

__all__ = ["command_line"]


def command_line(
    name: str, title: str, backend: Callable[[str, int | None], Any], trained: Train = train_task
) -> click.Group:
    """The click group of one implementation: `show` and the groups `train` and `predict`; more commands can be added.

    name: the implementation's package, also in the default output folders. title: one sentence for --help.
    backend: (device, threads) -> adapter; it is called, and so may import its framework, only when a command runs. It
    raises ImportError when the framework is missing and ValueError for a device that is not there; either message is
    shown to the user as it is. trained: what a train command does, by default to train from beginning to end; it gets
    all options of the command, so that an implementation may add its own.
    """
    settings = {"help_option_names": ["-h", "--help"]}

    @click.group(name=name, help=title, context_settings=settings)
    def main() -> None:
        pass

    @main.group(
        name="train",
        help="Train one of the chapter's programs, or a network on data of your own.",
        short_help="Train a program.",
    )
    def train() -> None:
        pass

    main.add_command(show_command(name, backend))
    train.add_command(mnist_command(name, backend, trained))
    train.add_command(series_command(name, backend, trained))
    train.add_command(speller_command(name, backend, trained))
    train.add_command(vowels_command(name, backend, trained))
    train.add_command(classifier_command(name, backend, trained))
    train.add_command(regressor_command(name, backend, trained))

    @main.group(name="predict", help="Use what a training left behind.", short_help="Use a trained program.")
    def predict() -> None:
        pass

    predict.add_command(predict_speller_command(name, backend))
    return main
