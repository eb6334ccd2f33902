"""What a planted fault is. Python 3.7 syntax."""

from __future__ import annotations

from typing import NamedTuple


class Fault(NamedTuple):
    """A fault in one sentence, the tests named for it, and the edits that plant it: text of the oracle -> instead."""

    sentence: str
    tests: tuple[str, ...]
    edits: dict[str, str]
