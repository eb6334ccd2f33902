"""What every network made of networks is to the rest of this library."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from torch import Tensor

from torch_impl.cells.cell import Cell
from torch_impl.checks import shown
from torch_impl.states import State
from unrolled.networks import Masks, Network, prefixed

__all__ = ["Run", "Structure", "check_cell"]

# run(cell, inputs, lengths, state, outputs, batch_sizes, masks): see `unrolling.static.by_steps` for all of them.
Run: TypeAlias = Callable[..., tuple[Any, Any]]


class Structure(Cell):
    """A cell made of cells, which are called as such: what hangs on a cell's call works within a structure too.

    Its `step` is one step of all, where its network goes step by step; its `unroll` is whole sequences. Masks (see
    torch_impl.masks) go down to the cells by the beginnings of their names: see `cells`.
    """

    @classmethod
    def of(cls, network: Any, make: Callable[[Network, int], Cell], inputs: int) -> Structure:
        """The structure of this value; make(network, inputs): one of its cells."""
        raise NotImplementedError

    def cells(self) -> dict[str, Cell]:
        """Its cells, by what the names of their masks begin with."""
        raise NotImplementedError

    def drawn(self) -> Masks:
        """Those of each cell within that is in training mode."""
        found: Masks = {}
        for prefix, cell in self.cells().items():
            found.update(prefixed(prefix, cell.drawn()))
        return found

    def whole(self, masks: Mapping[str, Tensor]) -> bool:
        """Whether `unroll` can do with these masks: not where something happens between two steps of a cell."""
        return True

    @staticmethod
    def within(cell: Cell, inputs: Tensor, state: Any, masks: Mapping[str, Tensor]) -> Any:
        """One step of one of its cells, by its call."""
        return cell(inputs, state, masks=masks) if masks else cell(inputs, state)

    def unroll(
        self,
        run: Run,
        inputs: Tensor,
        lengths: Tensor | None,
        state: State | None,
        outputs: bool = True,
        batch_sizes: Tensor | None = None,
        masks: Mapping[str, Tensor] | None = None,
    ) -> tuple[Any, Any]:
        """Whole sequences, each of its cells by `run`, whose arguments and results are those of this method."""
        raise NotImplementedError


def check_cell(name: str, cell: Any, stepwise: bool = False) -> Cell:
    """A cell, and where asked one that goes step by step; TypeError or ValueError otherwise."""
    if not isinstance(cell, Cell):
        raise TypeError(f"{name} must be a cell, such as LSTMCell(inputs, units), got {shown(cell)}")
    if stepwise and not cell.network.stepwise:
        raise ValueError(f"{name} must be a cell that reads in one direction, got {type(cell).__name__}")
    return cell
