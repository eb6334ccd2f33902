"""`Trainer` with NumPy arrays in and out."""

from __future__ import annotations

import numpy as np

from torch_impl.arrays import inputs_of, integers, optional_lengths, to_numpy
from torch_impl.models import AnyModel
from torch_impl.training.trainer import Trainer

__all__ = ["NumpyTrainer"]

Arrays = dict[str, np.ndarray]


class NumpyTrainer:
    """A trainer of one of torch_impl.models; `inner` is the trainer itself."""

    def __init__(self, trainer: Trainer[AnyModel]) -> None:
        self.inner = trainer

    def run(self, batches: np.ndarray) -> np.ndarray:
        """One optimizer step per row of batches, integers [iterations, batch] -> losses [iterations]."""
        return self.inner.run(integers("batches", batches))

    def forward(self, inputs: np.ndarray, lengths: np.ndarray | None = None) -> np.ndarray:
        """Logits or predictions with the weights of now."""
        x = inputs_of(self.inner.model, inputs)
        return to_numpy(self.inner.forward(x, optional_lengths(lengths)))

    def weights(self) -> Arrays:
        """A copy of the weights, in canonical form."""
        return self.inner.weights()

    def slots(self) -> Arrays:
        """A copy of the optimizer's state, under TF1's names."""
        return self.inner.slots()
