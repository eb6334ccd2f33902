"""What a kind of cell is to the paths over whole sequences: which products it needs, and what it does between them.

A step's history is a row of segments: the state h, a 1, the inputs x, and what else the kind keeps ("extra"). Each of
its parameters belongs to one segment, and its products, side by side, to some of the `blocks` of z, each [units] wide:

    z[block] = sum over the segments of the block's parameters: segment @ parameter[block]ᵀ

A kind with two stages computes in the first what its extra is, which the product of the second reads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from torch import Tensor

H, ONE, X, EXTRA = range(4)  # the segments, in the order of memory

# What `carry` is: nothing, the part of the gradient by h that goes by no product, or the gradient by c (the extra).
NOTHING, ADDED, CELL = range(3)

Blocks: TypeAlias = "tuple[Tensor, ...]"


class Part(NamedTuple):
    """A parameter [blocks * units, width of its segment]; a bias, whose segment is ONE, has no second axis."""

    name: str
    segment: int
    first: int
    blocks: int


class Product(NamedTuple):
    """One product of compiled code: some blocks, from all that lies from one segment to another; the last of a stage
    says so."""

    first: int
    blocks: int
    begin: int
    end: int
    stage: int = -1


class Kind(NamedTuple):
    """A kind of cell. In forward and backward z has a tensor [rows, units] for each block, `old` and `new` are (h,
    extra) before and after the step, and all is changed in place: see `torch_impl.unrolling.pointwise`.

    forward(stage, z, old, new); backward(stage, z, old, new, below, carry, middle).
    code: the module of `torch_impl.unrolling.pointwise` and what is before "forward" in the names there.
    """

    name: str
    blocks: int
    parts: tuple[Part, ...]
    products: tuple[Product, ...]
    forward: Callable[[int, Blocks, Any, Any], Any]
    backward: Callable[..., Any]
    code: tuple[str, str]
    carries: int = NOTHING
    stages: int = 1

    @property
    def extra(self) -> bool:
        """Whether the history has a segment EXTRA."""
        return self.carries == CELL or self.stages == 2

    @property
    def keeps_gates(self) -> bool:
        """Whether the way back reads the gates; without an extra and a carry, all that it needs is the state."""
        return self.extra or self.carries != NOTHING

    @property
    def states(self) -> int:
        """How many parts the state has: h, and c where that is EXTRA."""
        return 2 if self.carries == CELL else 1
