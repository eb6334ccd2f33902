"""Why tests failed: failures that have the same cause, told once. Python 3.7 syntax."""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple, Sequence

__all__ = ["Cause", "Failure", "causes"]

# What float64 results are off by where some of the arithmetic was done in float32, relative.
FLOAT32 = 1e-5
_NUMBERS = re.compile(r"[-+]?\d[\d.]*(e[-+]?\d+)?|\binf\b|\bnan\b")


class Failure(NamedTuple):
    """test: its function's name. reason: in its own words. differences: what was compared, see `results`."""

    test: str
    reason: str
    differences: Sequence[dict[str, Any]]


class Cause(NamedTuple):
    """A sentence, and the failures that it stands for."""

    sentence: str
    failures: list[Failure]

    def tests(self) -> list[str]:
        """The names of their tests."""
        return list(dict.fromkeys(failure.test for failure in self.failures))

    def __str__(self) -> str:
        tests = self.tests()
        rest = " and %d more tests" % (len(tests) - 3) if len(tests) > 3 else ""
        count = "1 test" if len(self.failures) == 1 else "%d tests" % len(self.failures)
        return "%s: %s\n    in %s%s" % (count, self.sentence, ", ".join(tests[:3]), rest)


def causes(failures: Sequence[Failure]) -> list[Cause]:
    """The failures by cause, the most frequent first: those that say the same but for numbers are one."""
    alike: dict[str, list[Failure]] = {}
    for failure in failures:
        alike.setdefault("" if _only_float32(failure) else _NUMBERS.sub("#", failure.reason), []).append(failure)
    found = [Cause(_sentence(key, same), same) for key, same in alike.items()]
    return sorted(found, key=lambda cause: -len(cause.failures))


def _only_float32(failure: Failure) -> bool:
    """Whether all that was too far off was float64, and no farther than float32 explains."""
    wrong = [each for each in failure.differences if not each["relative"] <= each["limit"]]
    return bool(wrong) and all(each["dtype"] == "float64" and each["relative"] < FLOAT32 for each in wrong)


def _sentence(key: str, same: list[Failure]) -> str:
    if key:
        return same[0].reason
    errors = [each["relative"] for failure in same for each in failure.differences if each["dtype"] == "float64"]
    largest = max(filter(math.isfinite, errors))
    return (
        "float64 results are only as accurate as float32, off by up to %.1e of the largest value: look for arithmetic "
        "or a constant in float32, or do not declare float64" % largest
    )
