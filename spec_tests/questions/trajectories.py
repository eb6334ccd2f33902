"""The training programs of the chapter on their real data, as any backend runs them from given weights and batches.

The recorder, the suite and the comparison all train through here, so that they mean the same run. Python 3.7 syntax.
"""

from __future__ import annotations

from typing import Any, Callable, Iterator, NamedTuple, Optional

import numpy as np

from spec_tests.questions.makers import initial_weights
from unrolled.datasets import mnist
from unrolled.datasets.batches import BatchStream
from unrolled.programs import MNIST, MNIST_ITERATIONS_PER_EPOCH

MNIST_CHUNK = 61  # iterations per call of `train`: a sixth of an epoch, so that progress can be shown
SERIES_CHUNK = 100  # the chapter prints the MSE every 100 iterations

Progress = Optional[Callable[[int], Any]]


class Epoch(NamedTuple):
    """losses [366], each before its step; accuracies from 0 to 1, on the last batch and on the 10,000 test images."""

    losses: np.ndarray
    train_accuracy: float
    test_accuracy: float
    weights: dict[str, np.ndarray]


def accuracy(backend: Any, weights: dict[str, np.ndarray], images: np.ndarray, labels: np.ndarray) -> float:
    """The chapter's measure: the mean of in_top_k(logits, labels, 1)."""
    return float(np.mean(backend.in_top_k(backend.forward(MNIST.model, weights, images), labels, 1)))


def mnist_epochs(
    backend: Any, epochs: int, dtype: str = "float32", seed: int = 1, progress: Progress = None
) -> Iterator[Epoch]:
    """Program 7 on all 55,000 training images, from `initial_weights` of the seed on the batch stream of the same seed.

    progress is called with the number of iterations just done.
    """
    images = mnist.load()
    inputs, labels = images.train.images.astype(dtype), images.train.labels
    test = images.test.images.astype(dtype)
    stream = BatchStream(len(labels), MNIST.batch, seed)
    weights, slots = initial_weights(MNIST.model, dtype, seed), None
    for _ in range(epochs):
        batches, losses = stream.take(MNIST_ITERATIONS_PER_EPOCH), []
        for start in range(0, len(batches), MNIST_CHUNK):
            chunk = batches[start : start + MNIST_CHUNK]
            some, weights, slots = backend.train(
                MNIST.model, weights, MNIST.optimizer, inputs, labels, chunk, slots=slots
            )
            losses.append(some)
            if progress:
                progress(len(chunk))
        last = batches[-1]
        yield Epoch(
            np.concatenate(losses),
            accuracy(backend, weights, inputs[last], labels[last]),
            accuracy(backend, weights, test, images.test.labels),
            weights,
        )
