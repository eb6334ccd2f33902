"""Whole training steps on a GPU, captured once in a CUDA graph and then repeated without Python.

A step of a small network is a hundred short kernels, and on a GPU the time goes into starting them one by one; a graph
starts them all at once. The step reads its batch, its step size and the place for its loss from memory on the device
at a count that it advances itself, so that nothing crosses from the host between two steps.

Not tried on a GPU: no machine with one was at hand. `DeviceSteps` without the graph is tested on the CPU; only
`_captured` is left to trust. Set UNROLLED_CUDA_GRAPH=0 to train without it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torch_impl.training.adam import count_step, step_size
from torch_impl.training.whole_steps import ordinary

__all__ = ["DeviceSteps", "capturable"]

VARIABLE = "UNROLLED_CUDA_GRAPH"
CAPACITY = 256  # steps between two transfers of row numbers to the device and of losses back
WARM_UP = 3  # steps before a capture, in which cuDNN and cuBLAS take their workspaces: PyTorch's documentation


def capturable(model: Any, optimizer: Any, inputs: Tensor) -> bool:
    """Whether a step may be captured, as things are now: a hook or a frozen weight can be added at any time."""
    return inputs.is_cuda and os.environ.get(VARIABLE) != "0" and ordinary(model, optimizer)


class DeviceSteps:
    """Training steps of one model with one size of batch, all of whose memory lies on the model's device."""

    def __init__(
        self,
        model: Any,
        optimizer: Any,
        inputs: Tensor,
        targets: Tensor,
        batch: int,
        cast: Callable[[], AbstractContextManager],
    ) -> None:
        """inputs [rows, steps, inputs], targets as for `Trainer`; optimizer: an `Adam` over the model's parameters.

        cast: makes the context in which the loss is computed, such as torch.autocast.
        """
        self.model, self.optimizer, self.cast = model, optimizer, cast
        self.inputs, self.targets = inputs, targets
        self.parameters = list(model.parameters())
        like = self.parameters[0]
        self.rows = torch.zeros(CAPACITY, batch, dtype=torch.int64, device=like.device)
        self.rates = like.new_zeros(CAPACITY)
        self.losses = like.new_zeros(CAPACITY)
        self.turn = self.rows.new_zeros(1)
        self._launch: Callable[[], Any] | None = None
        self._held: list[Any] = []

    def __call__(self, batches: Tensor) -> np.ndarray:
        """One step per row of batches, int64 row numbers [iterations, batch] -> losses [iterations], each before its
        step."""
        # A stream belongs to the device that is current, which need not be the model's.
        with torch.cuda.device(self.inputs.device) if self.inputs.is_cuda else contextlib.nullcontext():
            return self._run(batches)

    def _run(self, batches: Tensor) -> np.ndarray:
        launch = self._ready(self._moments())
        losses = [np.empty(0, self.losses.cpu().numpy().dtype)]
        for part in batches.split(CAPACITY):
            self.rows[: len(part)].copy_(part)
            self.rates[: len(part)].copy_(torch.tensor(self._rates(len(part)), dtype=self.rates.dtype))
            self.turn.zero_()
            done = 0
            try:
                for _ in range(len(part)):
                    launch()
                    done += 1
            finally:
                self._advance(done)
            losses.append(self.losses[: len(part)].to("cpu", copy=True).numpy())
        return np.concatenate(losses)

    def _step(self, moments: tuple[list[Tensor], list[Tensor]]) -> None:
        """The step at `turn`: nothing in it looks at a value from the host."""
        rows = self.rows.index_select(0, self.turn)[0]
        with self.cast():
            loss = self.model.training_loss(self.inputs.index_select(0, rows), self.targets.index_select(0, rows))
        gradients = torch.autograd.grad(loss, self.parameters)
        with torch.no_grad():
            self._update(gradients, moments, self.rates.index_select(0, self.turn)[0])
            self.losses.index_copy_(0, self.turn, loss.detach()[None].to(self.losses.dtype))
            self.turn.add_(1)

    def _update(self, gradients: Any, moments: tuple[list[Tensor], list[Tensor]], rate: Tensor) -> None:
        """Adam: see torch_impl.training.adam. rate: its lr_t."""
        (group,) = self.optimizer.param_groups
        beta1, beta2, epsilon = (float(np.float32(value)) for value in (*group["betas"], group["eps"]))
        first, second = moments
        torch._foreach_lerp_(first, gradients, 1.0 - beta1)
        torch._foreach_mul_(second, beta2)
        torch._foreach_addcmul_(second, gradients, gradients, 1.0 - beta2)
        below = torch._foreach_sqrt(second)
        torch._foreach_add_(below, epsilon)
        torch._foreach_addcdiv_(self.parameters, torch._foreach_mul(first, rate), below, -1.0)

    def _rates(self, count: int) -> list[float]:
        """lr_t of the next `count` steps."""
        (group,) = self.optimizer.param_groups
        ahead, rates = dict(group), []
        for _ in range(count):
            rates.append(step_size(ahead))
            count_step(ahead)
        return rates

    def _advance(self, count: int) -> None:
        """Leave the optimizer's counts as `Adam` would after that many steps."""
        (group,) = self.optimizer.param_groups
        for _ in range(count):
            count_step(group)
        for p in self.parameters:
            self.optimizer.state[p]["step"] += count
            p.grad = None

    def _moments(self) -> tuple[list[Tensor], list[Tensor]]:
        """The optimizer's own first and second moments, created where it has none yet."""
        for p in self.parameters:
            self.optimizer.ensure_moments(p)
        first, second = ([self.optimizer.state[p][name] for p in self.parameters] for name in ("exp_avg", "exp_avg_sq"))
        return first, second

    def _ready(self, moments: tuple[list[Tensor], list[Tensor]]) -> Callable[[], Any]:
        """What runs one step. A graph holds addresses: it is captured anew when a weight or a moment has moved, and
        when a setting of the optimizer that it holds as a number has changed."""
        if not self.inputs.is_cuda:
            return lambda: self._step(moments)
        if self._launch is None or self._holds(moments) != self._held:
            self._launch = self._captured(moments)
            self._held = self._holds(moments)  # now: cuDNN wants the weights in one piece, so they may have moved
        return self._launch

    def _holds(self, moments: tuple[list[Tensor], list[Tensor]]) -> list[Any]:
        """Addresses and settings that a graph captured now would hold."""
        (group,) = self.optimizer.param_groups
        switches = (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32)
        addresses = [t.data_ptr() for t in (*self.parameters, *moments[0], *moments[1])]
        return [*addresses, group["betas"], group["eps"], switches]

    def _captured(self, moments: tuple[list[Tensor], list[Tensor]]) -> Callable[[], Any]:
        """The graph's launch. The steps that warm up leave no trace."""
        changed = [*self.parameters, *moments[0], *moments[1]]
        kept = [t.detach().clone() for t in changed]
        side = torch.cuda.Stream(self.inputs.device)
        side.wait_stream(torch.cuda.current_stream(self.inputs.device))
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                self.turn.zero_()
                self._step(moments)
        torch.cuda.current_stream(self.inputs.device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._step(moments)
        self.turn.zero_()
        graph.replay()
        if int(self.turn) != 1:
            raise RuntimeError(f"the CUDA graph of a training step holds no step; set {VARIABLE}=0 to train without it")
        with torch.no_grad():
            for tensor, before in zip(changed, kept, strict=True):
                tensor.copy_(before)
        return graph.replay
