"""What differs among the backends of a matrix, and why it matters to someone who ports: what each is known to fail, and
what its framework does otherwise, joined with DIFFERENCES.md by the names of the tests."""

from __future__ import annotations

import html
import os
import re
from pathlib import Path
from typing import Any, Iterator, NamedTuple

from spec_tests.differences import PAGE, Difference, differences

FAILS, MENDED = "fails", "does otherwise"


class Told(NamedTuple):
    """What is told of some backends, in one sentence; links: the numbers of DIFFERENCES.md that are about it."""

    backends: list[str]
    kind: str  # FAILS or MENDED
    reason: str
    links: list[Difference]


class Group(NamedTuple):
    """What is told of one thing that all frameworks have to decide. why: Markdown; empty where the page has nothing."""

    title: str
    why: str
    told: list[Told]


def differing(results: dict[str, Any]) -> list[Group]:
    """By the number of DIFFERENCES.md, with what fails first."""
    page = differences()
    frameworks = {name: each["facts"].get("framework", "") for name, each in results["backends"].items()}
    groups: dict[str, Group] = {}
    for kind, test, reason, name in _all(results):
        about = [each for each in page if test in each.tests]
        own = [each for each in about if _is_of(each, frameworks[name])]
        law = [each for each in about if not any(_is_of(each, other) for other in frameworks.values())]
        law = [each for each in law if not _is_a_frameworks(each)]
        first = (law + own)[:1]
        title = first[0].title if first else test[len("test_") :].replace("_", " ")
        group = groups.setdefault(title, Group(title, first[0].prose if first else "", []))
        links = list(dict.fromkeys(law[:1] + own))
        same = [each for each in group.told if (each.kind, each.reason) == (kind, reason)]
        if not same:
            group.told.append(Told([name], kind, reason, links))
        elif name not in same[0].backends:
            same[0].backends.append(name)
    return sorted(groups.values(), key=lambda group: all(each.kind == MENDED for each in group.told))


def _all(results: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """(kind, test, reason, backend)."""
    seen = dict.fromkeys((one["test"], one["reason"], one["backend"]) for one in results["known_failures"])
    yield from ((FAILS, *each) for each in seen)
    for name, backend in results["backends"].items():
        yield from ((MENDED, test, reason, name) for test, reason in backend["differences"].items())


# Titles of the page that begin with one of these are about that framework alone.
ALONE = ("PyTorch", "Flax", "Keras 3", "ONNX Runtime")


def _is_a_frameworks(difference: Difference) -> bool:
    return difference.framework in ALONE


def _is_of(difference: Difference, framework: str) -> bool:
    return bool(framework) and _is_a_frameworks(difference) and difference.framework.startswith(framework)


def link(difference: Difference, folder: Path) -> str:
    """To its heading, from a page in that folder."""
    return "%s#%s" % (Path(os.path.relpath(PAGE, folder.resolve())).as_posix(), difference.anchor)


def as_html(markdown: str) -> str:
    """Text with `code` in it, escaped."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(markdown, quote=False))
