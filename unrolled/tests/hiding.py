"""A Python that lacks something: python -m unrolled.tests.hiding MODULES NAMES [-m MODULE | FILE] ARGUMENTS.

MODULES: comma-separated top-level modules that cannot be imported. NAMES: module.name,
likewise, taken away; "-" for none.
"""

from __future__ import annotations

import importlib
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any, Sequence

ROOT = Path(__file__).resolve().parents[2]


class Finder:
    """A finder of modules, for which the hidden ones are not there."""

    def __init__(self, hidden: Sequence[str], finder: Any) -> None:
        self._hidden, self._finder = set(hidden), finder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._finder, name)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        return None if name.partition(".")[0] in self._hidden else self._finder.find_spec(name, path, target)


def without(folder: Path, modules: str, names: str, *command: str) -> subprocess.CompletedProcess[str]:
    """Run -m MODULE or a file, with arguments, in a Python that lacks these."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    start = [sys.executable, "-m", __name__, modules, names, *command]
    return subprocess.run(start, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def main() -> None:
    modules, names, *sys.argv = sys.argv[1:]
    for name in names.split(",") if names != "-" else ():
        module, _, attribute = name.rpartition(".")
        delattr(importlib.import_module(module), attribute)
    finders: list[Any] = [Finder(modules.split(","), finder) for finder in sys.meta_path]
    sys.meta_path[:] = finders
    for name in modules.split(","):
        sys.modules.pop(name, None)
    if sys.argv[0] == "-m":
        del sys.argv[0]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
