"""Backends that hang, crash, print, return nonsense or change their arguments, each at one call of `in_top_k`."""

from __future__ import annotations

import functools
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from spec_tests.oracle.backend import OracleBackend


class Nasty(OracleBackend):
    capabilities = frozenset(["in_top_k", "float32"])

    def __init__(self, does: str) -> None:
        super().__init__()
        self.name = does
        self.calls = 0

    def in_top_k(self, logits: np.ndarray, targets: np.ndarray, k: int = 1) -> Any:
        found = super().in_top_k(logits, targets, k)
        done = Path(self.name + ".done")  # for hangs and crashes: in the process that comes after it, all is well
        if self.name == "answers":
            print("anything at all", flush=True)
            self.calls += 1
            if self.calls % 2:
                raise RuntimeError("half a character: \ud800")
            return found.tolist()
        elif self.name == "writes":
            targets += 1
        elif self.name == "hangs" and not done.exists():
            done.touch()
            time.sleep(3600)
        elif self.name == "crashes" and not done.exists():
            done.touch()
            os.abort()
        return found


hangs, crashes, answers, writes = (functools.partial(Nasty, name) for name in ("hangs", "crashes", "answers", "writes"))
