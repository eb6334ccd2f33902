"""Packed sequences whose rows are sorted by length, to padded ones and back."""

from __future__ import annotations

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence


def padded(values: Tensor, batch_sizes: Tensor) -> tuple[Tensor, Tensor]:
    """Packed values [values, width] -> ([batch, steps, width], lengths [batch])."""
    return pad_packed_sequence(PackedSequence(values, batch_sizes), batch_first=True)


def pack(whole: Tensor, lengths: Tensor) -> Tensor:
    """[batch, steps, width] with sorted lengths -> packed values [values, width]."""
    return pack_padded_sequence(whole, lengths, batch_first=True).data
