"""One source for Python 3.7 and later, which imports what this room may import. Nothing here needs TensorFlow."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

FILES = sorted(Path(__file__).parents[1].glob("*.py"))
# Beside the standard library: who may import what.
ALLOWED = {"numpy", "tf_reference"}
MORE = {"tf1.py": {"tensorflow"}, "__main__.py": {"data"}}


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: imports are absolute"
            found.add(str(node.module).split(".")[0])
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_source_is_python_3_7(path: Path) -> None:
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 7))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_only_what_this_room_may_import(path: Path) -> None:
    beyond = imported(path) - set(sys.stdlib_module_names) - ALLOWED - MORE.get(path.name, set())
    assert not beyond, f"{path.name} imports {sorted(beyond)}"
