"""The example's own module, trained in a run folder: python -m torch_impl.tests.own_module RUN OUT THREADS
goes on with it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

import torch_impl
from torch_impl.examples.own_module import Net
from torch_impl.runs import Run

__all__ = ["BATCHES", "LABELS", "ROWS", "Net", "go_on"]

ROWS = np.random.default_rng(0).normal(size=(12, 7, 3))
LABELS = np.arange(12) % 4
BATCHES = np.random.default_rng(1).integers(0, 12, (6, 5))


def go_on(run: Run) -> dict[str, np.ndarray]:
    """Train the run on, save it, and tell what came of it."""
    trainer = run.trainer(ROWS, LABELS)
    losses = trainer.run(BATCHES[3:])
    run.save(trainer)
    return {"losses": losses, "predictions": run.predict(ROWS), **trainer.weights(), **trainer.slots()}


if __name__ == "__main__":
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    torch.set_num_threads(int(sys.argv[3]))  # on another number, sums have another order
    torch.manual_seed(99)  # other weights than the run's
    np.savez(out, **go_on(torch_impl.load_run(folder, model=Net())))  # type: ignore[arg-type]
