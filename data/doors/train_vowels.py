"""`train vowels`: who speaks? Utterances of different lengths, classified by a cell's state at the last valid frame."""

from __future__ import annotations

from typing import Any, Callable

import click
import numpy as np
from tqdm import tqdm

from data import vowels
from data.batches import BatchStream, bucketed, padding_share
from data.doors.epochs import curve_plot, epoch_line, forward, save_weights, train_epochs
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
from data.programs import VOWELS, VOWELS_EPOCHS

__all__ = ["vowels_command"]

_SEEDS = 5


def vowels_command(name: str, backend: Callable[[str, int | None], Any]) -> click.Command:
    """The command `train vowels` of the implementation `name`; see `data.doors.command_line` for backend."""

    @click.command("vowels", short_help="Tell nine speakers apart by utterances of different lengths.")
    @count_option("--epochs", VOWELS_EPOCHS, "Epochs to train.")
    @count_option("--batch-size", VOWELS.batch, "Utterances per batch.")
    @count_option("--units", VOWELS.model.cell.units, "Recurrent neurons.")
    @learning_rate_option(VOWELS.optimizer.learning_rate)
    @seed_option("Of the initial weights and the order of the batches; further trainings take the next seeds.")
    @count_option("--seeds", _SEEDS, "How many trainings, whose mean accuracy is reported.")
    @click.option(
        "--bucketed/--not-bucketed",
        default=False,
        show_default=True,
        help="Put utterances of like lengths into one batch, which saves padding.",
    )
    @output_option("runs/%s-vowels" % name)
    @backend_options
    def train(**options: Any) -> None:
        """Tell nine speakers apart by utterances of different lengths.

        Japanese Vowels: 270 training and 370 test utterances of 7 to 29 frames with 12 channels, each channel scaled to
        mean 0 and standard deviation 1 over the training frames. A basic recurrent cell with tanh reads one frame per
        step; a dense layer on its state at an utterance's last frame gives the logits. Adam minimises the mean softmax
        cross-entropy. The folder --output gets results.json, learning_curve.png (the mean of all trainings) and
        weights.npz (of the last one).
        """
        with plain_failures():
            _train(name, backend, options)

    return train


def _train(name: str, backend: Callable[[str, int | None], Any], options: dict[str, Any]) -> None:
    prepare_folder(options["output"])
    speakers = vowels.standardized(vowels.load())
    rows, _, inputs = speakers.train.inputs.shape
    if options["batch_size"] > rows:
        raise click.BadParameter(
            "%d is more than the %d training utterances." % (options["batch_size"], rows), param_hint="'--batch-size'"
        )
    model = VOWELS.model._replace(cell=VOWELS.model.cell._replace(units=options["units"]))
    optimizer = VOWELS.optimizer._replace(learning_rate=options["learning_rate"])
    adapter = open_backend(backend, options["device"], options["threads"])
    iterations = rows // options["batch_size"]
    facts: dict[str, Any] = {
        "program": VOWELS.name,
        "implementation": name,
        "hyperparameters": {
            "epochs": options["epochs"],
            "iterations_per_epoch": iterations,
            "batch_size": options["batch_size"],
            "bucketed": options["bucketed"],
            "seeds": list(range(options["seed"], options["seed"] + options["seeds"])),
            "cell": dict(model.cell._asdict()),
            "optimizer": dict(optimizer._asdict(), kind="adam"),
        },
        "data": {"train": rows, "test": len(speakers.test.lengths), "source": "Japanese Vowels", "inputs": inputs},
        "backend": dict(adapter.describe()),
        "padding": _padding(speakers.train.lengths, options),
        "epochs": [],  # means over the trainings so far
        "runs": [],
    }
    run = Run(
        options["output"],
        "learning_curve.png",
        lambda results: curve_plot(name, "Vowels", "utterances (%s)" % _seeds(results["runs"]), results["epochs"]),
        facts,
    )
    click.echo(
        "Japanese Vowels: %d training and %d test utterances of %d channels; %d iterations of %d per epoch"
        % (rows, facts["data"]["test"], inputs, iterations, options["batch_size"])
    )
    click.echo(_padding_line(facts["padding"], options["bucketed"]))
    click.echo(", ".join("%s %s" % item for item in run.results["backend"].items()))
    with run.recording(), tqdm(total=options["seeds"] * options["epochs"] * iterations, unit="it", disable=None) as bar:
        for seed in facts["hyperparameters"]["seeds"]:
            _train_one(adapter, model, optimizer, speakers, seed, options, run, bar)
        accuracies = [one["test_accuracy"] for one in run.results["runs"]]
        run.results["mean_test_accuracy"] = float(np.mean(accuracies))
        with tqdm.external_write_mode():
            click.echo(
                "mean test accuracy of %s %.4f   least %.4f   most %.4f"
                % (_seeds(run.results["runs"]), np.mean(accuracies), min(accuracies), max(accuracies))
            )


