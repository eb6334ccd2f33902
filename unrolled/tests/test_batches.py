"""The batch stream against TensorFlow 1's own rules, and its state."""

import json

import numpy as np
import pytest

from unrolled.datasets.batches import BatchStream
from unrolled.errors import DataError


class NextBatch:
    """TF1's rules written out on an array of its own, which is permuted in place of the images."""

    def __init__(self, values, seed):
        self.values, self.random = values, np.random.RandomState(seed)
        self.position, self.epochs_completed = 0, 0
        self.first = True

    def reshuffle(self):
        permutation = np.arange(len(self.values))
        self.random.shuffle(permutation)
        self.values = self.values[permutation]

    def next(self, batch):
        if self.first:
            self.reshuffle()
            self.first = False
        start = self.position
        if start + batch > len(self.values):
            self.epochs_completed += 1
            old = self.values[start:]
            self.reshuffle()
            self.position = batch - len(old)
            return np.concatenate([old, self.values[: self.position]])
        self.position += batch
        return self.values[start : self.position]


@pytest.mark.parametrize(("rows", "batch"), [(7, 3), (6, 3), (5, 5), (5, 4), (1, 1), (8, 1), (11, 10)])
@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
def test_order_is_that_of_next_batch(rows, batch, seed):
    values = np.random.RandomState(99).rand(rows)
    expected, stream = NextBatch(values, seed), BatchStream(rows, batch, seed)
    assert stream.epochs_completed == 0
    for _ in range(40):
        row_numbers = stream.next()
        assert row_numbers.dtype == np.int64 and row_numbers.shape == (batch,)
        np.testing.assert_array_equal(values[row_numbers], expected.next(batch))
        assert stream.epochs_completed == expected.epochs_completed


def test_the_stream_of_a_seed_never_changes():
    """Recorded with NumPy 1.18.5 and 2.4.6: a change here would change every training run."""
    assert BatchStream(5, 3, 1).take(4).tolist() == [[2, 1, 4], [0, 3, 2], [4, 3, 0], [1, 3, 0]]


def test_the_chapters_367th_batch_straddles_two_epochs():
    stream = BatchStream(55000, 150, 1)
    first = stream.take(366)
    assert stream.epochs_completed == 0
    assert len(np.unique(first)) == 54900
    straddling = stream.next()
    assert stream.epochs_completed == 1
    left_over = np.setdiff1d(np.arange(55000), first)
    assert sorted(straddling[:100]) == left_over.tolist()
    second = np.concatenate([straddling[100:], stream.take(366).ravel()])[:55000]
    assert len(np.unique(second)) == len(second)
    assert not np.array_equal(second[:1000], first.ravel()[:1000])


def test_take_is_next_repeated_and_hands_out_copies():
    one, many = BatchStream(7, 3, 5), BatchStream(7, 3, 5)
    taken = many.take(6)
    np.testing.assert_array_equal(taken, [one.next() for _ in range(6)])
    assert many.take(0).shape == (0, 3)
    many.next()[:] = -1
    one.next()
    np.testing.assert_array_equal(many.take(20), one.take(20))


def test_seeds_give_other_orders_and_leave_the_global_generator_alone():
    np.random.seed(0)
    expected = np.random.rand()
    np.random.seed(0)
    assert not np.array_equal(BatchStream(100, 100, 1).next(), BatchStream(100, 100, 2).next())
    assert np.random.rand() == expected


@pytest.mark.parametrize("drawn", [0, 1, 2, 3, 7, 50])
def test_a_stream_resumes_from_its_state(drawn):
    stream = BatchStream(7, 3, 4)
    stream.take(drawn)
    resumed = BatchStream.from_state(json.loads(json.dumps(stream.state())))
    assert resumed.epochs_completed == stream.epochs_completed
    assert resumed.state() == stream.state()
    np.testing.assert_array_equal(resumed.take(30), stream.take(30))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rows", 8),
        ("batch", 2),
        ("seed", 5),
        ("batches", 10**18),
        ("batches", True),
        ("batches", None),
        ("order_sha256", "0" * 64),
        ("sha256", "0" * 64),
        ("seed", float("nan")),
        ("seed", {1, 2}),
    ],
)
def test_an_altered_state_is_an_error(field, value):
    state = dict(BatchStream(7, 3, 4).state(), **{field: value})
    with pytest.raises(DataError, match="altered: its checksum is wrong"):
        BatchStream.from_state(state)


@pytest.mark.parametrize("state", [None, [], {}, "{}", {"rows": 3}])
def test_a_state_of_another_form_is_an_error(state):
    with pytest.raises(DataError, match="expected batch, batches, order_sha256, rows, schema, seed, sha256"):
        BatchStream.from_state(state)


def test_a_state_of_another_schema_is_an_error():
    with pytest.raises(DataError, match=r"schema 'unrolled.batches/2', expected 'unrolled.batches/1'"):
        BatchStream.from_state(dict(BatchStream(7, 3, 4).state(), schema="unrolled.batches/2"))


def test_a_numpy_that_shuffles_otherwise_is_found_out(monkeypatch):
    state = BatchStream(7, 3, 4).state()
    monkeypatch.setattr(BatchStream, "_shuffle", lambda stream: None)
    with pytest.raises(DataError, match="another order of rows under NumPy"):
        BatchStream.from_state(state)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((5, 6, 0), ValueError, "batch is 6, but there are only 5 rows; expected 1 to 5"),
        ((0, 1, 0), ValueError, "rows is 0, expected at least 1"),
        ((5, 0, 0), ValueError, "batch is 0, expected at least 1"),
        ((5, 1, -1), ValueError, "seed is -1, expected 0 to 4294967295"),
        ((5, 1, 2**32), ValueError, "seed is 4294967296, expected 0 to 4294967295"),
        ((5.0, 1, 0), TypeError, "rows is 5.0, expected an integer"),
        ((5, True, 0), TypeError, "batch is True, expected an integer"),
        ((5, 1, None), TypeError, "seed is None, expected an integer"),
    ],
)
def test_wrong_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        BatchStream(*arguments)
