"""Batches of sequences of different lengths: the collate function, and batches of like lengths."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_sequence, unpack_sequence
from torch.utils.data import DataLoader

from torch_impl import RNN, Classifier
from torch_impl.loading import BucketSampler, collate_packed, split

LENGTHS = torch.randint(1, 30, (103,), generator=torch.Generator().manual_seed(1))
SEQUENCES = [torch.randn(n, 3, generator=torch.Generator().manual_seed(n)) for n in LENGTHS.tolist()]
LABELS = [n % 4 for n in range(103)]


def sampler(seed: int = 0, **settings: Any) -> BucketSampler:
    return BucketSampler(LENGTHS, 10, generator=torch.Generator().manual_seed(seed), **settings)


def test_pairs_become_a_packed_sequence_and_targets_in_the_order_of_the_rows() -> None:
    inputs, targets = collate_packed(list(zip(SEQUENCES[:5], LABELS[:5], strict=True)))
    expected = pack_sequence(SEQUENCES[:5], enforce_sorted=False)
    assert isinstance(inputs, PackedSequence) and torch.equal(inputs.data, expected.data)
    assert inputs.sorted_indices is not None and expected.sorted_indices is not None
    assert torch.equal(inputs.sorted_indices, expected.sorted_indices)
    assert targets.dtype == torch.int64 and targets.tolist() == LABELS[:5]
    assert all(map(torch.equal, unpack_sequence(inputs), SEQUENCES[:5]))


def test_targets_that_are_sequences_are_packed_alike() -> None:
    inputs, targets = collate_packed([(x, 2 * x[:, :1]) for x in SEQUENCES[:6]])
    assert torch.equal(targets.data, 2 * inputs.data[:, :1])
    assert inputs.sorted_indices is not None and torch.equal(targets.sorted_indices, inputs.sorted_indices)


def test_sequences_alone_are_packed() -> None:
    assert torch.equal(collate_packed(SEQUENCES[:4]).data, pack_sequence(SEQUENCES[:4], enforce_sorted=False).data)


def test_a_loader_trains_a_classifier() -> None:
    loader: DataLoader[Any] = DataLoader(
        list(zip(SEQUENCES, LABELS, strict=True)),  # type: ignore[arg-type]  # a list is a data set
        batch_sampler=sampler(),
        collate_fn=collate_packed,
    )
    model = Classifier(RNN(3, 5), 4)
    count = 0
    for inputs, targets in loader:
        loss = model.loss(model(inputs), targets)
        loss.backward()
        count += len(targets)
    assert count == 103 and len(loader) == 11
    assert all(p.grad is not None for p in model.parameters())


def test_split_takes_the_padding_off() -> None:
    padded = torch.arange(12.0).reshape(2, 3, 2)
    first, second = split(padded, [1, 3])
    assert first.tolist() == [[0.0, 1.0]] and second.shape == (3, 2)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "empty list"),
        ([torch.zeros(2, 3), torch.zeros(0, 3)], "row 1 must have at least one step"),
        ([(torch.zeros(2, 3), 1), torch.zeros(2, 3)], "row 1 must be a sequence or a pair"),
        ([([1.0, 2.0], 1)], "row 0 must be a tensor"),
        ([(torch.zeros(2, 3), torch.zeros(3, 1))], "the target of row 0 has 3 steps, its sequence 2"),
    ],
)
def test_rows_that_cannot_be_a_batch_are_named(rows: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        collate_packed(rows)


def test_bucketed_batches_cover_every_row_once_and_save_padding() -> None:
    chosen = sampler()
    batches = list(chosen)
    assert sorted(row for rows in batches for row in rows) == list(range(103))
    assert [len(rows) for rows in batches].count(10) == 10 and len(batches) == len(chosen) == 11
    computed = sum(int(LENGTHS[rows].max()) * len(rows) for rows in batches)
    assert chosen.padding == (int(LENGTHS.sum()), computed)
    assert chosen.padding.valid == chosen.padding_shuffled.valid
    assert chosen.padding.share < 0.12 < 0.4 < chosen.padding_shuffled.share


def test_a_small_pool_sorts_only_within_itself() -> None:
    shares = []
    for pool in (1, 3, 100):
        chosen = sampler(pool=pool)
        list(chosen)
        shares.append(chosen.padding.share)
    assert shares[0] > shares[1] > shares[2]
    chosen = sampler(pool=1)
    list(chosen)
    assert chosen.padding == chosen.padding_shuffled


def test_each_epoch_is_drawn_anew_and_a_seed_repeats() -> None:
    chosen = sampler(5)
    first, second = list(chosen), list(chosen)
    assert first != second and first == list(sampler(5))
    longest = [int(LENGTHS[rows].max()) for rows in first]
    assert longest not in (sorted(longest), sorted(longest, reverse=True))


def test_an_incomplete_batch_can_be_dropped() -> None:
    chosen = sampler(drop_last=True)
    assert [len(rows) for rows in chosen] == [10] * 10 and len(chosen) == 10


@pytest.mark.parametrize(
    ("lengths", "message"), [([], "at least one"), ([[1]], "lengths must be"), ([3, -1], "got lengths.1. = -1")]
)
def test_wrong_lengths_are_named(lengths: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        BucketSampler(torch.tensor(lengths, dtype=torch.int64), 2)


def test_lengths_of_zero_can_be_sampled() -> None:
    chosen = BucketSampler(torch.zeros(4, dtype=torch.int64), 2)
    assert len(list(chosen)) == 2 and chosen.padding.share == 0.0


def test_the_sampler_leaves_its_lengths_alone() -> None:
    kept: Tensor = LENGTHS.clone()
    list(sampler())
    assert torch.equal(LENGTHS, kept)
