"""Small trained runs, and files of a user's own, for the tests of what uses a run: made by the command line itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from click.testing import CliRunner

from torch_impl.__main__ import make_group

_SHORT = ("--epochs", 30, "--batch-size", 16, "--units", 30, "--learning-rate", 0.005, "--test-share", 0.2)


def train(folder: Path, program: str, *options: object) -> Path:
    """Train into folder/program."""
    words = ["train", program, "--output", folder / program, *options]
    result = CliRunner().invoke(make_group(), [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return folder / program


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


def classifier(folder: Path) -> Path:
    return train(folder, "classifier", "--data", write_waves(folder / "waves.npz"), *_SHORT)


def regressor(folder: Path) -> Path:
    cut = ("--column", "level", "--column", "flow", "--window", 20, "--horizon", 4)
    return train(folder, "regressor", "--data", write_tide(folder / "tide.csv"), *cut, *_SHORT)


def images(folder: Path, program: str = "mnist") -> Path:
    """Trained on 5,000 images."""
    small = ("--validation-size", 50_000, "--batch-size", 50, "--units", 40, "--learning-rate", 0.003)
    return train(folder, program, "--epochs", 3, *small)
