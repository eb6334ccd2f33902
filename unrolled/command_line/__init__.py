"""What the command lines of the two implementations share: the same commands, flags, help and output for both.

`python -m torch_impl` and `python -m tf_reference` each call `command_line` with a function that makes their backend:
an object with methods of `spec_tests.contract` (describe, two_step, static_rnn, dynamic_rnn, predict, initial_weights,
in_top_k), and in addition

    trainer(model, weights, optimizer, inputs, targets, lengths=None, *, seed=0)

which returns an object that keeps its weights between calls, NumPy in and NumPy out; seed: of what dropout drops:

    run(batches)                   one optimizer step per row of batches [iterations, batch]; losses [iterations],
                                   each before its step
    forward(inputs, lengths=None)  logits or predictions with the weights reached so far, nothing dropped
    weights()                      those reached, in canonical form
"""

from __future__ import annotations

from typing import Any, Callable

import click

from unrolled.command_line.door import Door
from unrolled.command_line.loop import Prepare, train_task
from unrolled.command_line.options import plain_failures
from unrolled.command_line.predict_speller import predict_speller_command
from unrolled.command_line.show import show_command
from unrolled.command_line.train_classifier import classifier_command
from unrolled.command_line.train_mnist import mnist_command
from unrolled.command_line.train_regressor import regressor_command
from unrolled.command_line.train_series import series_command
from unrolled.command_line.train_speller import speller_command
from unrolled.command_line.train_vowels import vowels_command

__all__ = ["command_line"]


def command_line(
    name: str, title: str, backend: Callable[[str, int | None], Any], train_task: Callable[..., None] = train_task
) -> click.Group:
    """The click group of one implementation: `show` and the groups `train` and `predict`; more commands can be added.

    name: the implementation's package, also in the default output folders. title: one sentence for --help.
    backend: (device, threads) -> the backend; called, and so free to import its framework, only when a command runs. It
    raises ImportError when the framework is missing and ValueError for a device that is not there; either message is
    shown to the user as it is. train_task: what a train command does, with the arguments of `loop.train_task`; it gets
    all options of the command, so that an implementation may add its own.
    """
    settings = {"help_option_names": ["-h", "--help"]}

    @click.group(name=name, cls=Door, help=title, context_settings=settings)
    def main() -> None:
        pass

    def trained(options: dict[str, Any], prepare: Prepare) -> None:
        with plain_failures():
            train_task(name, backend, options, prepare)

    @main.group(
        name="train",
        help="Train one of the chapter's programs, or a network on data of your own.",
        short_help="Train a program.",
    )
    def train() -> None:
        pass

    main.add_command(show_command(name, backend))
    commands = (mnist_command, series_command, speller_command, vowels_command, classifier_command, regressor_command)
    for command in commands:
        train.add_command(command(name, trained))

    @main.group(name="predict", help="Use what a training left behind.", short_help="Use a trained program.")
    def predict() -> None:
        pass

    predict.add_command(predict_speller_command(name, backend))
    return main
