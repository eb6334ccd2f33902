"""Sequences of different lengths for a kernel that knows none: packed, padded, masked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from torch_impl.checks import tracing
from torch_impl.states import State, mapped

__all__ = ["pack", "pack_like", "padded", "padding_mask", "rows", "run_packed"]

# kernel(inputs, state, batch_sizes) -> (outputs, state), of inputs [batch, steps, inputs], or of packed values with
# their batch_sizes
Kernel = Callable[[Tensor, Any, Tensor | None], tuple[Tensor, Any]]


def padded(values: Tensor, batch_sizes: Tensor) -> tuple[Tensor, Tensor]:
    """Packed values [values, width] -> ([batch, steps, width], lengths [batch])."""
    return pad_packed_sequence(PackedSequence(values, batch_sizes), batch_first=True)


def pack(whole: Any, lengths: Any) -> Tensor:
    """[batch, steps, width] with sorted lengths -> packed values [values, width]."""
    return pack_padded_sequence(whole, lengths, batch_first=True).data


def pack_like(mask: Tensor, batch_sizes: Tensor | None) -> Tensor:
    """A mask [batch, steps, width] packed as the sequences are, whose order it has; as it is where nothing is packed,
    and where it is [width]."""
    if batch_sizes is None or mask.ndim == 1:
        return mask
    return torch.cat([mask[:size, step] for step, size in enumerate(batch_sizes.tolist())])


def rows(inputs: Tensor, batch_sizes: Tensor | None) -> Any:
    """How many sequences there are; while the call is traced, what stands for the number."""
    if batch_sizes is None:
        return inputs.shape[0]
    return batch_sizes[0] if tracing() else int(batch_sizes[0])


def padding_mask(lengths: Tensor, steps: int) -> Tensor:
    """Whether a step lies past its row's length: bool [batch, steps]."""
    return torch.arange(steps, device=lengths.device) >= lengths[:, None]


def run_packed(kernel: Kernel, inputs: Tensor, lengths: Tensor, state: State) -> tuple[Tensor, Any]:
    """The kernel on packed sequences, padded again: (outputs, state) under the length law.

    lengths: on the CPU, at least one of them above 0.
    """
    kept = lengths.nonzero()[:, 0]
    if len(kept) == len(inputs):
        return _run_packed(kernel, inputs, lengths, state)
    # Packing refuses rows of length zero, so they are taken out before it and put back after it.
    lengths, kept = lengths[kept], kept.to(inputs.device, non_blocking=True)
    given = mapped(lambda part: part.index_select(0, kept), state)
    some, last = _run_packed(kernel, inputs.index_select(0, kept), lengths, given)
    outputs = some.new_zeros(*inputs.shape[:2], some.shape[2]).index_copy(0, kept, some)
    return outputs, mapped(lambda new, old: old.to(new.dtype).index_copy(0, kept, new), last, state)


def _run_packed(kernel: Kernel, inputs: Tensor, lengths: Tensor, state: State) -> tuple[Tensor, Any]:
    """lengths: at least 1 each, on the CPU."""
    data, batch_sizes, order, inverse = pack_padded_sequence(inputs, lengths, batch_first=True, enforce_sorted=False)
    values, last = kernel(data, mapped(lambda part: part.index_select(0, order), state), batch_sizes)
    packed = PackedSequence(values, batch_sizes, order, inverse)
    # total_length: without it the padding would end at the longest row.
    outputs, _ = pad_packed_sequence(packed, batch_first=True, total_length=inputs.shape[1])
    return outputs, mapped(lambda part: part.index_select(0, inverse), last)
