"""A cell whose inputs are added to its outputs: TensorFlow 1's ResidualWrapper."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from torch_impl.cells.cell import Cell
from torch_impl.conversion import prefixed
from torch_impl.states import State, output_and_state
from torch_impl.structures.structure import Run, Structure, check_cell
from torch_impl.unrolling.packing import padding_mask
from unrolled import networks
from unrolled.networks import Network


class Residual(Structure):
    """outputs = inputs + the cell's outputs; state and canonical weights are the cell's."""

    kind = networks.Residual.kind

    def __init__(self, cell: Cell) -> None:
        """Raises TypeError or ValueError for what is no cell of one direction with as many outputs as inputs."""
        super().__init__()
        check_cell("cell", cell, stepwise=True)
        self.network = networks.Residual(cell.network)
        self.network.weights(cell.inputs)  # ValueError where the sizes differ
        self.inputs = cell.inputs
        self.cell = cell
        self.table = prefixed("cell.", cell.table)

    @classmethod
    def of(cls, network: networks.Residual, make: Callable[[Network, int], Cell], inputs: int) -> Residual:
        return cls(make(network.network, inputs))

    def cells(self) -> dict[str, Cell]:
        return {"": self.cell}

    def step(self, inputs: Tensor, state: Any, masks: Mapping[str, Tensor] | None = None) -> tuple[Tensor, State]:
        output, after = output_and_state(self.within(self.cell, inputs, state, masks or {}))
        return inputs + output, after

    def unroll(
        self,
        run: Run,
        inputs: Tensor,
        lengths: Tensor | None,
        state: Any,
        outputs: bool = True,
        batch_sizes: Tensor | None = None,
        masks: Mapping[str, Tensor] | None = None,
    ) -> tuple[Any, Any]:
        found, last = run(self.cell, inputs, lengths, state, outputs, batch_sizes, masks)
        if not outputs:
            return None, last
        if lengths is not None:
            padding = padding_mask(lengths.to(inputs.device, non_blocking=True), inputs.shape[1])
            inputs = inputs.masked_fill(padding[:, :, None], 0.0)
        return inputs + found, last
