"""Sequences of different lengths side by side without their padding: longest first, step by step.

At each step the rows that take it are the first of all. So a step works on as many rows as need it, and the memory of
all steps, one block of rows after the other, holds no padding: that of a PackedSequence.
"""

from __future__ import annotations

from copy import copy
from functools import lru_cache

import torch
from torch import Tensor

from torch_impl.unrolling.packing import padding_mask

__all__ = ["Arrangement"]


class Arrangement:
    """Where the valid steps of a batch are.

    steps: of the longest row. order: int64 [batch], which row comes where, or None for the order given. counts: how
    many rows take each step. offsets: int64 [steps + 2], where block t begins, which has the rows of at least t steps
    (those whose state before step t there is); so block t + 1 has those that take step t. lengths: sorted, or None.
    """

    def __init__(
        self, batch: int, steps: int, lengths: Tensor | None = None, batch_sizes: Tensor | None = None
    ) -> None:
        """steps: of the padded inputs. lengths [batch], or of packed inputs their batch_sizes."""
        self.batch, self.stride, self.order, self.lengths = batch, steps, None, None
        self.packed = batch_sizes is not None
        if batch_sizes is not None:
            self.counts = batch_sizes.tolist()
            self.lengths = (batch_sizes[:, None] > torch.arange(batch)).sum(0)
        elif lengths is not None:
            self.lengths, self.order = torch.sort(lengths, descending=True, stable=True)
            longest = int(self.lengths[0])
            self.counts = (self.lengths[:, None] > torch.arange(longest)).sum(0).tolist()
        if self.lengths is None:
            self.steps, self.offsets, self.counts = steps, _full(batch, steps), [batch] * steps
        else:
            self.steps = len(self.counts)
            self.offsets = torch.tensor([0, batch, *self.counts]).cumsum(0)

    @property
    def places(self) -> Tensor:
        """Which of the padded inputs, one row's steps after another's, each valid step is: int64 [valid steps]."""
        assert self.lengths is not None and self.order is not None
        t, b = (~padding_mask(self.lengths, self.steps)).t().nonzero(as_tuple=True)
        return self.order[b] * self.stride + t

    def part(self, begin: int, end: int) -> Arrangement:
        """Of the rows from begin to end alone."""
        some = copy(self)
        some.batch = end - begin
        some.order = self.rows[begin:end]
        if self.lengths is None:
            some.offsets = _full(end - begin, self.steps)
        else:
            some.lengths = self.lengths[begin:end]
            some.steps = int(some.lengths[0])
            counts = torch.tensor(self.counts[: some.steps], dtype=torch.int64) - begin
            counts = counts.clamp_(0, end - begin)
            some.offsets = torch.cat([torch.tensor([0, end - begin]), counts]).cumsum(0)
            some.counts = counts.tolist()
        return some

    def gather(self, inputs: Tensor) -> Tensor:
        """The valid steps of inputs [batch, steps, width], or packed ones as they are: [valid steps, width]."""
        if self.packed:
            return inputs
        if self.order is None:
            return inputs.transpose(0, 1).contiguous().flatten(0, 1)
        return inputs.reshape(-1, inputs.shape[2]).index_select(0, self.places)

    def scatter(self, values: Tensor) -> Tensor:
        """The inverse of `gather`, zero in the padding; without lengths a view of time-major memory."""
        if self.packed:
            return values
        if self.order is None:
            return values.unflatten(0, (self.steps, self.batch)).transpose(0, 1)
        result = values.new_zeros(self.batch, self.stride, values.shape[1])
        result.view(self.batch * self.stride, -1).index_copy_(0, self.places, values)
        return result

    def taken(self, blocks: Tensor) -> Tensor:
        """Rows of blocks 0 to steps - 1 that take their step, without those that end there: [valid steps, width]."""
        if self.lengths is None:
            return blocks[: self.steps * self.batch]
        counts = torch.tensor(self.counts, dtype=torch.int64)
        starts = self.offsets[: self.steps] - counts.cumsum(0) + counts
        return blocks.index_select(0, torch.arange(int(counts.sum())) + torch.repeat_interleave(starts, counts))

    @property
    def rows(self) -> Tensor:
        """Which row of the inputs comes where: int64 [batch]."""
        return _numbers(self.batch) if self.order is None else self.order

    def last(self, blocks: Tensor, given: Tensor | None) -> Tensor:
        """Each row's final state in the order given, from the states [offsets[-1], width] of all blocks; `given`, the
        initial one, in rows without steps."""
        if self.lengths is None:
            return blocks[self.offsets[-2] :].clone()
        index = self.offsets[self.lengths] + torch.arange(self.batch)
        state = blocks.index_select(0, index if self.order is None else self.given_order(index))
        if self.lengths[-1] == 0:
            assert self.order is not None
            none = self.order[self.lengths == 0]
            state[none] = 0.0 if given is None else given[none]
        return state

    def sorted(self, values: Tensor) -> Tensor:
        """Rows [batch, ...] in this order."""
        return values if self.order is None else values.index_select(0, self.order)

    def given_order(self, values: Tensor) -> Tensor:
        """The inverse of `sorted`."""
        return values if self.order is None else torch.empty_like(values).index_copy_(0, self.order, values)


@lru_cache(maxsize=64)
def _full(batch: int, steps: int) -> Tensor:
    return torch.arange(steps + 2) * batch


@lru_cache(maxsize=64)
def _numbers(batch: int) -> Tensor:
    return torch.arange(batch)
