"""The names of the digits as tokens, batches of like lengths, and the scaling of the utterances."""

import numpy as np
import pytest

from unrolled.datasets import spelling, vowels
from unrolled.datasets.batches import BatchStream, bucketed, padding_share
from unrolled.models import END
from unrolled.programs import SPELLER


def test_the_vocabulary_is_the_end_and_the_fifteen_letters_in_order():
    assert spelling.LETTERS == "efghinorstuvwxz" and END == 0
    assert SPELLER.model.outputs == 1 + len(spelling.LETTERS)
    assert SPELLER.model.max_steps == 1 + max(len(name) for name in spelling.NAMES)


def test_names_of_labels_are_padded_with_the_end():
    tokens = spelling.names_of(np.array([1, 7]))
    assert tokens.dtype == np.int64
    assert tokens.tolist() == [[7, 6, 1, 0, 0, 0], [9, 1, 12, 1, 6, 0]]  # o n e, s e v e n
    assert spelling.words(spelling.names_of(np.arange(10))) == list(spelling.NAMES)


def test_words_stop_at_the_first_end_and_show_its_absence():
    assert spelling.words(np.array([[7, 6, 0, 1], [0, 1, 1, 1], [7, 7, 7, 7]])) == ["on", "", "oooo\u2026"]


@pytest.mark.parametrize("label", [-1, 10])
def test_a_label_that_is_no_digit_cannot_be_spelled(label):
    with pytest.raises(ValueError, match="digits from 0 to 9 .* got %d" % label):
        spelling.names_of(np.array([3, label]))


@pytest.mark.parametrize("word", ["eleven", "two!"])
def test_a_word_that_is_too_long_or_has_other_letters_is_refused(word):
    with pytest.raises(ValueError, match=word):
        spelling.tokens_of([word])


def test_bucketed_batches_hold_the_same_rows_and_save_padding():
    lengths = np.random.RandomState(0).randint(1, 30, 120)
    drawn = BatchStream(120, 10, 3).take(12)
    batches = bucketed(drawn, lengths)
    assert batches.shape == drawn.shape and sorted(batches.ravel()) == sorted(drawn.ravel())
    assert padding_share(batches, lengths) < 0.1 < 0.4 < padding_share(drawn, lengths)
    spans = sorted((lengths[rows].min(), lengths[rows].max()) for rows in batches)
    assert all(before[1] <= after[0] for before, after in zip(spans, spans[1:]))


def test_bucketed_batches_come_in_no_order_of_length():
    lengths = np.repeat(np.arange(1, 13), 10)
    longest = lengths[bucketed(BatchStream(120, 10, 3).take(12), lengths)].max(axis=1)
    again = lengths[bucketed(BatchStream(120, 10, 4).take(12), lengths)].max(axis=1)
    assert sorted(longest) == sorted(again) == list(range(1, 13))
    assert longest.tolist() not in (sorted(longest), sorted(longest)[::-1], again.tolist())


def test_padding_share_by_hand():
    assert padding_share(np.array([[0, 1], [2, 2]]), np.array([4, 1, 3])) == pytest.approx(3 / 14)
    assert padding_share(np.array([[0, 0]]), np.array([5])) == 0.0
    assert padding_share(np.zeros((0, 2), np.int64), np.array([5])) == 0.0


def test_channels_are_scaled_by_the_valid_frames_of_the_training_set():
    raw = vowels.load()
    scaled = vowels.standardized(raw)
    valid = np.arange(raw.train.inputs.shape[1]) < raw.train.lengths[:, None]
    frames = scaled.train.inputs[valid].astype(np.float64)
    np.testing.assert_allclose(frames.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(frames.std(axis=0), 1, atol=1e-6)
    assert scaled.train.inputs.dtype == np.float32 and (scaled.train.inputs[~valid] == 0).all()
    # The test set by the training set's numbers, and its padding zero as well.
    before = raw.train.inputs[valid].astype(np.float64)
    expected = (raw.test.inputs[3, 0] - before.mean(axis=0)) / before.std(axis=0)
    np.testing.assert_allclose(scaled.test.inputs[3, 0], expected, rtol=1e-5)
    past = np.arange(raw.test.inputs.shape[1]) >= raw.test.lengths[:, None]
    assert (scaled.test.inputs[past] == 0).all()
    assert np.array_equal(scaled.test.lengths, raw.test.lengths) and np.array_equal(
        scaled.test.speaker, raw.test.speaker
    )


def test_a_constant_channel_stays_finite():
    part = vowels.Utterances(np.ones((2, 3, 12), np.float32), np.array([3, 1]), np.array([0, 1]))
    assert (vowels.standardized(vowels.Vowels(part, part)).train.inputs == 0).all()
