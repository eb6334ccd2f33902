"""The progress of a study on standard error: a line that is redrawn on a terminal, else a line per piece."""

from __future__ import annotations

import sys
import threading
import time
from typing import Any, Mapping, Sequence

from tqdm import tqdm


class Progress:
    """Pieces done, running, and time left. Called from several threads.

    The time left follows from how long the pieces so far took, against what was expected of them.
    """

    def __init__(self, stream: Any = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._lock = threading.Lock()
        self._bar: Any = None
        self._weights: dict[str, float] = {}
        self._running: list[str] = []
        self._done, self._doing, self._start = 0, "", 0.0
        self._done_weight = 0.0

    def begin(self, weights: Mapping[str, float], kept: Sequence[str]) -> None:
        self._weights = {title: weight for title, weight in weights.items() if title not in kept}
        self._start = time.monotonic()
        if kept:
            told = (len(kept), len(weights))
            self._stream.write("%d of %d pieces are here from an earlier run and are kept\n" % told)
        if self._stream.isatty():
            self._bar = tqdm(
                total=len(weights),
                initial=len(kept),
                file=self._stream,
                leave=False,
                dynamic_ncols=True,
                bar_format="{n_fmt}/{total_fmt} pieces |{bar:20}| {desc}",
            )

    def started(self, title: str) -> None:
        with self._lock:
            self._running.append(title)
            self._show()

    def tell(self, text: str) -> None:
        with self._lock:
            self._doing = text
            self._show()

    def finished(self, title: str, reason: str = "") -> None:
        with self._lock:
            self._running.remove(title)
            self._done += 1
            self._done_weight += self._weights[title]
            self._doing = ""
            if reason:
                self._say("failed: %s" % title)  # the reason is told at the end, once
            elif self._bar is None:
                self._say("%d/%d %s; %s" % (self._done, len(self._weights), title, self.left()))
            if self._bar is not None:
                self._bar.update(1)
            self._show()

    def left(self) -> str:
        """The time left, in words."""
        left = sum(self._weights.values()) - self._done_weight
        if not self._done_weight or left <= 0:
            return "no time left" if left <= 0 else "time left unknown"
        seconds = left * (time.monotonic() - self._start) / self._done_weight
        return "about %.0f s left" % seconds if seconds < 90 else "about %.0f min left" % (seconds / 60)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()

    def _say(self, line: str) -> None:
        if self._bar is not None:
            self._bar.write(line, file=self._stream)
        else:
            self._stream.write(line + "\n")
            self._stream.flush()

    def _show(self) -> None:
        if self._bar is not None:
            running = "; ".join(self._running) + (": " + self._doing if self._doing else "")
            self._bar.set_description_str("%s; running %s" % (self.left(), running) if running else self.left())
