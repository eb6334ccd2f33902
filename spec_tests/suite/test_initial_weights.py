"""Freshly drawn weights: TF1's names and shapes, Glorot uniform kernels, zero biases, and one bias only.

The limit of a kernel is sqrt(6 / (fan in + fan out)) [Glorot and Bengio 2010, equation 16]; a cell's kernel is drawn as
one, with fan in = inputs + units.
"""

import numpy as np
import pytest

from spec_tests.suite.marks import needs
from spec_tests.tolerances import exact, near
from unrolled import networks
from unrolled.models import Model
from unrolled.networks import BasicRNN
from unrolled.programs import MNIST, SERIES

pytestmark = needs("initial_weights", "float32")

each_model = pytest.mark.parametrize(
    "model",
    [
        pytest.param(MNIST.model, marks=needs("classifier", "tanh"), id="mnist"),
        pytest.param(SERIES.model, marks=needs("regressor", "relu"), id="series"),
        pytest.param(
            Model("classifier", BasicRNN(60), inputs=200, outputs=40),
            marks=needs("classifier", "tanh"),
            id="wide inputs",
        ),
    ],
)


def kernels(model, weights):
    """Each part of a kernel that could have been drawn alone, with the limit that TF1 gives it: name, part, limit."""
    kernel, dense = weights["kernel"], weights["dense/kernel"]
    limit = np.sqrt(6.0 / (model.inputs + 2 * model.network.units))
    yield "the input rows of kernel", kernel[: model.inputs], limit
    yield "the recurrent rows of kernel", kernel[model.inputs :], limit
    yield "dense/kernel", dense, np.sqrt(6.0 / sum(dense.shape))


@each_model
def test_names_shapes_and_dtype_are_the_canonical_ones(backend, model):
    weights = backend.initial_weights(model, seed=1)
    found = {name: array.shape for name, array in weights.items()}
    expected = networks.shapes(model.weights())
    assert found == expected, "the shapes are %s, expected %s" % (found, expected)
    dtypes = {name: str(array.dtype) for name, array in weights.items()}
    assert set(dtypes.values()) == {"float32"}, "the dtypes are %s, expected float32" % dtypes


@each_model
def test_there_is_one_bias_per_unit(backend, model):
    """The parameter count: (inputs + units) units + units for the cell, units outputs + outputs for the dense layer."""
    units = model.network.units
    count = sum(array.size for array in backend.initial_weights(model, seed=1).values())
    expected = (model.inputs + units) * units + units + units * model.outputs + model.outputs
    assert count == expected, "there are %d parameters, expected %d" % (count, expected)


@each_model
def test_biases_are_zero(backend, model):
    weights = backend.initial_weights(model, seed=1)
    for name in ("bias", "dense/bias"):
        exact(weights[name], np.zeros(weights[name].shape), name)


@each_model
def test_kernels_reach_their_glorot_limit_and_do_not_exceed_it(backend, model):
    for name, part, limit in kernels(model, backend.initial_weights(model, seed=1)):
        largest = float(np.abs(part).max())
        # Of n uniform values the largest is above (1 - 20 / n) limit, but for one draw in exp(20) = 5e8.
        assert largest >= limit * (1 - 20 / part.size), "%s reaches %.4f, expected %.4f" % (name, largest, limit)
        assert largest <= limit * (1 + 1e-6), "%s reaches %.4f, above its limit %.4f" % (name, largest, limit)


@each_model
def test_kernels_are_uniform(backend, model):
    """Kolmogorov-Smirnov: sqrt(n) D above 2.7 has a probability of 2 exp(-2 * 2.7^2) = 9e-7 for a uniform draw."""
    for name, part, limit in kernels(model, backend.initial_weights(model, seed=1)):
        n = part.size
        expected = np.sort(part.ravel().astype(float)) / (2 * limit) + 0.5
        ranks = np.arange(n)
        distance = max(np.max(expected - ranks / n), np.max((ranks + 1) / n - expected))
        assert np.sqrt(n) * distance < 2.7, "%s is not uniform within %.4f: sqrt(n) D = %.2f" % (
            name,
            limit,
            np.sqrt(n) * distance,
        )


@each_model
def test_every_value_is_drawn_on_its_own(backend, model):
    """float32 gives some 2^23 different values: more than a few equal ones mean copies."""
    for name, part, _ in kernels(model, backend.initial_weights(model, seed=1)):
        equal = part.size - len(np.unique(part))
        assert equal <= 1 + part.size**2 / 2**22, "%s holds %d equal values" % (name, equal)


@pytest.mark.parametrize(
    ("model", "cell_limit", "dense_limit"),
    [
        pytest.param(MNIST.model, 0.1352, 0.1936, marks=needs("classifier", "tanh"), id="mnist"),
        pytest.param(SERIES.model, 0.1728, 0.2437, marks=needs("regressor", "relu"), id="series"),
    ],
)
def test_limits_of_the_chapter_are_those_worked_out_by_hand(backend, model, cell_limit, dense_limit):
    """sqrt(6 / (28 + 150 + 150)), sqrt(6 / (150 + 10)); sqrt(6 / (1 + 100 + 100)), sqrt(6 / (100 + 1))."""
    weights = backend.initial_weights(model, seed=1)
    near(np.abs(weights["kernel"]).max(), cell_limit, 0.01, "the largest value of kernel")
    near(np.abs(weights["dense/kernel"]).max(), dense_limit, 0.1, "the largest value of dense/kernel")


@each_model
def test_the_same_seed_gives_the_same_weights(backend, model):
    first, again = backend.initial_weights(model, seed=5), backend.initial_weights(model, seed=5)
    for name in first:
        exact(again[name], first[name], "%s drawn again with the same seed" % name)


@each_model
def test_another_seed_gives_other_weights(backend, model):
    first, other = backend.initial_weights(model, seed=5), backend.initial_weights(model, seed=6)
    for name in ("kernel", "dense/kernel"):
        same = float(np.mean(first[name] == other[name]))
        assert same < 0.01, "%s of seeds 5 and 6 share %.0f%% of their values" % (name, 100 * same)
