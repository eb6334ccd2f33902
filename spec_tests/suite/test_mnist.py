"""Program 7 on real MNIST: three epochs on the 55,000 images, from the same weights on the same batches."""

import numpy as np
import pytest

from spec_tests.questions.trajectories import mnist_epochs
from spec_tests.suite.marks import needs
from unrolled.datasets import recorded
from unrolled.programs import MNIST_ITERATIONS_PER_EPOCH

pytestmark = needs("mnist", "classifier", "training", "in_top_k", "tanh", "float32")
EPOCHS = 3
RECORDED = "tf-1.15.5-curve-float32/mnist-3-epochs"
PART = 61  # iterations, a sixth of an epoch


@pytest.fixture(scope="session")
def epochs(backend):
    """The one run of this backend that all tests here look at."""
    return list(mnist_epochs(backend, EPOCHS))


@pytest.fixture(scope="session")
def expected():
    return recorded.load(RECORDED).answer


def test_three_epochs_reach_an_accuracy_above_094(epochs):
    """On the 10,000 test images; TensorFlow 1.15.5 reaches 0.9575 from these weights."""
    assert epochs[-1].test_accuracy > 0.94, "the accuracy after three epochs is %.4f" % epochs[-1].test_accuracy


def test_first_epoch_follows_tensorflow_1_15_5_step_by_step(epochs, expected, compare):
    losses = expected["losses"][:MNIST_ITERATIONS_PER_EPOCH]
    compare("mnist losses, 1 epoch", epochs[0].losses, losses, "float32", "the losses of the first epoch")


def test_loss_curve_of_three_epochs_follows_tensorflow_1_15_5(epochs, expected, compare):
    """Means over a sixth of an epoch: single losses drift apart by rounding alone."""
    found = np.concatenate([epoch.losses for epoch in epochs])
    means, expected_means = (curve.reshape(-1, PART).mean(axis=1) for curve in (found, expected["losses"]))
    compare("mnist loss curve, 3 epochs", means, expected_means, "float32", "the loss curve")


def test_accuracies_follow_tensorflow_1_15_5(epochs, expected):
    found = [epoch.test_accuracy for epoch in epochs]
    apart = np.abs(np.array(found) - expected["test_accuracy"])
    assert apart.max() <= 0.005, "the accuracies are %s, those of TensorFlow 1.15.5 %s: more than 0.005 apart" % (
        found,
        expected["test_accuracy"].tolist(),
    )