def _train_one(
    adapter: Any, model: Any, optimizer: Any, speakers: Any, seed: int, options: dict[str, Any], run: Run, bar: tqdm
) -> None:
    """One training: a line with its last epoch's figures, all of them in results.json, and its weights."""
    train, test = speakers
    stream = BatchStream(len(train.lengths), options["batch_size"], seed)
    weights = adapter.initial_weights(model, seed)
    trainer = adapter.trainer(model, weights, optimizer, train.inputs, train.speaker, train.lengths)
    epochs: list[dict[str, Any]] = []

    def take(count: int) -> np.ndarray:
        batches = stream.take(count)
        return bucketed(batches, train.lengths) if options["bucketed"] else batches

    def accuracy(part: Any) -> float:
        return float(adapter.in_top_k(forward(trainer, part.inputs, part.lengths), part.speaker, 1).mean())

    def measure(last: np.ndarray) -> tuple[float, float]:
        return accuracy(type(train)(*(array[last] for array in train))), accuracy(test)

    iterations = len(train.lengths) // stream.batch
    train_epochs(trainer, take, options["epochs"], iterations, measure, bar, epochs.append)
    save_weights(options["output"], trainer.weights())
    run.results["runs"].append({"seed": seed, "test_accuracy": epochs[-1]["test_accuracy"], "epochs": epochs})
    run.results["epochs"] = [_mean(same) for same in zip(*(one["epochs"] for one in run.results["runs"]))]
    run.save()
    spent = sum(figures["seconds"] for figures in epochs)
    with tqdm.external_write_mode():
        click.echo("seed %d   %s" % (seed, epoch_line(dict(epochs[-1], seconds=spent), options["epochs"])))


def _seeds(runs: list[dict[str, Any]]) -> str:
    return "1 seed" if len(runs) == 1 else "%d seeds" % len(runs)


def _mean(figures: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    """The means of what several trainings show for the same epoch."""
    return {key: figures[0][key] if key == "epoch" else float(np.mean([f[key] for f in figures])) for key in figures[0]}


def _padding(lengths: np.ndarray, options: dict[str, Any]) -> dict[str, float]:
    """The shares of a padded batch's steps that are padding, over the first seed's epochs: as drawn, and bucketed."""
    stream = BatchStream(len(lengths), options["batch_size"], options["seed"])
    drawn = [stream.take(len(lengths) // stream.batch) for _ in range(min(options["epochs"], 10))]
    return {
        "as_drawn": float(np.mean([padding_share(batches, lengths) for batches in drawn])),
        "bucketed": float(np.mean([padding_share(bucketed(batches, lengths), lengths) for batches in drawn])),
    }


def _padding_line(padding: dict[str, float], chosen: bool) -> str:
    shares = (100 * padding["as_drawn"], 100 * padding["bucketed"], "chosen" if chosen else "not chosen")
    return "padding: %.1f%% of the steps of the batches as drawn, %.1f%% of bucketed ones (%s)" % shares
