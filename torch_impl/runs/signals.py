"""SIGINT and SIGTERM while a run is trained: the step in progress is finished and saved; a second one ends at once."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Any

__all__ = ["StopSignals", "Stopped"]


class Stopped(KeyboardInterrupt):
    """The training was asked to stop, and did so after saving. status: of the process, as shells report a signal."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.status = 128 + number


class StopSignals:
    """Within the block, `number` becomes the first signal that came; None until then.

    insistent: whether the next one ends the process at once. A launcher of several processes repeats what the
    terminal has sent to each of them already, so there it does not. Until `waits` is set, the first one raises Stopped
    where it comes: there is no step yet that would have to be finished.
    """

    NUMBERS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self, insistent: bool = True) -> None:
        self.number: int | None = None
        self.waits = False
        self._insistent = insistent
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():  # Python delivers signals nowhere else
            for number in self.NUMBERS:
                self._before[number] = signal.signal(number, self._received)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _received(self, number: int, _: FrameType | None) -> None:
        if self.number is not None and self._insistent:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self.number = self.number or number
        if not self.waits:
            raise Stopped(self.number)
