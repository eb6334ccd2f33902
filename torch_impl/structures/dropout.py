"""A cell with dropout around it: TensorFlow 1's DropoutWrapper."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from torch_impl import states
from torch_impl.cells.cell import Cell
from torch_impl.conversion import prefixed
from torch_impl.masks import below, scaled
from torch_impl.states import State, output_and_state
from torch_impl.structures.structure import Run, Structure, check_cell
from torch_impl.unrolling.packing import pack_like
from unrolled import networks
from unrolled.networks import Masks, Network


class Dropout(Structure):
    """At every step the cell's inputs, its outgoing state but c, and its outputs are times mask / keep: see
    `unrolled.networks.Dropout`.

    State and canonical weights are the cell's. In training mode the masks of a sequence are drawn, once, from torch's
    generator, where none are given; in evaluation mode, and in greedy decoding, nothing is dropped.
    """

    kind = networks.Dropout.kind
    network: networks.Dropout

    def __init__(
        self,
        cell: Cell,
        input_keep: float = 1.0,
        output_keep: float = 1.0,
        state_keep: float = 1.0,
        variational: bool = False,
    ) -> None:
        """input_keep, output_keep, state_keep: the shares to keep, above 0; 1 drops nothing. variational: one mask for
        all rows and steps. Raises TypeError or ValueError for anything else, and for what is no cell of one direction.
        """
        super().__init__()
        check_cell("cell", cell, stepwise=True)
        self.network = networks.Dropout(cell.network, input_keep, output_keep, state_keep, variational)
        self.inputs = cell.inputs
        self.cell = cell
        self.table = prefixed("cell.", cell.table)
        own = self.network.masks(cell.inputs).items()
        self._own = {name: mask for name, mask in own if not name.startswith("inner/")}  # once: a step asks for shares

    @classmethod
    def of(cls, network: networks.Dropout, make: Callable[[Network, int], Cell], inputs: int) -> Dropout:
        shares = (network.input_keep, network.output_keep, network.state_keep)
        return cls(make(network.network, inputs), *shares, network.variational)

    def cells(self) -> dict[str, Cell]:
        return {"inner/": self.cell}

    def drawn(self) -> Masks:
        return {**(self._own if self.training else {}), **super().drawn()}

    def whole(self, masks: Mapping[str, Tensor]) -> bool:
        return not any(name.startswith("state/") for name in masks)

    def step(self, inputs: Tensor, state: Any, masks: Mapping[str, Tensor] | None = None) -> tuple[Tensor, State]:
        masks = masks or {}
        if "inputs" in masks:
            inputs = scaled(inputs, masks["inputs"], self._own["inputs"].keep)
        output, after = output_and_state(self.within(self.cell, inputs, state, below("inner/", masks)))
        if "outputs" in masks:
            output = scaled(output, masks["outputs"], self._own["outputs"].keep)
        kept = below("state/", masks)
        if not kept:
            return output, after
        parts = states.parts(self.network, after)
        for name, mask in kept.items():
            parts[name] = scaled(parts[name], mask, self._own["state/" + name].keep)
        return output, states.from_parts(self.network, parts)

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
        masks = masks or {}
        if "inputs" in masks:
            inputs = scaled(inputs, pack_like(masks["inputs"], batch_sizes), self._own["inputs"].keep)
        found, last = run(self.cell, inputs, lengths, state, outputs, batch_sizes, below("inner/", masks))
        if "outputs" in masks and outputs:
            found = scaled(found, pack_like(masks["outputs"], batch_sizes), self._own["outputs"].keep)
        return found if outputs else None, last

    def extra_repr(self) -> str:
        names = ("input_keep", "output_keep", "state_keep", "variational")
        return ", ".join(f"{name}={getattr(self.network, name)}" for name in names)
