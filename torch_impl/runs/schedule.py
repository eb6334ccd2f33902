"""The learning rate by round: constant, half a cosine down to zero, or a factor every so many rounds."""

from __future__ import annotations

import math
from typing import NamedTuple

__all__ = ["CONSTANT", "Schedule", "parse_schedule"]


class Schedule(NamedTuple):
    """kind: "constant", "cosine" or "step". every (rounds) and factor: of "step"."""

    kind: str
    every: int = 1
    factor: float = 1.0

    def rate(self, base: float, number: int, rounds: int) -> float:
        """The learning rate of round `number`, from 0, of so many `rounds`, when it is `base` at first."""
        if self.kind == "cosine":
            return base * 0.5 * (1.0 + math.cos(math.pi * number / rounds))
        return base * self.factor ** (number // self.every)


CONSTANT = Schedule("constant")


def parse_schedule(text: str) -> Schedule:
    """From "constant", "cosine" or "step:EVERY:FACTOR"; raises ValueError, one sentence, for anything else."""
    kind, *values = text.split(":")
    if kind in ("constant", "cosine") and not values:
        return Schedule(kind)
    try:
        if kind == "step" and len(values) == 2:
            schedule = Schedule("step", int(values[0]), float(values[1]))
            if schedule.every >= 1 and 0.0 < schedule.factor <= 1.0:
                return schedule
    except ValueError:
        pass
    raise ValueError(
        f"{text!r} is no schedule; expected constant, cosine, or step:EVERY:FACTOR with EVERY rounds of at least 1 and "
        "a FACTOR above 0 and up to 1, such as step:10:0.5"
    )
