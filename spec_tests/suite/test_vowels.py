"""Real sequences of different lengths: Japanese Vowels, 7 to 29 frames of 12 channels, 9 speakers."""

import functools

import numpy as np
import pytest

from spec_tests import oracle
from spec_tests.questions import decoding
from spec_tests.questions.makers import initial_weights, padded
from spec_tests.suite.marks import each_dtype, needs
from spec_tests.tolerances import exact
from unrolled.datasets import recorded, vowels
from unrolled.datasets.batches import BatchStream, bucketed
from unrolled.programs import VOWELS, Adam

pytestmark = needs("classifier", "lengths", "tanh")
QUICK = Adam(learning_rate=0.001)  # learns in few steps what the program's own rate learns better in more


@functools.lru_cache(maxsize=None)
def utterances():
    return vowels.standardized(vowels.load())


@needs("training")
@each_dtype
def test_sixty_steps_follow_tensorflow_1_15_5(backend, dtype, compare):
    case = decoding.sequence_training("vowels", dtype, 60)
    losses, _, _ = backend.train(**case.arguments)
    answer = recorded.load("tf-1.15.5-sequences-%s/%s" % (dtype, case.name)).answer
    compare("losses over 60 steps", losses, answer["losses"], dtype)


@needs("float32")
def test_noise_in_the_padding_changes_nothing(backend):
    """Bit for bit."""
    test, weights = utterances().test, initial_weights(VOWELS.model, "float32", 1)
    expected = backend.forward(VOWELS.model, weights, test.inputs, test.lengths)
    noisy = np.random.RandomState(1).normal(0, 100, test.inputs.shape).astype("float32")
    valid = np.arange(test.inputs.shape[1]) < test.lengths[:, None]
    noisy[valid] = test.inputs[valid]
    exact(backend.forward(VOWELS.model, weights, noisy, test.lengths), expected, "logits with noise in the padding")


@needs("float32")
def test_padding_the_batch_further_changes_nothing(backend, compare):
    test, weights = utterances().test, initial_weights(VOWELS.model, "float32", 1)
    longer = np.pad(test.inputs, ((0, 0), (0, 40), (0, 0)), "constant", constant_values=7.0)
    expected = backend.forward(VOWELS.model, weights, test.inputs, test.lengths)
    found = backend.forward(VOWELS.model, weights, longer, test.lengths)
    compare("predictions", found, expected, "float32", "logits with 40 more steps of padding")


@needs("float32")
def test_an_utterance_is_the_same_alone_and_without_padding(backend, compare):
    test, weights = utterances().test, initial_weights(VOWELS.model, "float32", 1)
    rows = [int(test.lengths.argmin()), int(test.lengths.argmax()), 0]
    together = backend.forward(VOWELS.model, weights, test.inputs[rows], test.lengths[rows])
    for place, row in enumerate(rows):
        alone = backend.forward(VOWELS.model, weights, test.inputs[[row], : test.lengths[row]])
        compare("predictions", alone[0], together[place], "float32", "logits of utterance %d alone" % row)


@needs("float64", "gradients")
@pytest.mark.parametrize("padding", [0.0, 1e6])
def test_gradients_on_real_lengths_match_the_oracle(backend, padding, compare):
    train, weights = utterances().train, initial_weights(VOWELS.model, "float64", 1)
    rows = np.random.RandomState(2).permutation(270)[:20]
    lengths = train.lengths[rows]
    inputs = padded(train.inputs[rows].astype("float64"), lengths, padding)
    expected_loss, expected = oracle.loss_gradients(VOWELS.model, weights, inputs, train.speaker[rows], lengths)
    loss, gradients = backend.loss_gradients(VOWELS.model, weights, inputs, train.speaker[rows], lengths)
    compare("loss", loss, expected_loss, "float64")
    compare("gradients", gradients, expected, "float64")


@needs("training", "in_top_k", "float32")
@pytest.mark.parametrize("order", ["as drawn", "bucketed"])
def test_twelve_epochs_learn_the_speakers(backend, order):
    """Above 0.93 of the test utterances. With lengths ignored, or one frame off, the state is that of the padding."""
    train, test = utterances()
    batches = BatchStream(270, VOWELS.batch, 1).take(12 * 9)
    if order == "bucketed":
        batches = np.concatenate([bucketed(epoch, train.lengths) for epoch in np.split(batches, 12)])
    weights = initial_weights(VOWELS.model, "float32", 1)
    _, weights, _ = backend.train(VOWELS.model, weights, QUICK, train.inputs, train.speaker, batches, train.lengths)
    logits = backend.forward(VOWELS.model, weights, test.inputs, test.lengths)
    accuracy = float(np.mean(backend.in_top_k(logits, test.speaker, 1)))
    assert accuracy > 0.93, "the accuracy on the test utterances is %.4f" % accuracy
