"""The memory of compiled code: how the parameters of a kind lie in it, and the tables that kernels are given."""

from __future__ import annotations

import importlib
from array import array
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from torch_impl.unrolling import pointwise, tables, tiles
from torch_impl.unrolling.jit import PADDING, Kernel, kernel
from torch_impl.unrolling.kinds.kind import EXTRA, ONE, H, Kind
from torch_impl.unrolling.teams import share

DTYPES = {torch.float32: "float32", torch.float64: "float64"}


def padded(size: int) -> int:
    """size rounded up to whole vectors, as in the kernels."""
    return (size + PADDING - 1) // PADDING * PADDING


def odd(size: int) -> int:
    """size rounded up to an odd number of vectors: rows a high power of two apart share few places in a cache."""
    vectors = padded(size) // PADDING
    return (vectors | 1) * PADDING


class Layout:
    """Where the parameters of a kind, with so many units and inputs, lie.

    Three tables for kernels, each the number of its lines and the lines:

        forward    stage that it ends or -1, first column, columns, then twice where the history begins and how deep,
                   then where its weights begin, 0, 0
        backward   0 for what goes to the state, 1 to extra; first column; where its weights begin: a line a block
        gradients  first column, blocks, first column of the history, columns, where its sums begin, and their width
        parts      blocks, columns, where its sums begin, and their width; where its product's weights begin, their
                   depth and columns, its own first column and row there; where its weights for the way back begin, or
                   -1; and for a bias its first column, or -1
    """

    def __init__(self, kind: Kind, units: int, inputs: int, scalar: str) -> None:
        self.kind, self.units, self.inputs, self.scalar = kind, units, inputs, scalar
        self.width, wide = padded(units), padded(1 + inputs)
        self.row = odd(self.width + wide + (self.width if kind.extra else 0))
        self.gates_row = odd(kind.blocks * self.width)
        self.columns = dict(enumerate((0, self.width, self.width + 1, self.width + wide)))
        self._depths = {0: units, 1: 1, 2: inputs, 3: units}
        self.forward: Any = []
        self.backward: Any = []
        self.gradients: Any = []
        self.parts: Any = []
        self.packed_size = self.back_size = self.sums_size = 0
        backs = self._backward()
        for product in kind.products:
            self._product(product, backs)
        for name in ("forward", "backward", "gradients", "parts"):
            lines = getattr(self, name)
            setattr(self, name, array("q", [len(lines), *(value for line in lines for value in line)]))
        self.kept: dict[int, Any] = {}  # see `compiled.packed_weights`
        self.spare: list[Any] = []  # see `take_spare` and `compiled.keep_spare`
        self._added: tuple[tuple[float, ...], Tensor] | None = None
        self._addresses: dict[bool, int] = {}

    def _backward(self) -> dict[int, int]:
        """Lines of `backward`; where the weights of each part begin there."""
        begins = {}
        for number, part in enumerate(self.kind.parts):
            if part.segment not in (H, EXTRA):
                continue
            begins[number] = self.back_size
            for block in range(part.blocks):
                self.backward.append((int(part.segment == EXTRA), (part.first + block) * self.width, self.back_size))
                self.back_size += self.units * self.width
        return begins

    def _product(self, product: Any, backs: Mapping[int, int]) -> None:
        segments = range(product.begin, product.end + 1)
        first = [segment for segment in segments if segment != EXTRA]
        depths = sum(self._depths[s] for s in first if s == H), sum(self._depths[s] for s in first if s != H)
        if EXTRA in segments:  # the last; it and what is before lie apart
            reads = ((self.columns[ONE], depths[1]), (self.columns[EXTRA], self.units))
        elif H in segments:
            reads = ((0, depths[0]), (self.columns[ONE], depths[1]))
        else:
            reads = ((self.columns[ONE], depths[1]), (0, 0))
        depth, columns = sum(d for _, d in reads), product.blocks * self.width
        column = self.columns[product.begin]
        ends = {H: self.width, ONE: self.width + PADDING, EXTRA: self.columns[EXTRA] + self.width}
        across = ends.get(product.end, self.columns[EXTRA]) - column
        rows = {}
        for segment in segments:
            rows[segment] = sum(self._depths[s] for s in segments if s < segment)
        self.forward.append(
            (product.stage, product.first * self.width, columns, *reads[0], *reads[1], self.packed_size, 0, 0)
        )
        self.gradients.append((product.first * self.width, product.blocks, column, across, self.sums_size, across))
        for number, part in enumerate(self.kind.parts):
            inside = product.first <= part.first < product.first + product.blocks
            if not inside or part.segment not in segments:
                continue
            local = part.first - product.first
            sums = self.sums_size + local * self.units * across + self.columns[part.segment] - column
            bias = part.first * self.width if part.segment == ONE else -1
            line = (part.blocks, self._depths[part.segment], sums, across, self.packed_size, depth, columns,
                    local * self.width, rows[part.segment], backs.get(number, -1), bias)  # fmt: skip
            self.parts.append((number, line))
        self.packed_size += depth * columns
        self.sums_size += product.blocks * self.units * across
        if product is self.kind.products[-1]:
            self.parts = [line for _, line in sorted(self.parts)]

    def address(self, backward: bool) -> int:
        """Of the kernel of a step of this kind."""
        if backward not in self._addresses:
            module, prefix = self.kind.code
            names = importlib.import_module(f"torch_impl.unrolling.pointwise.{module}")
            direction, arguments = ("backward", pointwise.BACKWARD) if backward else ("forward", pointwise.FORWARD)
            self._addresses[backward] = kernel(getattr(names, prefix + direction), self.scalar, arguments).address
        return self._addresses[backward]

    def added(self, shifts: tuple[float, ...]) -> Tensor:
        """The table ADDED: [blocks, width], in each block what is added to its bias."""
        kept = self._added
        if kept is None or kept[0] != shifts:
            values = torch.tensor(shifts, dtype=getattr(torch, self.scalar), device="cpu")
            kept = self._added = shifts, values[:, None].repeat(1, self.width)
        return kept[1]

    def take_spare(self) -> tuple[Tensor, Tensor]:
        """Memory for the weights in both directions, zero where it is padding: what an earlier call is done with, or
        new."""
        try:
            return self.spare.pop()
        except IndexError:
            dtype, sizes = getattr(torch, self.scalar), (self.packed_size, self.back_size)
            packed, back = (torch.zeros(size, dtype=dtype, device="cpu") for size in sizes)
            return packed, back

    def piece(self, function: Any) -> Kernel:
        """A kernel for this layout's scalars."""
        return kernel(function, self.scalar)


