"""The dense layer with TensorFlow 1's initial values."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from torch_impl.cells.activations import ACTIVATIONS, check_activation
from torch_impl.conversion import draw_
from unrolled.networks import Weight, glorot


class Dense(nn.Linear):
    """nn.Linear with TF1's initial values: Glorot uniform weight, zero bias."""

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        draw_(self.weight, glorot(self.in_features, self.out_features), generator)
        if self.bias is not None:
            draw_(self.bias, Weight((self.out_features,)), generator)


class ActiveDense(Dense):
    """The same with an activation, one of torch_impl.cells.activations, on what it gives."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        activation: str,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(in_features, out_features, device=device, dtype=dtype)
        self.activation = check_activation(activation)

    def forward(self, inputs: Tensor) -> Tensor:
        return ACTIVATIONS[self.activation](super().forward(inputs))

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, activation={self.activation!r}"
