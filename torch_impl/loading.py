"""Sequences of different lengths for torch.utils.data.DataLoader: a collate function, and batches of like lengths.

loader = DataLoader(list(zip(sequences, labels)), batch_sampler=BucketSampler(lengths, 32), collate_fn=collate_packed)
for inputs, targets in loader:
    loss = model.loss(model(inputs), targets)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, overload

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_sequence
from torch.utils.data import Sampler

from torch_impl.checks import check_lengths, check_size, shown
from torch_impl.types import Lengths


def split(inputs: Tensor, lengths: Lengths) -> list[Tensor]:
    """The rows of a padded batch [batch, steps, ...] without their padding: views [length, ...]."""
    return [
        row[:length] for row, length in zip(inputs, check_lengths(lengths, *inputs.shape[:2]).tolist(), strict=True)
    ]


@overload
def collate_packed(rows: Sequence[Tensor]) -> PackedSequence: ...
@overload
def collate_packed(rows: Sequence[tuple[Tensor, Any]]) -> tuple[PackedSequence, Any]: ...
def collate_packed(rows: Sequence[Any]) -> Any:
    """A list of sequences [length, ...], or of pairs (sequence, target), as one batch.

    The sequences become a PackedSequence, as torch.nn.utils.rnn.pack_sequence makes it, in any order of their lengths,
    each at least 1. Targets that are numbers or tensors without dimensions become a tensor [batch], in the order of the
    rows; those that are sequences as long as the rows are packed like them, for a `Regressor`. Returns the
    PackedSequence, or (PackedSequence, targets). Raises TypeError or ValueError that names the row.
    """
    if not rows:
        raise ValueError("rows must hold at least one sequence, got an empty list")
    if isinstance(rows[0], Tensor):
        return _packed("row", rows)
    for i, row in enumerate(rows):
        if not isinstance(row, (tuple, list)) or len(row) != 2:
            raise TypeError(f"row {i} must be a sequence or a pair (sequence, target), as row 0 is, got {shown(row)}")
    sequences, targets = zip(*rows, strict=True)
    inputs = _packed("row", sequences)
    if all(isinstance(target, Tensor) and target.ndim for target in targets):
        for i, (sequence, target) in enumerate(zip(sequences, targets, strict=True)):
            if len(sequence) != len(target):
                raise ValueError(f"the target of row {i} has {len(target)} steps, its sequence {len(sequence)}")
        return inputs, _packed("the target of row", targets)
    return inputs, torch.as_tensor(targets)


def _packed(name: str, sequences: Sequence[Any]) -> PackedSequence:
    for i, sequence in enumerate(sequences):
        if not isinstance(sequence, Tensor):
            raise TypeError(f"{name} {i} must be a tensor [length, ...], got {shown(sequence)}")
        if sequence.ndim == 0 or len(sequence) == 0:
            raise ValueError(f"{name} {i} must have at least one step, since none cannot be packed; leave it out")
    return pack_sequence(list(sequences), enforce_sorted=False)


class Padding(NamedTuple):
    """Steps that hold values, and steps computed when every batch is padded to its longest row."""

    valid: int
    computed: int

    @property
    def share(self) -> float:
        """The share of the steps computed that is padding."""
        return 1.0 - self.valid / self.computed if self.computed else 0.0


class BucketSampler(Sampler[list[int]]):
    """Batches of row numbers for DataLoader(batch_sampler=...): rows of like lengths together, each epoch anew.

    The rows are shuffled and cut into pools of `pool` batches; each pool is sorted by length and cut into batches, and
    the batches of the epoch are shuffled. A larger pool saves more padding, a smaller one mixes more. Once an epoch has
    begun, `padding` and `padding_shuffled` count the steps of its batches, and of those that the shuffle alone gives.
    """

    def __init__(
        self,
        lengths: Tensor | np.ndarray | Sequence[int],
        batch: int,
        pool: int = 100,
        drop_last: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        """lengths: integers by row, from 0. batch: rows per batch. drop_last: leave out an incomplete last batch."""
        lengths = torch.as_tensor(lengths)
        if lengths.ndim != 1 or not len(lengths):
            raise ValueError(f"lengths must be integers [rows], at least one, got {shown(lengths)}")
        self.lengths = check_lengths(lengths, len(lengths), 2**62)
        self.batch, self.pool = check_size("batch", batch), check_size("pool", pool)
        self.drop_last = drop_last
        self.generator = generator
        self.padding = self.padding_shuffled = Padding(0, 0)

    def __len__(self) -> int:
        """Batches per epoch."""
        rows = len(self.lengths)
        return rows // self.batch if self.drop_last else -(-rows // self.batch)

    def __iter__(self) -> Iterator[list[int]]:
        shuffled = torch.randperm(len(self.lengths), generator=self.generator)
        if self.drop_last:
            shuffled = shuffled[: len(self) * self.batch]
        batches: list[Tensor] = []
        for rows in shuffled.split(self.batch * self.pool):
            order = self.lengths[rows].argsort(stable=True, descending=True)  # an incomplete batch holds the shortest
            batches.extend(rows[order].split(self.batch))
        self.padding = self._count(batches)
        self.padding_shuffled = self._count(shuffled.split(self.batch))
        for i in torch.randperm(len(batches), generator=self.generator).tolist():
            yield batches[i].tolist()

    def _count(self, batches: Sequence[Tensor]) -> Padding:
        computed = sum(int(self.lengths[rows].max()) * len(rows) for rows in batches)
        return Padding(sum(int(self.lengths[rows].sum()) for rows in batches), computed)