@lru_cache(maxsize=64)
def layout_of(kind: Kind, units: int, inputs: int, scalar: str) -> Layout:
    """Kept, as it is the same for every call."""
    return Layout(kind, units, inputs, scalar)


class Tables:
    """The tables of one run: what `torch_impl.unrolling.tables` names, by its place there."""

    def __init__(self, layout: Layout, batch: int, steps: int, stride: int, offsets: Tensor) -> None:
        self.layout = layout
        self.sizes = array("q", bytes(8 * (tables.GIVE_WAY + 1)))
        self.ints = array("q", bytes(8 * (tables.MET + 1)))
        self.floats = array("q", bytes(8 * (tables.PARAMETERS + 3 * (len(layout.kind.parts) + 2))))
        self.kept: dict[tuple[int, int], Tensor | None] = {}  # so that the memory stays
        sizes = self.sizes
        sizes[tables.BATCH], sizes[tables.STEPS], sizes[tables.STRIDE] = batch, steps, stride
        sizes[tables.UNITS], sizes[tables.SIZE] = layout.units, layout.inputs
        sizes[tables.ROW], sizes[tables.GATES_ROW] = layout.row, layout.gates_row
        sizes[tables.STATE_ROW] = layout.units
        sizes[tables.KEEP], sizes[tables.CARRIES] = int(layout.kind.keeps_gates), layout.kind.carries
        sizes[tables.MULTIPLY] = kernel(tiles.multiply, layout.scalar, tiles.MULTIPLY).address
        for place, values in (
            (tables.SIZES, sizes), (tables.FORWARD, layout.forward), (tables.BACKWARD, layout.backward),
            (tables.GRADIENTS, layout.gradients), (tables.PARTS, layout.parts),
        ):  # fmt: skip
            self.ints[place] = values.buffer_info()[0]
        self.set_ints({tables.OFFSETS: offsets})
        self._pointers = self.ints.buffer_info()[0], self.floats.buffer_info()[0]

    def set_ints(self, given: Mapping[int, Tensor | None]) -> None:
        """Tables of int64."""
        self._set(0, self.ints, given)

    def set(self, given: Mapping[int, Tensor | None]) -> None:
        """Tables of scalars. Memory is held until another takes its place; None: null."""
        self._set(1, self.floats, given)

    def _set(self, number: int, where: Any, given: Mapping[int, Tensor | None]) -> None:
        for place, tensor in given.items():
            where[place] = 0 if tensor is None else tensor.data_ptr()
            self.kept[number, place] = tensor

    def call(self, function: Kernel, begin: int, end: int) -> None:
        """Call a kernel."""
        function.call(*self._pointers, begin, end)

    def share(self, function: Kernel, count: int, work: float, weights: Sequence[int] | None = None) -> None:
        """Call a kernel over all of 0 to count, shared between threads: see `teams.share`."""
        share(function, self._pointers, count, work, weights)
