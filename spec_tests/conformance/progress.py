"""How far `conform` is, on standard error: a bar in a terminal, elsewhere a line now and then."""

from __future__ import annotations

import time
from typing import Any

import click
from tqdm import tqdm

from spec_tests.conformance.apart import Shown, Step
from unrolled.showing import shown, shown_lines

LINE_S = 30.0  # between two lines, where there is no terminal


class Progress:
    """A context, within which `opened` says what a backend is, and `step` how far it is."""

    def __init__(self) -> None:
        self._bar: Any = tqdm(unit="test", leave=False, disable=None)
        self._told = time.monotonic()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def opened(self, backend: Shown) -> None:
        with tqdm.external_write_mode():
            kept = "\nkept from %s" % backend.started if backend.kept else ""
            click.echo(shown_lines("\n".join(backend.description) + kept) + "\n")

    def step(self, step: Step) -> None:
        silent = ", silent for %.0f s" % step.waited_s if step.waited_s else ""
        now = "%s%s" % (shown(step.test), silent)
        if not self._bar.disable:
            self._bar.total, self._bar.n = step.total or None, step.done
            self._bar.set_description_str(shown(step.backend), refresh=False)
            self._bar.set_postfix_str(now)
        elif time.monotonic() - self._told >= LINE_S:
            self._told = time.monotonic()
            line = "%s: test %d of %d, %s" % (shown(step.backend), step.done, step.total, now)
            click.echo(line if step.total else "%s: being loaded%s" % (shown(step.backend), silent), err=True)
