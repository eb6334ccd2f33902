"""Small trained runs for the tests of what uses one, each made once: the tasks of the command line, trained briefly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from data.doors import train_mnist, train_speller, train_vowels
from data.doors.tasks import Task
from data.doors.train_own import prepare_classifier, prepare_regressor
from data.doors.training import new_trainer
from torch_impl import adapter
from torch_impl.checkpoints.run_files import save_checkpoint

COMMON = {
    "validation_share": 0.1, "test_share": 0.2, "scale": True, "units": 30, "activation": "tanh", "epochs": 30,
    "learning_rate": 0.005, "batch_size": 16, "seed": 1,
}  # fmt: skip


def save(task: Task, folder: Path, iterations: int | None = None) -> Path:
    """Train a task and keep it as a run."""
    backend = adapter.backend("cpu")
    trainer = new_trainer(task, backend, backend.initial_weights(task.model, 1))
    iterations = iterations or task.iterations
    trainer.run(task.take(task.stream(1), iterations))
    tensors = {f"weights/{name}": array for name, array in trainer.weights().items()}
    model = {**task.model._asdict(), "cell": task.model.cell._asdict()}
    state = {"model": model, "optimizer": task.optimizer._asdict(), "step": iterations, "program": task.program}
    save_checkpoint(folder, tensors, {**state, "data": task.facts.get("data", {})})
    return folder


def write_waves(path: Path, rows: int = 120) -> Path:
    """Sequences of 6 to 14 steps of two values far from 0, whose first swings slowly or fast."""
    random = np.random.default_rng(0)
    sequences = []
    for row in range(rows):
        steps = np.arange(random.integers(6, 15))
        wave = np.sin(steps * (0.4 if row % 2 else 1.2) + random.uniform(0, 6))
        sequences.append(np.stack([100 + 20 * wave, random.normal(5, 3, len(steps))], 1))
    np.savez(path, *sequences, labels=np.array(["fast", "slow"])[np.arange(rows) % 2])
    return path


def write_tide(path: Path, rows: int = 400) -> Path:
    """A table with the columns day (text), level and flow: two sines of period 20, in units of their own."""
    time = np.arange(rows)
    level, flow = 4000 + 300 * np.sin(time * np.pi / 10), 8 + 2 * np.cos(time * np.pi / 10)
    lines = ["day,level,flow", *(f"d{t},{level[t]:.3f},{flow[t]:.5f}" for t in time)]
    path.write_text("\n".join(lines) + "\n")
    return path


def own_classifier(folder: Path) -> Path:
    options: dict[str, Any] = {**COMMON, "data": str(write_waves(folder / "waves.npz")), "test_data": None}
    return save(prepare_classifier("t", options), folder / "classifier")


def own_regressor(folder: Path) -> Path:
    cut = {"columns": ("level", "flow"), "window": 20, "horizon": 4, "stride": 1}
    options: dict[str, Any] = {**COMMON, "data": str(write_tide(folder / "tide.csv")), **cut}
    return save(prepare_regressor("t", options), folder / "regressor")


_IMAGES = {"epochs": 1, "batch_size": 50, "seed": 1, "folder": None, "validation_size": 50_000}


def digits(folder: Path) -> Path:
    return save(train_mnist.prepare("t", {**_IMAGES, "units": 40, "learning_rate": 0.003}), folder / "mnist", 300)


def speller(folder: Path) -> Path:
    return save(train_speller.prepare("t", {**_IMAGES, "units": 40, "learning_rate": 0.002}), folder / "speller", 400)


def vowels(folder: Path) -> Path:
    options = {"epochs": 10, "batch_size": 30, "units": 30, "learning_rate": 0.003, "seed": 1, "seeds": 1}
    return save(train_vowels.prepare("t", {**options, "bucketed": False}), folder / "vowels")
