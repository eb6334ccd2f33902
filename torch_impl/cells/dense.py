"""The dense layer with TensorFlow 1's initial values."""

from __future__ import annotations

import torch
from torch import nn

from torch_impl.conversion import draw_
from unrolled.networks import Weight, glorot


class Dense(nn.Linear):
    """nn.Linear with TF1's initial values: Glorot uniform weight, zero bias."""

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        draw_(self.weight, glorot(self.in_features, self.out_features), generator)
        if self.bias is not None:
            draw_(self.bias, Weight((self.out_features,)), generator)
