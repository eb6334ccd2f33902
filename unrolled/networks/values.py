"""What every network answers, and what its answers are made of."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any, ClassVar, Dict, Mapping, NamedTuple, Sequence

try:
    from typing import Protocol
except ImportError:  # Python 3.7, which serves TensorFlow 1.15.5
    Protocol = object  # type: ignore[assignment]

__all__ = [
    "ACTIVATIONS",
    "DEEPEST",
    "MOST",
    "Cell",
    "Mask",
    "Masks",
    "Network",
    "Weight",
    "Weights",
    "Wrapper",
    "below",
    "check_choice",
    "check_flag",
    "check_keep",
    "check_limit",
    "check_network",
    "check_number",
    "check_size",
    "glorot",
    "prefixed",
]

DEEPEST = 8  # networks within networks, the outermost counted
MOST = 1 << 20  # units, inputs, outputs: far beyond what fits into memory as a kernel
_LARGEST = 3.4e38  # of float32

# The activations that TF1's cells take by name, Keras's names, as far as they work on each entry by itself:
# hard_sigmoid is clip(z / 5 + 1 / 2, 0, 1), softsign z / (1 + |z|), elu has alpha 1, linear changes nothing.
ACTIVATIONS = ("tanh", "relu", "sigmoid", "hard_sigmoid", "softsign", "softplus", "elu", "selu", "linear")


class Weight(NamedTuple):
    """A weight: its shape, and its first values, which are drawn from U(value - limit, value + limit).

    value: a number, or a number for each of equal shares of the last axis, which are gates side by side.
    orthogonal: its first values are a random matrix with orthonormal rows, or columns where it has fewer of those
    (Saxe et al. 2013, arXiv:1312.6120); limit and value are 0 then.
    """

    shape: tuple[int, ...]
    limit: float = 0.0
    value: float | tuple[float, ...] = 0.0
    orthogonal: bool = False


class Mask(NamedTuple):
    """A dropout's mask, an array of ones, each with probability `keep`, and zeros, which a behaviour is given.

    per_step: its shape is [batch, steps, width], steps in the order in which they are read; else [width], one for
    every row and step. What is kept is divided by `keep`, exactly as it stands here.
    """

    width: int
    per_step: bool
    keep: float


Weights = Dict[str, Weight]
Masks = Dict[str, Mask]


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
        """The parts of the final state that a classifier reads, side by side: where nothing is wrapped around them,
        they are the last valid output."""

    @property
    def stepwise(self) -> bool:
        """Whether it reads a sequence step by step, as a decoder must: not where it reads in two directions."""

    def weights(self, inputs: int) -> Weights:
        """Its weights for `inputs` values per step: TensorFlow 1's name -> shape and first values, in TF1's order.

        Raises ValueError where it cannot have as many.
        """

    def masks(self, inputs: int) -> Masks:
        """The masks of its dropouts, by name; none where it has no dropout."""


class Cell:
    """What the kinds with one step of their own have in common: their output is the part "h" of their state, which has
    `units`, and where they do not say otherwise, that part is all of it."""

    units: int

    read_out: ClassVar[tuple[str, ...]] = ("h",)
    stepwise: ClassVar[bool] = True

    @property
    def output_size(self) -> int:
        return self.units

    @property
    def state(self) -> dict[str, int]:
        return {"h": self.units}

    def masks(self, inputs: int) -> Masks:
        return {}


class Wrapper:
    """What the kinds around one network have in common: they answer as it does, and add no weights or parts."""

    network: Network

    stepwise: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_network("network", self.network, stepwise=True)

    @property
    def output_size(self) -> int:
        return self.network.output_size

    @property
    def state(self) -> dict[str, int]:
        return self.network.state

    @property
    def read_out(self) -> tuple[str, ...]:
        return self.network.read_out

    def weights(self, inputs: int) -> Weights:
        return self.network.weights(inputs)

    def masks(self, inputs: int) -> Masks:
        return self.network.masks(inputs)


def glorot(*shape: int) -> Weight:
    """Uniform within sqrt(6 / (fan_in + fan_out)), the sizes of a matrix: Glorot & Bengio 2010, TF1's default."""
    fan_in, fan_out = shape
    return Weight(shape, math.sqrt(6.0 / (fan_in + fan_out)))


def prefixed(prefix: str, values: dict[str, Any]) -> dict[str, Any]:
    """The same with `prefix` before each name."""
    return {prefix + name: value for name, value in values.items()}


def below(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Those whose names begin with `prefix`, without it; `prefixed` is the way back."""
    return {name[len(prefix) :]: value for name, value in values.items() if name.startswith(prefix)}


def check_size(name: str, value: Any) -> None:
    """Raise ValueError unless value is an integer from 1 to MOST."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST:
        raise ValueError("%s must be an integer from 1 to %d, got %.60r" % (name, MOST, value))


def check_choice(name: str, value: Any, expected: Sequence[str]) -> None:
    """Raise ValueError unless value is one of the texts expected."""
    if not isinstance(value, str) or value not in expected:
        raise ValueError("%s must be %s, got %.60r" % (name, " or ".join(map(repr, expected)), value))


def check_flag(name: str, value: Any) -> None:
    """Raise ValueError unless value is True or False."""
    if not isinstance(value, bool):
        raise ValueError("%s must be True or False, got %.60r" % (name, value))


def check_number(name: str, value: Any) -> None:
    """Raise ValueError unless value is a number that float32 can hold."""
    if not _between(-_LARGEST, value, _LARGEST):
        raise ValueError("%s must be a finite number, got %.60r" % (name, value))


def check_limit(name: str, value: float | None) -> None:
    """Raise ValueError unless value is None or a number of at least 0."""
    if value is not None and not _between(0, value, _LARGEST):
        raise ValueError("%s must be None or a finite number of at least 0, got %.60r" % (name, value))


def check_keep(name: str, value: Any) -> None:
    """Raise ValueError unless value is a share to keep: above 0, also in float32, and 1 for all."""
    if not _between(1e-37, value, 1):
        raise ValueError("%s must be a number above 0, and at most 1, which keeps all, got %.60r" % (name, value))


def depth(network: Network) -> int:
    """How deep networks are nested in a network: 1 for a cell."""
    found = 0
    for field in fields(network):  # type: ignore[arg-type]  # every kind is a dataclass
        value = getattr(network, field.name)
        for each in value if isinstance(value, tuple) else (value,):
            if hasattr(each, "output_size"):
                found = max(found, depth(each))
    return found + 1


def check_network(name: str, value: Any, stepwise: bool = False) -> None:
    """Raise ValueError unless value is a network with room around it, and where asked, one that goes step by step."""
    if not hasattr(value, "output_size"):
        raise ValueError("%s must be a network, got %.60r" % (name, value))
    if depth(value) >= DEEPEST:
        raise ValueError("%s must be a network of fewer than %d within each other, got more" % (name, DEEPEST))
    if stepwise and not value.stepwise:
        raise ValueError("%s must be a network that reads in one direction, got kind %r" % (name, value.kind))


def _between(low: float, value: Any, high: float) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high
