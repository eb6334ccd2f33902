"""The folder of a run in training: whether it may be used, config.json, log.csv, TensorBoard's events, checkpoints."""

from __future__ import annotations

import contextlib
import csv
import importlib.metadata
import io
import json
import math
import platform
import sys
import time
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from torch_impl.checkpoints.default import LAST
from torch_impl.checkpoints.errors import CheckpointError, naming
from torch_impl.checkpoints.files import write_atomically
from torch_impl.checkpoints.run_files import Checkpoint, checkpoint_names, load_checkpoint, save_checkpoint
from torch_impl.runs.saved import CONFIG, planned_step
from unrolled.writing import open_own

__all__ = ["RunFolder", "check_free", "check_newest", "versions"]

LOG, EVENTS = "log.csv", "tensorboard"
SCHEMA = "unrolled.run/1"
# What is saved after a round waits until so many times its cost has passed since it was saved before: at most 2 %.
_PATIENCE = 50
# Within a round, which may take hours, a checkpoint is saved after so many seconds.
_AT_MOST = 60.0


def check_free(folder: Path) -> None:
    """Raise CheckpointError when the folder holds a run of any kind: a new one would replace it at its first write."""
    names = checkpoint_names(folder)
    if not names:
        return
    hint = "name another folder with --output, or replace it with --force"
    if LAST not in names:
        raise CheckpointError(f"{folder}: holds checkpoints ({', '.join(names)}); {hint}")
    run = load_checkpoint(folder, LAST).state.get("run")
    if not isinstance(run, dict):
        raise CheckpointError(f"{folder}: holds a run that `train` did not make; {hint}")
    if run.get("finished") is not True:
        raise CheckpointError(f"{folder}: holds an unfinished run; go on with it by --resume {folder}; or {hint}")
    raise CheckpointError(f"{folder}: holds a finished run; {hint}")


def check_newest(folder: Path, checkpoint: Checkpoint, where: str) -> None:
    """Raise CheckpointError unless the checkpoint of a training is as far as `last`, which going on would replace."""
    try:
        last = load_checkpoint(folder, LAST)
    except CheckpointError:  # it may be damaged, and this one a way out
        return
    here, newest = (_place(each.state) for each in (checkpoint, last))
    if newest > here:
        raise CheckpointError(
            f"{where}: is at step {here[1]}, and {LAST!r} there at step {newest[1]} of training {newest[0] + 1}, which "
            "going on from here would replace; add --force to do so, or resume a copy of the folder"
        )


def _place(state: Mapping[str, Any]) -> tuple[int, int]:
    """Training and step, as far as they are told."""
    run, step = state.get("run"), planned_step(state)
    training = run.get("training") if isinstance(run, dict) else None
    return training if isinstance(training, int) else 0, step if isinstance(step, int) else 0


def versions() -> dict[str, str]:
    """What the run was made with."""
    found = {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        found["unrolled"] = importlib.metadata.version("unrolled")
    return found


class RunFolder:
    """Where a run's checkpoints and log go. `due` says when a round's checkpoint is worth its time."""

    def __init__(self, path: Path, tensorboard: bool = False) -> None:
        """tensorboard: whether to write events too; ImportError where its package is missing."""
        self.path = path
        self._columns: list[str] = []
        self._log: Any = None
        self._events: Any = None
        self._tensorboard = tensorboard
        self._cost, self._saved_at = [0.0, 0.0], -math.inf
        if tensorboard:
            # TensorBoard's own switch to leave TensorFlow out, whose import, where it is installed, takes seconds.
            sys.modules.setdefault("tensorboard.compat.notf", types.ModuleType("notf"))
            import torch.utils.tensorboard  # noqa: F401 (found missing here, before any work)

    def write_config(self, config: Mapping[str, Any]) -> None:
        """config.json: how the run is made."""
        text = json.dumps({"schema": SCHEMA, **config, "versions": versions()}, indent=1, allow_nan=False)
        write_atomically(self.path / CONFIG, text.encode() + b"\n")

    def forget_others(self) -> None:
        """Remove the checkpoints of a run that was here before, all but the one just saved as `last`, and what
        `evaluate` drew of it."""
        with naming(self.path, "written"):
            (self.path / "evaluation.png").unlink(missing_ok=True)
        for name in checkpoint_names(self.path):
            if name != LAST:
                for path in [
                    self.path / f"{name}.json",
                    *self.path.glob(f"{name}-" + "[0-9a-f]" * 16 + ".safetensors"),
                ]:
                    with naming(path, "removed"):
                        path.unlink(missing_ok=True)

    def save(self, tensors: Mapping[str, np.ndarray], state: Mapping[str, Any], name: str = LAST) -> None:
        """Save a checkpoint; CheckpointError when that fails, and the one before is then still whole."""
        save_checkpoint(self.path, tensors, state, name)
        if name == LAST:
            self._saved_at = time.perf_counter()

    def due(self, both: bool) -> bool:
        """Whether enough time has passed since `last` was saved; so it has when saving never took time yet. both:
        whether `best` is to be saved with it."""
        return time.perf_counter() - self._saved_at >= _PATIENCE * self._cost[both]

    @contextlib.contextmanager
    def saving(self, both: bool) -> Iterator[None]:
        """Around all that is saved after a round: how long it takes decides when it is `due` again."""
        start = time.perf_counter()
        yield
        self._cost[both] = min(self._cost[both] or math.inf, time.perf_counter() - start)

    def overdue(self) -> bool:
        """Whether it is so long since `last` was saved that the end of the round should not be waited for."""
        return time.perf_counter() - self._saved_at >= _AT_MOST

    def open_log(self, rows: list[dict[str, Any]], step: int) -> None:
        """Begin log.csv with the rows known so far, and events after `step`; what a lost part of a run wrote goes."""
        self._columns = []
        path = self.path / LOG
        with naming(path, "written"):
            if rows:
                self._columns = list(rows[0])
            write_atomically(path, self._lines(rows, True).encode())
            self._log = open_own(path, "a", encoding="utf-8", newline="")
        if self._tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self._events = SummaryWriter(str(self.path / EVENTS), purge_step=step + 1)

    def log(self, row: dict[str, Any], step: int) -> None:
        """A round's figures: one line of log.csv; a scalar for each in the events, at the run's `step`."""
        first = not self._columns
        self._columns = self._columns or list(row)
        with naming(self.path / LOG, "written"):
            self._log.write(self._lines([row], first))
            self._log.flush()
        if self._events is not None:
            for name, value in row.items():
                if isinstance(value, (int, float)) and name not in ("seed", "epoch", "iteration", "step"):
                    self._events.add_scalar(name, value, step)

    def close(self) -> None:
        """Close log and events."""
        for part in (self._log, self._events):
            if part is not None:
                with contextlib.suppress(OSError):
                    part.close()

    def _lines(self, rows: list[dict[str, Any]], header: bool) -> str:
        stream = io.StringIO()
        writer = csv.DictWriter(stream, self._columns, extrasaction="ignore", lineterminator="\n")
        if header and self._columns:
            writer.writeheader()
        writer.writerows(rows)
        return stream.getvalue()
