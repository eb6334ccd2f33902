"""What a run costs beside its training steps: python -m torch_impl.tests.overhead --epochs 10.

An MNIST epoch of `train mnist`, as it is (log, progress bar, checkpoint), without the accuracies that it reports,
against `Trainer.run` over the very batches in one call, from the same weights; the two take turns, epoch by epoch.
Where other work disturbs the machine, the least of several epochs tells more than their median, and what the run spends
outside its calls of `Trainer.run` more than a difference of two long times.
"""

from __future__ import annotations

import argparse
import io
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from torch_impl.__main__ import make_group
from torch_impl.runs import train
from torch_impl.runs.backend import RunTrainer
from torch_impl.runs.training_run import LAST, TrainingRun
from unrolled.command_line.loop import Loop

__all__: list[str] = []


class _Terminal(io.StringIO):
    """What tqdm takes for one."""

    def isatty(self) -> bool:
        return True


class _Clock(TrainingRun):
    """A run that times its epochs, and a bare trainer's between them."""

    saves = 0

    def save(self, trainer: RunTrainer, name: str = LAST, finished: bool = False) -> None:
        self.saves += 1
        super().save(trainer, name, finished)

    def begin(self, loop: Loop) -> RunTrainer:
        trainer = super().begin(loop)
        self.bare: list[float] = []
        self.own: list[float] = []
        self.beside: list[float] = []
        self.reference = self.trainer(loop, loop.initial_weights()).inner
        task: Any = self.task
        take, figures = task.take, task.figures

        def timed_take(stream: Any, count: int) -> np.ndarray:
            self._end()
            batches = take(stream, count)
            start = time.perf_counter()
            self.reference.run(batches)
            self.bare.append(time.perf_counter() - start)
            self._begin, self._steps_took = time.perf_counter(), 0.0
            return batches

        def timed_figures(*arguments: Any) -> dict[str, Any]:
            start = time.perf_counter()
            try:
                return figures(*arguments)
            finally:
                self._begin += time.perf_counter() - start

        run = trainer.run

        def timed_run(batches: np.ndarray) -> np.ndarray:
            start = time.perf_counter()
            losses = run(batches)
            self._steps_took += time.perf_counter() - start
            return losses

        task.take, task.figures = timed_take, timed_figures
        trainer.run = timed_run  # type: ignore[method-assign]
        return trainer

    def _end(self) -> None:
        if self.bare:
            self.own.append(time.perf_counter() - self._begin)
            self.beside.append(self.own[-1] - self._steps_took)

    def train(self, loop: Loop) -> None:
        super().train(loop)
        own, bare, beside = self.own[1:], self.bare[1 : len(self.own)], self.beside[1:]  # the first is warm-up
        print(f"{len(own)} epochs, {self.saves} checkpoints; seconds of an epoch, median (least):")
        for name, times in (("bare steps", bare), ("run", own), ("run, outside its steps", beside)):
            print(f"  {name:24}{statistics.median(times):8.4f} ({min(times):.4f})")
        print(f"overhead in % of an epoch: {100 * (min(own) / min(bare) - 1):.2f} by the least times, "
              f"{100 * statistics.median(beside) / statistics.median(bare):.2f} outside the steps")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=10)
    epochs = parser.parse_args().epochs
    train.TrainingRun = _Clock  # type: ignore[misc]
    sys.stderr = _Terminal()
    with tempfile.TemporaryDirectory() as home:
        output = str(Path(home, "run"))
        arguments = ["train", "mnist", "--epochs", str(epochs), "--output", output]
        make_group()(arguments, standalone_mode=False)


if __name__ == "__main__":
    main()
