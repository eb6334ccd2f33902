"""DIFFERENCES.md as plain data: what each number says, and the tests that show it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).parent / "DIFFERENCES.md"


class Difference(NamedTuple):
    """number and title, as the page has them; prose: its paragraphs, in Markdown; tests: functions of the suite and of
    the rooms; anchor: of its heading."""

    number: int
    title: str
    prose: str
    tests: tuple[str, ...]
    anchor: str

    @property
    def framework(self) -> str:
        """What it is about, of "ONNX Runtime: empty rows"; empty where it is about all."""
        return self.title.partition(": ")[0] if ": " in self.title else ""


def differences() -> list[Difference]:
    """All of the page, in its order."""
    text = PAGE.read_text("utf-8")
    parts = re.split(r"^## (\d+)\. (.+)\n", text, flags=re.M)[1:]
    return [_read(int(parts[k]), parts[k + 1].strip(), parts[k + 2]) for k in range(0, len(parts), 3)]


def _read(number: int, title: str, body: str) -> Difference:
    prose = re.split(r"^(?:```|- \[`test_)", body, flags=re.M)[0]
    anchor = re.sub(r"[^\w\- ]", "", ("%d. %s" % (number, title)).lower()).replace(" ", "-")
    return Difference(number, title, " ".join(prose.split()), tuple(re.findall(r"\[`(test_\w+)`\]", body)), anchor)
