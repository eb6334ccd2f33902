"""The embedding with TensorFlow 1's initial values: a trained row for each token."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own idiom)
from torch import Tensor, nn

from torch_impl.checks import check_integers
from torch_impl.conversion import draw_
from unrolled.networks import glorot


class Embedding(nn.Embedding):
    """nn.Embedding with TF1's initial values, Glorot uniform over [vocabulary, width], for tokens that are inputs.

    Its gradient is dense, so that Adam moves every row at every step, as TF1's does.
    """

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        draw_(self.weight, glorot(*self.weight.shape), generator)

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens: integers [batch, steps], or packed values -> [..., width]. Raises TypeError or ValueError, also for
        a token on a padded step."""
        wanted = f"inputs must be tokens, integers from 0 to {self.num_embeddings - 1}"
        shape = ("batch", "steps") if getattr(tokens, "ndim", 1) > 1 else ("values",)
        return F.embedding(check_integers("inputs", tokens, shape, self.num_embeddings, wanted).long(), self.weight)
