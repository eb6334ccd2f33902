"""The activations that TF1's cells take by name: those of `unrolled.networks.ACTIVATIONS`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own idiom)
from torch import Tensor

__all__ = ["ACTIVATIONS", "check_activation"]

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "hard_sigmoid": lambda z: (0.2 * z + 0.5).clamp(0.0, 1.0),  # PyTorch's own has z / 6
    "softsign": F.softsign,
    "softplus": partial(F.softplus, threshold=40.0),  # PyTorch's own 20 leaves out 2e-9, which float64 has room for
    "elu": F.elu,
    "selu": torch.selu,
    "linear": lambda z: z,
}


def check_activation(activation: str) -> str:
    """One of ACTIVATIONS, or ValueError."""
    if not isinstance(activation, str) or activation not in ACTIVATIONS:
        raise ValueError(f"activation must be {' or '.join(map(repr, ACTIVATIONS))}, got {activation!r}")
    return activation
