"""Broken backends: the oracle with one fault planted in each, to test the suite with.

A fault is an edit of the oracle's own source, so it is one line away from right and everything that rests on that line
is wrong with it. `--backend spec_tests.oracle.faults:bias_dropped` puts one under the suite; a test of the suite
asserts that each is caught by the tests named for it here, and the right oracle by none. Python 3.7 syntax.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import sys
from pathlib import Path
from typing import Any, Callable

from spec_tests.oracle.faults.around import AROUND
from spec_tests.oracle.faults.fault import Fault
from spec_tests.oracle.faults.more_cells import MORE_CELLS
from spec_tests.oracle.faults.networks import NETWORKS
from spec_tests.oracle.faults.plain import PLAIN

FOLDER = Path(__file__).resolve().parents[1]
PACKAGE = __name__.rpartition(".")[0]

FAULTS: dict[str, Fault] = {**PLAIN, **NETWORKS, **MORE_CELLS, **AROUND}


class _Edited(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Imports the oracle's pages with the fault's edits; found: the texts that were there to be edited."""

    def __init__(self, edits: dict[str, str]) -> None:
        self.found: set[str] = set()
        self._edits = edits

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name != PACKAGE and not name.startswith(PACKAGE + "."):
            return None
        return importlib.util.spec_from_loader(name, self, origin=name + ", edited")

    def is_package(self, name: str) -> bool:
        return self._place(name).is_dir()

    def get_source(self, name: str) -> str:
        place = self._place(name)
        page = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        source = page.read_text(encoding="utf-8")
        for text, instead in self._edits.items():
            self.found.update({text} if text in source else ())
            source = source.replace(text, instead)
        return source

    @staticmethod
    def _place(name: str) -> Path:
        return FOLDER.joinpath(*name[len(PACKAGE) + 1 :].split("."))


def broken(name: str) -> Any:
    """The oracle with that fault, as a backend of that name. Raises ValueError when an edit has nothing to replace."""
    fault = FAULTS[name]
    finder, kept = _Edited(fault.edits), {}
    parent = sys.modules[PACKAGE.rpartition(".")[0]]
    right = sys.modules[PACKAGE]
    for module in [each for each in sys.modules if each == PACKAGE or each.startswith(PACKAGE + ".")]:
        kept[module] = sys.modules.pop(module)
    sys.meta_path.insert(0, finder)
    try:
        backend = importlib.import_module(PACKAGE + ".backend").OracleBackend()
    finally:
        sys.meta_path.remove(finder)
        for module in [each for each in sys.modules if each == PACKAGE or each.startswith(PACKAGE + ".")]:
            del sys.modules[module]
        sys.modules.update(kept)
        setattr(parent, PACKAGE.rpartition(".")[2], right)
    if len(finder.found) < len(fault.edits):
        missing = sorted(set(fault.edits) - finder.found)[0]
        raise ValueError("fault %s: the oracle no longer contains %r" % (name, missing))
    backend.name = name
    return backend


def __getattr__(name: str) -> Callable[[], Any]:
    """Each fault's name is a factory, for --backend."""
    if name not in FAULTS:
        raise AttributeError(name)
    return lambda: broken(name)
