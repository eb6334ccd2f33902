"""What every network answers, and what its answers are made of."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Dict, NamedTuple, Sequence

try:
    from typing import Protocol
except ImportError:  # Python 3.7, which serves TensorFlow 1.15.5
    Protocol = object  # type: ignore[assignment]

__all__ = ["MOST", "Network", "Weight", "Weights", "check_choice", "check_size", "glorot", "prefixed"]

MOST = 1 << 20  # units, inputs, outputs: far beyond what fits into memory as a kernel


class Weight(NamedTuple):
    """A weight: its shape, and its first values, which are drawn from U(value - limit, value + limit)."""

    shape: tuple[int, ...]
    limit: float = 0.0
    value: float = 0.0


Weights = Dict[str, Weight]


class Network(Protocol):
    """A recurrent network as a value: plain, hashable, printable. Two are equal where kind and fields are.

    kind: what `unrolled.networks.KINDS` lists it under. Its fields are numbers, texts, booleans, and networks.
    """

    kind: ClassVar[str]

    @property
    def output_size(self) -> int:
        """The width of its output at every step."""

    @property
    def state(self) -> dict[str, int]:
        """The parts of its state: name -> width, each part an array [batch, width]."""

    @property
    def read_out(self) -> tuple[str, ...]:
        """The parts of the final state that are its last valid output: side by side what a classifier reads."""

    def weights(self, inputs: int) -> Weights:
        """Its weights for `inputs` values per step: TensorFlow 1's name -> shape and first values, in TF1's order."""


def glorot(*shape: int) -> Weight:
    """Uniform within sqrt(6 / (fan_in + fan_out)), the sizes of a matrix: Glorot & Bengio 2010, TF1's default."""
    fan_in, fan_out = shape
    return Weight(shape, math.sqrt(6.0 / (fan_in + fan_out)))


def prefixed(prefix: str, values: dict[str, Any]) -> dict[str, Any]:
    """The same with `prefix` before each name."""
    return {prefix + name: value for name, value in values.items()}


def check_size(name: str, value: Any) -> None:
    """Raise ValueError unless value is an integer from 1 to MOST."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST:
        raise ValueError("%s must be an integer from 1 to %d, got %.60r" % (name, MOST, value))


def check_choice(name: str, value: Any, expected: Sequence[str]) -> None:
    """Raise ValueError unless value is one of the texts expected."""
    if not isinstance(value, str) or value not in expected:
        raise ValueError("%s must be %s, got %.60r" % (name, " or ".join(map(repr, expected)), value))
