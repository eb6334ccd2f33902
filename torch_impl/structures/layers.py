"""Cells one above the other: TensorFlow 1's MultiRNNCell, and of two directions its stacked form."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from torch_impl.cells.cell import Cell
from torch_impl.conversion import prefixed
from torch_impl.masks import below
from torch_impl.states import State, output_and_state
from torch_impl.structures.bidirectional import Bidirectional
from torch_impl.structures.dropout import Dropout
from torch_impl.structures.structure import Run, Structure, check_cell
from unrolled import networks
from unrolled.networks import Network


class Layers(Structure):
    """Each cell reads the outputs of the one below. The state is a tuple of states, from the lowest up; canonical
    weights are "cell_0/...", and so on."""

    kind = networks.Layers.kind
    layers: Any  # an nn.ModuleList of cells

    def __init__(self, layers: Sequence[Cell]) -> None:
        """layers: from the lowest up, at least one. Raises TypeError or ValueError that names the layer."""
        super().__init__()
        for number, layer in enumerate(layers):
            check_cell(f"layers[{number}]", layer)
            if number and layer.inputs != layers[number - 1].network.output_size:
                below = layers[number - 1].network.output_size
                raise ValueError(
                    f"layers[{number}] must read {below} values, as the one below gives, got {layer.inputs}"
                )
            if any(layer is other for other in layers[:number]):
                raise ValueError(f"layers[{number}] must be a cell of its own, got one that is a layer already")
        self.network = networks.Layers(tuple(layer.network for layer in layers))
        self.inputs = layers[0].inputs
        self.layers = nn.ModuleList(layers)
        self.table = ()
        for number, layer in enumerate(layers):
            self.table += prefixed(f"layers.{number}.", layer.table, f"cell_{number}/")

    @classmethod
    def of(cls, network: networks.Layers, make: Callable[[Network, int], Cell], inputs: int) -> Layers:
        layers: list[Cell] = []
        for layer in network.layers:
            layers.append(make(layer, layers[-1].network.output_size if layers else inputs))
        return cls(layers)

    def cells(self) -> dict[str, Cell]:
        return {f"cell_{number}/": layer for number, layer in enumerate(self.layers)}

    def step(self, inputs: Tensor, state: Any, masks: Mapping[str, Tensor] | None = None) -> tuple[Tensor, State]:
        after = []
        for (prefix, layer), part in zip(self.cells().items(), state, strict=True):
            inputs, part = output_and_state(self.within(layer, inputs, part, below(prefix, masks)))
            after.append(part)
        return inputs, tuple(after)

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
        after, top = [], len(self.layers) - 1
        for number, (prefix, layer) in enumerate(self.cells().items()):
            part, own = None if state is None else state[number], below(prefix, masks)
            inputs, last = run(layer, inputs, lengths, part, outputs or number < top, batch_sizes, own)
            after.append(last)
        return inputs, tuple(after)


def layered(
    make: Callable[[int], Cell], inputs: int, num_layers: int, bidirectional: bool, dropout: float = 0.0
) -> Cell:
    """As many layers of like cells, each in both directions where asked, as nn.LSTM has them; make: from its inputs.

    dropout: the share of each layer's outputs, but the last's, that is dropped before the next layer.
    """
    layers: list[Cell] = []
    for number in range(num_layers):
        keep = 1.0 if number == num_layers - 1 else 1.0 - dropout
        cells = [make(inputs) for _ in range(1 + bidirectional)]
        cells = [Dropout(cell, output_keep=keep) for cell in cells] if keep < 1.0 else cells
        layer = Bidirectional(*cells) if bidirectional else cells[0]
        layers.append(layer)
        inputs = layer.network.output_size
    return layers[0] if num_layers == 1 else Layers(layers)
