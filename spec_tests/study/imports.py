"""Which source files a module's numbers come from: its package, and what these import. Python 3.7 syntax."""

from __future__ import annotations

import ast
import importlib.util
import site
import sys
import sysconfig
from pathlib import Path
from typing import Callable, Iterable, Iterator

FILES = 2000  # of a backend that count
_PRODUCT = ("unrolled", "spec_tests")  # counted by name, see `work.COMPUTING`


def files(name: str) -> list[Path]:
    """A module's file, or the files of a package that its answers come from: no tests, and no command line."""
    origin, folder = place(name)
    if folder is None:
        return [origin] if origin else []
    found = sorted(path.relative_to(folder) for path in folder.rglob("*.py"))
    kept = [path for path in found if "tests" not in path.parts and not path.name.startswith(("test_", "__main__"))]
    return [folder / path for path in kept[:FILES]]


def imported(
    given: Iterable[Path],
    apart: Iterable[str] = _PRODUCT,
    files_of: Callable[[str], list[Path]] = files,
    most: int = FILES,
) -> list[Path]:
    """The files that these import, and those that these import in turn, wherever the import stands: of what is
    installed and of the standard library none, since their versions are known, nor of the packages `apart`. files_of:
    of a name that is imported. What is imported by a name that is computed is not found."""
    found: dict[Path, None] = {}
    waiting = [path for path in given if path.suffix == ".py"]
    seen = set(waiting)
    while waiting and len(found) < most:
        each = waiting.pop()
        tops = [(name, name.partition(".")[0]) for name in names(each)]
        named = [path for name, top in tops if top not in apart and not installed(top) for path in files_of(name)]
        for path in [*named, *relative(each)]:
            if path not in seen:
                seen.add(path)
                found[path] = None
                waiting.append(path)
    return list(found)


def place(name: str) -> tuple[Path | None, Path | None]:
    """(file, folder): the latter of a package."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, AttributeError, ValueError):  # of a module that was made, not found
        return None, None
    if spec is None:
        return None, None
    origin = Path(spec.origin).resolve() if spec.has_location and spec.origin else None
    places = list(spec.submodule_search_locations or ())
    return origin, Path(places[0]).resolve() if places else None


def names(path: Path) -> Iterator[str]:
    """What a file imports by its whole name."""
    for node in _nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from ("%s.%s" % (node.module, alias.name) for alias in node.names if alias.name != "*")


def relative(path: Path) -> Iterator[Path]:
    """The files of what a file imports from its own package (`from .a import b`) or from those around it."""
    for node in _nodes(path):
        if isinstance(node, ast.ImportFrom) and node.level:
            around = [path, *path.parents]
            folder = around[min(node.level, len(around) - 1)]
            for part in (node.module or "").split("."):  # "" is the folder itself
                folder = folder / part
                yield from _file(folder)
            for alias in node.names:
                yield from _file(folder / alias.name)


def _file(module: Path) -> list[Path]:
    return [path for path in (module / "__init__.py", module.with_name(module.name + ".py")) if path.is_file()]


def _nodes(path: Path) -> Iterator[ast.AST]:
    try:
        yield from ast.walk(ast.parse(path.read_bytes()))
    except (OSError, SyntaxError, ValueError):
        return


def installed(top: str) -> bool:
    """Whether a module or package is built in, or lies where Python and its packages are installed."""
    if top in sys.builtin_module_names:
        return True
    origin, folder = place(top)
    lies = folder or origin
    if lies is None:
        return True
    homes = [*site.getsitepackages(), site.getusersitepackages()] if hasattr(site, "getsitepackages") else []
    homes += [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    return any(Path(home).resolve() in lies.parents or Path(home).resolve() == lies.parent for home in homes if home)
