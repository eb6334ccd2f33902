"""What every kind of cell is to the rest of this room."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from torch_impl.conversion import Canonical, draw
from torch_impl.masks import wanted
from torch_impl.states import from_parts
from unrolled.networks import Masks


class Cell(Canonical):
    """A recurrent cell. A subclass for each kind has its parameters with their `table`, and says what one `step` is.

    Its constructor takes `inputs`, the fields of its network by name, `device` and `dtype`. For states see
    torch_impl.states.

    A cell that runs over a sequence is called once: `dynamic_rnn` and `RNN` hand the whole of it to the cell's call. So
    what hangs on the call (hooks, pruning, weight_norm, spectral_norm) happens once for a sequence; hooks find there
    (inputs, initial state) and (outputs, state). `static_rnn` calls the cell at every step.
    """

    kind: ClassVar[str]
    inputs: int
    network: Any  # the network as a value: see unrolled.networks

    @property
    def reference(self) -> Tensor:
        """One of the parameters, for the dtype and the device that they share."""
        for parameter in self._parameters.values():  # a tenth of the time that parameters() takes
            if parameter is not None:
                return parameter
        return next(self.parameters())

    def zero_state(self, batch: int) -> Any:
        """Zeros of `batch` rows, in the dtype and on the device of the weights."""
        network, like = self.network, self.reference
        return from_parts(network, {name: like.new_zeros(batch, width) for name, width in network.state.items()})

    def step(self, inputs: Any, state: Any) -> Any:
        """One step: inputs [batch, inputs] and state -> (output [batch, width], new state), or one tensor that is both.

        A kind whose network has masks takes this step's as `masks` too, or none.
        Raises TypeError for another dtype than the weights', ValueError for another shape or device.
        """
        raise NotImplementedError

    def forward(
        self,
        inputs: Any,
        state: Any,
        unroll: Callable[[Any, Any, Any], Any] | None = None,
        masks: Mapping[str, Tensor] | None = None,
    ) -> Any:
        """One step: see `step`. unroll(cell, inputs, state): what is done in its place, given by `dynamic_rnn`.

        masks: this step's, of a network that has some (see torch_impl.masks); without them nothing is dropped.
        """
        if unroll is not None:
            return unroll(self, inputs, state)
        step: Any = self.step
        return step(inputs, state, masks=masks) if masks else step(inputs, state)

    def drawn(self) -> Masks:
        """The masks that are drawn for it where none are given: its network's, in training mode, and else none."""
        return wanted(self.network, self.inputs) if self.training else {}

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """TF1's initial values for every parameter: those of the network's value."""
        draw(self, self.network.weights(self.inputs), generator)

    def from_nn(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The parameters by name, from those of PyTorch's own layer of this kind: weight_ih, weight_hh, bias_ih, ...

        Raises ValueError where the two compute different things.
        """
        raise ValueError(f"PyTorch has no layer of kind {self.kind}")
