"""What a training command leaves behind: a folder with results.json and a plot, each written atomically."""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Iterator

import click

from unrolled.showing import shown
from unrolled.writing import write_atomically

__all__ = ["SCHEMA", "NotFiniteError", "Results", "prepare_folder"]

SCHEMA = "unrolled.train/1"


class NotFiniteError(Exception):
    """A loss became infinite or NaN: at which iteration, counted from 1. more: what else is known, what else to try."""

    def __init__(self, iteration: int, loss: float, more: tuple[str, str] = ("", "")) -> None:
        known, remedy = more
        super().__init__(
            "the loss is %s at iteration %d%s, so training stopped; try a smaller --learning-rate%s"
            % (loss, iteration, known, remedy)
        )
        self.iteration, self.loss = iteration, loss


def prepare_folder(folder: Path) -> None:
    """Make the output folder and try to write into it, so that a bad one is found before the work, not after it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=str(folder)):
            pass
    except OSError as error:
        raise click.BadParameter(
            "%s cannot be written to (%s); name another folder." % (folder, error.strerror or error),
            param_hint="'--output'",
        ) from error


class Results:
    """What is reported of a training, as it grows, and the folder it goes to.

    values: plain values; `status` is "running", "finished", "interrupted" or "not finite". plot: results -> PNG
    bytes, or None where there is nothing to draw yet.
    """

    def __init__(
        self, folder: Path, plot_name: str, plot: Callable[[dict[str, Any]], bytes | None], facts: dict[str, Any]
    ) -> None:
        self.folder = folder
        self.values: dict[str, Any] = dict({"schema": SCHEMA, "status": "running"}, **facts)
        self._plot_name, self._plot = plot_name, plot
        self._start = time.perf_counter()

    def save(self) -> None:
        """Write results.json as it is now."""
        self.values["seconds"] = round(time.perf_counter() - self._start, 3)
        text = json.dumps(self.values, indent=1, allow_nan=False)
        write_atomically(self.folder / "results.json", (text + "\n").encode("utf-8"))

    @contextlib.contextmanager
    def recording(self) -> Iterator[None]:
        """Around the training: however it ends, the results so far are written, and where they are is printed."""
        try:
            yield
        except KeyboardInterrupt:
            self._finish("interrupted")
            raise
        except NotFiniteError as error:
            self._finish("not finite")
            raise click.ClickException(str(error)) from error
        self._finish("finished")

    def _finish(self, status: str) -> None:
        self.values["status"] = status
        self.save()
        written = [str(self.folder / "results.json")]
        try:
            image = self._plot(self.values)
        except ImportError as error:
            click.echo("No plot, for it needs matplotlib (%s); pip install 'unrolled[pictures]'" % error, err=True)
            image = None
        if image is not None:
            write_atomically(self.folder / self._plot_name, image)
            written.append(str(self.folder / self._plot_name))
        else:
            with contextlib.suppress(OSError):  # an earlier run's plot would contradict these results
                (self.folder / self._plot_name).unlink()
        click.echo("Results: %s" % shown(", ".join(written)))
