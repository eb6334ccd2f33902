"""The dense layer with TensorFlow 1's initial values."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


@torch.no_grad()
def glorot_uniform_(tensor: Tensor, fan_in: int, fan_out: int, generator: torch.Generator | None = None) -> Tensor:
    """Fill with U(-limit, limit), limit = sqrt(6 / (fan_in + fan_out)): Glorot & Bengio 2010, TF1's default kernel.

    The fans are given, since a weight may be a slice of the kernel that they describe.
    """
    limit = math.sqrt(6.0 / (fan_in + fan_out))
    return tensor.uniform_(-limit, limit, generator=generator)


class Dense(nn.Linear):
    """nn.Linear with TF1's initial values: Glorot uniform weight, zero bias."""

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        glorot_uniform_(self.weight, self.in_features, self.out_features, generator)
        if self.bias is not None:
            nn.init.zeros_(self.bias)
