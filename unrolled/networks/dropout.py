"""A network with dropout around it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import ClassVar

from unrolled.networks.values import Mask, Masks, Network, Wrapper, check_flag, check_keep, prefixed


@dataclass(frozen=True)
class Dropout(Wrapper):
    """TF1's DropoutWrapper: at every step the inputs, the outgoing state and the outputs are times mask / keep.

        output, state = network(inputs * mask / input_keep, state before)
        state' = state * mask / state_keep, except a part c;  output' = output * mask / output_keep

    The outputs that it gives do not enter its state. Each share to keep is above 0, and 1 leaves all as it is, without
    a mask; it is rounded to float32, also where weights are float64. variational: one mask for all rows and steps.
    Parts and weights are the network's. Masks are "inputs", "state/...", "outputs", and the network's own "inner/...".
    Raises ValueError for anything else, and for a network that reads in two directions.
    """

    network: Network
    input_keep: float = 1.0
    output_keep: float = 1.0
    state_keep: float = 1.0
    variational: bool = False

    kind: ClassVar[str] = "dropout"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_keep("input_keep", self.input_keep)
        check_keep("output_keep", self.output_keep)
        check_keep("state_keep", self.state_keep)
        check_flag("variational", self.variational)

    def masks(self, inputs: int) -> Masks:
        # TF1 drops every part of a state but the c of an LSTM (rnn_cell_wrapper_impl.py, the default filter).
        state = {"state/" + name: width for name, width in self.state.items() if name.split("/")[-1] != "c"}
        found: Masks = {}
        for widths, keep in (
            ({"inputs": inputs}, self.input_keep),
            (state, self.state_keep),
            ({"outputs": self.output_size}, self.output_keep),
        ):
            keep = struct.unpack("f", struct.pack("f", keep))[0]  # as TF1's wrapper rounds it
            if keep < 1:
                found.update((name, Mask(width, not self.variational, keep)) for name, width in widths.items())
        return dict(found, **prefixed("inner/", super().masks(inputs)))
