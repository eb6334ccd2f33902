"""What backends showed, kept in a folder: a file for each, which answers for as long as nothing that it depends on has
changed, so that a matrix of many frameworks is made in pieces, and a new row costs that row."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Sequence

from spec_tests.backends import loading
from spec_tests.conformance.apart import Shown, Verdict
from spec_tests.study import imports, work
from unrolled.datasets import recorded
from unrolled.pytest_plugin import SUITE
from unrolled.reading import parse_json, read_whole
from unrolled.writing import write_atomically

SCHEMA = "unrolled.shown/1"
MOST = 1 << 26  # bytes of one file
RUNNING = "spec_tests.conformance.one"  # what runs a backend's tests, and imports all that they are read by
PARTS = ("name", "started", "facts", "capabilities", "description", "differences", "titles")
# Names and versions of what a Python has, in any Python 3; the contents of a file that is edited there are not seen.
INSTALLED = (
    "import os, sys; print(sys.version); "
    "print(sorted({e for p in sys.path if os.path.isdir(p) for e in os.listdir(p) if e.endswith('-info')}))"
)


class Kept:
    """A folder, or none: then nothing is kept, and nothing found."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def place(self, name: str, device: str, files: Sequence[Path], expression: str) -> Path | None:
        """Where the answer to this question is kept; None where what it depends on cannot be told."""
        beside = [path for path in sorted(SUITE.glob("*.py")) if not path.name.startswith("test_")]
        own = None if self.folder is None else _sources([loading.module_of(name), RUNNING], [*files, *beside])
        if own is None:
            return None
        settings = {each: os.environ[each] for each in work.SETTINGS if each in os.environ}
        asked = [SCHEMA, name, device, [path.name for path in files], expression, settings, _installed(name)]
        digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode("utf-8"))
        for path in [*own, *recorded.files()]:
            digest.update(("\n%s\n" % path.name).encode("utf-8") + read_whole(path, MOST))
        plain = "".join(letter if letter.isalnum() else "-" for letter in name.rpartition("/")[2] or name)
        return Path(str(self.folder), "%s-%s.json" % (plain[-40:], digest.hexdigest()[:16]))

    def load(self, place: Path | None) -> Shown | None:
        """What is kept there; None where nothing is, or it is damaged: then the tests are run again."""
        if place is None:
            return None
        try:
            found = parse_json(read_whole(place, MOST))
            if found["schema"] != SCHEMA:
                return None
            shown = Shown(found["asked"])
            for part in PARTS:
                setattr(shown, part, found[part])
            shown.kept = True
            shown.capabilities = frozenset(shown.capabilities)
            shown.verdicts = [Verdict(**each) for each in found["verdicts"]]
        except (OSError, LookupError, TypeError, ValueError):
            return None
        return shown

    def save(self, place: Path | None, shown: Shown) -> None:
        """Keep what a backend showed, of one that came to its end."""
        if place is None or shown.lost or not shown.verdicts:
            return
        parts: dict[str, Any] = {part: getattr(shown, part) for part in PARTS}
        parts["capabilities"] = sorted(shown.capabilities)
        parts.update(schema=SCHEMA, asked=shown.asked, verdicts=[each._asdict() for each in shown.verdicts])
        write_atomically(place, json.dumps(parts).encode("utf-8"))


def _installed(name: str) -> str:
    """What the Python of a backend has; empty for one that cannot be asked, which will be said when it is run."""
    python = name.partition("@")[2] or sys.executable
    try:
        return subprocess.run([python, "-c", INSTALLED], capture_output=True, text=True, timeout=60, check=False).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def _sources(modules: Sequence[str], files: Sequence[Path]) -> list[Path] | None:
    """All that these modules and files import, wherever the import stands, and that is not installed; None where a
    module is not found. What is imported by a name that is computed is not found either."""
    asked = [_files_of(module) for module in modules]
    if not all(asked):
        return None
    given = dict.fromkeys([*files, *(path for each in asked for path in each)])
    found = [*given, *imports.imported(given, (), _files_of, sys.maxsize)]
    return sorted(found, key=lambda path: path.parts[-3:])


def _files_of(name: str) -> list[Path]:
    """A module's file, and the __init__ of each package that it is in, without importing any; none where it is not
    found, as the name of something within a module is not."""
    top, *rest = name.split(".")
    origin, folder = imports.place(top)
    found = [origin]
    for part in rest:
        inner = None if folder is None else folder / part
        if inner is None:
            return []
        folder = inner if inner.is_dir() else None
        found.append(inner / "__init__.py" if folder else inner.with_suffix(".py"))
    return [path for path in found if path and path.suffix == ".py" and path.is_file()] if _is(found[-1]) else []


def _is(path: Path | None) -> bool:
    return path is not None and path.is_file()
