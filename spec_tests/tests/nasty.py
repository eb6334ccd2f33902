"""A backend that does all that a backend must not: each call of `in_top_k` something else, until it is right."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from spec_tests.oracle.backend import OracleBackend

DOES = ("hangs", "crashes", "exits", "prints", "lists", "raises", "writes")  # at the first call, the second, ...


class Nasty(OracleBackend):
    name = "nasty"
    capabilities = frozenset(["in_top_k", "float32"])

    def in_top_k(self, logits: np.ndarray, targets: np.ndarray, k: int = 1) -> Any:
        found, call = super().in_top_k(logits, targets, k), self._call()
        return getattr(self, "do_" + DOES[call])(found, targets) if call < len(DOES) else found

    def _call(self) -> int:
        """The number of this call, from 0; kept in a file, since the process ends with some of them."""
        with Path("%d.calls" % os.getppid()).open("ab") as calls:
            calls.write(b".")
            return calls.tell() - 1

    def do_hangs(self, found: np.ndarray, targets: np.ndarray) -> None:
        time.sleep(3600)

    def do_crashes(self, found: np.ndarray, targets: np.ndarray) -> None:
        os.abort()

    def do_exits(self, found: np.ndarray, targets: np.ndarray) -> None:
        print("good bye", flush=True)
        os._exit(3)

    def do_prints(self, found: np.ndarray, targets: np.ndarray) -> np.ndarray:
        print("anything at all \x1b[2J")
        os.write(1, b"UNR2 and bytes \xff\n")
        return found

    def do_lists(self, found: np.ndarray, targets: np.ndarray) -> list[bool]:
        return list(found)

    def do_raises(self, found: np.ndarray, targets: np.ndarray) -> None:
        raise RuntimeError("half a character: \ud800, and an escape: \x1b[2J")

    def do_writes(self, found: np.ndarray, targets: np.ndarray) -> np.ndarray:
        targets += 1
        return found


def dies_at_once() -> None:
    os.abort()
