"""Several processes that train one run together, as torchrun starts them: gloo between CPUs, NCCL between GPUs.

Each process holds all the data and takes its part of each batch's rows; DistributedDataParallel sums the gradients. So
the global batch, and with it the run, is the same for any number of processes, but for the order of the sums. Process 0
alone writes, and what it alone knows it shares.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn

__all__ = ["ALONE", "Processes", "joined"]


class Processes(NamedTuple):
    """This process is `rank` of `world`; device: where tensors must be to be exchanged."""

    rank: int = 0
    world: int = 1
    device: str = "cpu"

    @property
    def alone(self) -> bool:
        """Whether no launcher has started this process, which would pass on signals that it has got already."""
        return "TORCHELASTIC_RUN_ID" not in os.environ

    def shared(self, module: nn.Module) -> nn.Module:
        """The module, its gradients averaged over the processes in each backward pass."""
        if self.world == 1:
            return module
        return nn.parallel.DistributedDataParallel(module)

    def unsynchronized(self, module: nn.Module) -> AbstractContextManager[Any]:
        """A block in which a module of `shared` gathers gradients of its own only."""
        if self.world == 1:
            return contextlib.nullcontext()
        assert isinstance(module, nn.parallel.DistributedDataParallel)
        return module.no_sync()

    def part(self, rows: Tensor, weights: Tensor | None) -> tuple[Tensor, float]:
        """This process's rows of a batch, and their part of its loss, from 0 to 1; one row with no part for no rows.

        weights: of each row; None where they are the same.
        """
        if self.world == 1:
            return rows, 1.0
        part = slice(self.rank * len(rows) // self.world, (self.rank + 1) * len(rows) // self.world)
        if part.start == part.stop:
            return rows[:1], 0.0
        if weights is None:
            return rows[part], (part.stop - part.start) / len(rows)
        return rows[part], float(weights[part].sum() / weights.sum())

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all processes, in place."""
        if self.world > 1:
            dist.all_reduce(values)
        return values

    def largest(self, number: int) -> int:
        """The largest of what the processes give."""
        if self.world == 1:
            return number
        value = torch.tensor(number, device=self.device)
        dist.all_reduce(value, dist.ReduceOp.MAX)
        return int(value)


ALONE = Processes()


@contextlib.contextmanager
def joined(device: str) -> Iterator[tuple[Processes, str]]:
    """Join the processes that torchrun has started, if it has: yields them, and the device of this one.

    Raises ValueError for a device that several processes cannot use.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield ALONE, device
        return
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device not in ("cpu", "cuda"):
        raise ValueError(f"several processes cannot share the device {device!r}; take --device cpu or cuda")
    if device == "cuda":
        index = int(os.environ.get("LOCAL_RANK", "0"))
        if index >= torch.cuda.device_count():
            raise ValueError(
                f"there are {torch.cuda.device_count()} GPUs here, fewer than processes; start as many as there are "
                "GPUs, or take --device cpu"
            )
        device = f"cuda:{index}"
        torch.cuda.set_device(index)
    dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    try:
        yield Processes(dist.get_rank(), world, device), device
    finally:
        dist.destroy_process_group()
