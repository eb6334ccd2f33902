"""tf.clip_by_global_norm: all gradients scaled down together."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["GlobalNorm"]


class GlobalNorm:
    """All gradients of a model, scaled by most / max(norm, most), where norm is their 2-norm together.

    As in TensorFlow 1 (python/ops/clip_ops.py), where an embedding's gradient is a list of slices, one for each token
    that is looked up: the norm is taken over the slices, so that a token that occurs twice counts as two, and not as
    the sum that its row is moved by. A norm that is not finite makes all gradients NaN.
    """

    def __init__(self, model: nn.Module, most: float) -> None:
        """Raises ValueError for a norm that is not a finite number above 0."""
        if isinstance(most, bool) or not isinstance(most, (int, float)) or not 0.0 < most < float("inf"):
            raise ValueError(f"clip_norm must be a finite number above 0, got {most!r}")
        self.most = float(most)
        self._parameters = list(model.parameters())
        # Of a table that something else uses too, the gradient is taken as it is.
        uses = Counter(id(p) for part in model.modules() for p in part.parameters(recurse=False))
        self._embeddings = [
            part for part in model.modules() if isinstance(part, nn.Embedding) and uses[id(part.weight)] == 1
        ]
        self._slices: list[Tensor] = []

    @contextlib.contextmanager
    def clipped(self, shared: Callable[[Tensor], Tensor] = lambda squares: squares) -> Iterator[None]:
        """A block with the forward and backward passes of one step, whose gradients are scaled at its end. shared: the
        sum of squares of slices, of this process -> of all."""
        self._slices = []
        handles = [part.register_forward_hook(self._keep) for part in self._embeddings]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
        self._scale(shared)

    def _keep(self, part: nn.Module, given: Any, rows: Tensor) -> None:
        if rows.requires_grad:
            rows.register_hook(lambda gradient: self._slices.append(gradient.detach().square().sum()))

    @torch.no_grad()
    def _scale(self, shared: Callable[[Tensor], Tensor]) -> None:
        tables = {id(part.weight) for part in self._embeddings}
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        squares = [p.grad.square().sum() for p in self._parameters if p.grad is not None and id(p) not in tables]
        if tables:
            slices = torch.stack(self._slices).sum() if self._slices else self._parameters[0].new_zeros(())
            squares.append(shared(slices))
        if not squares:
            return
        norm = torch.stack([each.to(squares[0].dtype) for each in squares]).sum().sqrt()
        factor = self.most * torch.minimum(1.0 / norm, torch.full_like(norm, 1.0 / self.most))
        torch._foreach_mul_(gradients, torch.where(norm.isfinite(), factor, norm * float("nan")))
