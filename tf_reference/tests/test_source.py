"""One source for Python 3.7 and later, which imports what this room may import. Nothing here needs TensorFlow."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOM = Path(__file__).parents[1]
FILES = {str(path.relative_to(ROOM)): path for path in sorted(ROOM.rglob("*.py")) if "tests" not in path.parts}
# Beside the standard library: who may import what. Of unrolled it is the vocabulary.
ALLOWED = {"numpy", "tf_reference", "unrolled.networks", "unrolled.models", "unrolled.programs"}
MORE = {"tf1.py": {"tensorflow"}, "__main__.py": {"unrolled.command_line"}}


def imported(path: Path) -> set[str]:
    """The modules that a file imports; of a name imported from a package, the name too, which may be a module."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: imports are absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def is_one_of(module: str, allowed: set[str]) -> bool:
    return any(module == name or module.startswith(name + ".") for name in allowed)


@pytest.mark.parametrize("name", FILES)
def test_source_is_python_3_7(name: str) -> None:
    ast.parse(FILES[name].read_text(encoding="utf-8"), feature_version=(3, 7))


@pytest.mark.parametrize("name", FILES)
def test_only_what_this_room_may_import(name: str) -> None:
    allowed = set(sys.stdlib_module_names) | ALLOWED | MORE.get(name, set())
    beyond = [module for module in imported(FILES[name]) if not is_one_of(module, allowed)]
    assert not beyond, f"{name} imports {sorted(beyond)}"
