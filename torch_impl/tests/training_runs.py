"""What the tests of training runs share: small data, the command line in this process, what must be the same bits."""

from __future__ import annotations

import json
import os
import signal
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from torch_impl.__main__ import make_group
from torch_impl.checkpoints.run_files import load_checkpoint
from torch_impl.runs.backend import RunTrainer

SERIES = ("series", "--units", "5", "--iterations", "250")
VOWELS = ("vowels", "--units", "4", "--epochs", "3", "--seeds", "2")


def call(*arguments: Any) -> Result:
    """`python -m torch_impl train ARGUMENTS` in this process."""
    return CliRunner().invoke(make_group(), ["train", *map(str, arguments)])


def trained(*arguments: Any, code: int = 0) -> str:
    """The same, of which the exit status is known; its output."""
    done = call(*arguments)
    assert done.exit_code == code, (done.output, done.exception)
    return done.output


def images(folder: Path) -> Path:
    """A folder like MNIST: 46 training and 9 test images of 4x3 pixels, in 3 classes."""
    folder.mkdir()
    random = np.random.RandomState(0)
    for prefix, count in (("train", 46), ("t10k", 9)):
        labels = np.arange(count) % 3
        pixels = random.randint(0, 200, (count, 4, 3)) + 25 * labels[:, None, None]
        for name, array in (("images-idx3", pixels), ("labels-idx1", labels)):
            head = struct.pack(f">{1 + array.ndim}I", 0x0800 + array.ndim, *array.shape)
            (folder / f"{prefix}-{name}-ubyte").write_bytes(head + array.astype(np.uint8).tobytes())
    return folder


def mnist(folder: Path) -> tuple[str, ...]:
    """Options for those images: 13 batches an epoch, told of after 10 and after all."""
    small = ("--validation-size", "6", "--batch-size", "3", "--units", "7", "--learning-rate", "0.01")
    return ("mnist", "--data", str(folder), *small)


def timeless(value: Any) -> Any:
    """Plain values without what depends on the clock."""
    if isinstance(value, dict):
        return {key: timeless(one) for key, one in value.items() if "seconds" not in key}
    return [timeless(one) for one in value] if isinstance(value, list) else value


def results(folder: Path) -> dict[str, Any]:
    """results.json, times aside."""
    return timeless(json.loads((folder / "results.json").read_text()))


def log(folder: Path) -> list[str]:
    """log.csv's rows, times (the last two columns) aside."""
    return [line.rsplit(",", 2)[0] for line in (folder / "log.csv").read_text().splitlines()]


def assert_same_bits(one: Path, other: Path, name: str = "last") -> None:
    """Weights, slots, losses, progress, results and log of two runs."""
    first, second = load_checkpoint(one, name), load_checkpoint(other, name)
    assert sorted(first.tensors) == sorted(second.tensors)
    for key, array in first.tensors.items():
        assert array.tobytes() == second.tensors[key].tobytes(), key
    assert timeless(first.state) == timeless(second.state)
    assert results(one) == results(other)
    assert log(one) == log(other)


def stop_at(patch: pytest.MonkeyPatch, count: int, number: int = signal.SIGTERM) -> None:
    """Send a signal to this process at that call of a run's trainer, counted from 1 on, while `patch` holds."""
    calls = iter(range(1, 1_000_000))
    whole = RunTrainer.run

    def run(self: RunTrainer, batches: np.ndarray) -> np.ndarray:
        if next(calls) == count:
            os.kill(os.getpid(), number)
        return whole(self, batches)

    patch.setattr(RunTrainer, "run", run)
