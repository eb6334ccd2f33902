"""Two directions: TensorFlow 1's bidirectional_dynamic_rnn, its outputs side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from torch_impl.cells.cell import Cell
from torch_impl.conversion import prefixed
from torch_impl.masks import below
from torch_impl.structures.structure import Run, Structure, check_cell
from torch_impl.unrolling.packing import pack, padded
from unrolled import networks
from unrolled.networks import Network


class Bidirectional(Structure):
    """Two cells, of which the second reads each row's valid steps in reverse order; its outputs are turned back.

    Outputs are side by side, forward first. The state is a tuple (forward, backward); canonical weights are "fw/..."
    and "bw/...". It has no single step.
    """

    kind = networks.Bidirectional.kind

    def __init__(self, forward: Cell, backward: Cell) -> None:
        """Raises TypeError or ValueError for what is no cell of one direction, and where the two read different
        numbers of values."""
        super().__init__()
        for name, cell in (("forward", forward), ("backward", backward)):
            check_cell(name, cell, stepwise=True)
        if forward.inputs != backward.inputs:
            raise ValueError(f"backward must read {forward.inputs} values, as forward does, got {backward.inputs}")
        if forward is backward:
            raise ValueError("backward must be a cell of its own, got the one that is forward")
        self.network = networks.Bidirectional(forward.network, backward.network)
        self.inputs = forward.inputs
        self.fw, self.bw = forward, backward
        self.table = prefixed("fw.", forward.table, "fw/") + prefixed("bw.", backward.table, "bw/")

    @classmethod
    def of(cls, network: networks.Bidirectional, make: Callable[[Network, int], Cell], inputs: int) -> Bidirectional:
        return cls(make(network.forward, inputs), make(network.backward, inputs))

    def cells(self) -> dict[str, Cell]:
        return {"fw/": self.fw, "bw/": self.bw}

    def step(self, inputs: Any, state: Any, masks: Mapping[str, Tensor] | None = None) -> Any:
        raise ValueError("a network that reads in two directions has no single step; give it whole sequences")

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
        if batch_sizes is not None:
            inputs, lengths = padded(inputs, batch_sizes)
        first, second = (None, None) if state is None else state
        forth, last = run(self.fw, inputs, lengths, first, outputs, None, below("fw/", masks))
        turned = _turned(inputs, lengths)
        back, other = run(self.bw, turned, lengths, second, outputs, None, below("bw/", masks))
        if not outputs:
            return None, (last, other)
        both = torch.cat([forth, _turned(back, lengths)], 2)
        return both if batch_sizes is None else pack(both, lengths), (last, other)


def _turned(values: Tensor, lengths: Tensor | None) -> Tensor:
    """Each row's valid steps in reverse order, the padding where it is: [batch, steps, width]."""
    if lengths is None:
        return values.flip(1)
    steps = torch.arange(values.shape[1], device=values.device)
    limits = lengths.to(values.device, non_blocking=True)[:, None]
    order = torch.where(steps < limits, limits - 1 - steps, steps)
    return values.gather(1, order[:, :, None].expand_as(values))
