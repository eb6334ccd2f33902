"""A dense layer on the cell: forward, prediction, loss and its gradients, for the classifier and both regressors."""

import numpy as np
import pytest

from spec_tests import oracle
from spec_tests.questions import makers
from spec_tests.questions.makers import BATCH, LENGTHS, OUTPUTS, STEPS, padded, padding_of
from spec_tests.suite.marks import each_dtype, each_model, needs, refused
from spec_tests.tolerances import exact

MIXED = LENGTHS["mixed"]
some_lengths = pytest.mark.parametrize(
    "lengths", [None, pytest.param(LENGTHS["unsorted"], marks=needs("lengths"))], ids=["full", "unsorted"]
)


@each_model
@some_lengths
@each_dtype
def test_forward_matches_the_oracle(backend, form, lengths, dtype, compare):
    """Logits [batch, outputs] of a classifier, predictions [batch, steps, outputs] of a regressor."""
    case = makers.supervised(form, dtype)
    found = backend.forward(case.model, case.weights, case.inputs, lengths)
    compare("predictions", found, oracle.forward(case.model, case.weights, case.inputs, lengths), dtype)


@each_model
@some_lengths
@each_dtype
def test_loss_matches_the_oracle(backend, form, lengths, dtype, compare):
    """The mean over rows (classifier), or over every entry, padded steps included (regressor)."""
    case = makers.supervised(form, dtype)
    arguments = (case.model, case.weights, case.inputs, case.targets, lengths)
    found = backend.loss(*arguments)
    assert isinstance(found, float), "loss must be a plain float, found %s" % type(found).__name__
    compare("loss", found, oracle.loss(*arguments), dtype)


@needs("gradients")
@each_model
@some_lengths
@each_dtype
def test_loss_gradients_match_the_oracle_by_name(backend, form, lengths, dtype, compare):
    case = makers.supervised(form, dtype)
    arguments = (case.model, case.weights, case.inputs, case.targets, lengths)
    value, gradients = backend.loss_gradients(*arguments)
    expected_value, expected = oracle.loss_gradients(*arguments)
    compare("loss", value, expected_value, dtype)
    compare("gradients", gradients, expected, dtype)


@needs("classifier", "tanh")
@each_dtype
def test_predicted_class_is_the_one_of_the_largest_logit(backend, dtype):
    case = makers.supervised("classifier", dtype)
    logits = oracle.forward(case.model, case.weights, case.inputs)
    found = backend.predict(case.model, case.weights, case.inputs)
    assert found.dtype == np.int64, "predicted classes must be int64, found %s" % found.dtype
    exact(found, logits.argmax(axis=1), "the predicted classes")


@needs("classifier", "tanh", "float32")
def test_a_tie_is_predicted_as_the_lowest_class(backend):
    case = makers.supervised("classifier", "float32")
    weights = dict(case.weights)
    weights["dense/kernel"] = np.zeros_like(weights["dense/kernel"])
    weights["dense/bias"] = np.array([0, 1, 3, 2, 3, 3, 0, 1], "float32")
    exact(backend.predict(case.model, weights, case.inputs), np.full(BATCH, 2), "the class of three equal logits")


@needs("regressor", "relu")
@pytest.mark.parametrize("form", ["stacked", "wrapped"])
@some_lengths
@each_dtype
def test_predictions_of_a_regressor_match_the_oracle(backend, form, lengths, dtype, compare):
    case = makers.supervised(form, dtype)
    found = backend.predict(case.model, case.weights, case.inputs, lengths)
    compare("predictions", found, oracle.forward(case.model, case.weights, case.inputs, lengths), dtype)


@needs("regressor", "relu")
@each_dtype
def test_projection_forms_agree_without_lengths(backend, dtype, compare):
    stacked, wrapped = makers.supervised("stacked", dtype), makers.supervised("wrapped", dtype)
    found = backend.forward(stacked.model, stacked.weights, stacked.inputs)
    other = backend.forward(wrapped.model, stacked.weights, stacked.inputs)
    compare("predictions", other, found, dtype, "wrapped predictions beside stacked ones")


@needs("regressor", "relu", "lengths", "float32")
def test_padded_steps_hold_zeros_when_wrapped(backend):
    case = makers.supervised("wrapped", "float32")
    past = padding_of(case.inputs, MIXED)
    found = backend.forward(case.model, case.weights, case.inputs, MIXED)[past]
    exact(found, np.zeros((past.sum(), OUTPUTS)), "wrapped predictions on padded steps")


@needs("regressor", "relu", "lengths", "float32")
def test_padded_steps_hold_the_dense_bias_when_stacked(backend):
    case = makers.supervised("stacked", "float32")
    past = padding_of(case.inputs, MIXED)
    found = backend.forward(case.model, case.weights, case.inputs, MIXED)[past]
    exact(found, np.tile(case.weights["dense/bias"], (past.sum(), 1)), "stacked predictions on padded steps")


@needs("lengths", "float32")
@each_model
@pytest.mark.parametrize("padding", [np.nan, 1e6], ids=["nan", "1e6"])
def test_padding_of_the_inputs_does_not_reach_the_loss(backend, form, padding):
    case = makers.supervised(form, "float32")
    losses = [
        backend.loss(case.model, case.weights, padded(case.inputs, MIXED, value), case.targets, MIXED)
        for value in (0.0, padding)
    ]
    assert losses[0] == losses[1], "the loss is %r with zeros in the padding, %r with %s" % (*losses, padding)


@needs("classifier", "tanh")
@each_dtype
def test_cross_entropy_of_large_logits_stays_finite(backend, dtype, compare):
    """Logits of a thousand: exp alone would overflow."""
    case = makers.supervised("classifier", dtype)
    weights = dict(case.weights)
    weights["dense/bias"] = np.linspace(-1000, 1000, case.model.outputs).astype(dtype)
    found = backend.loss(case.model, weights, case.inputs, case.targets)
    compare("loss", found, oracle.loss(case.model, weights, case.inputs, case.targets), dtype)


@needs("classifier", "tanh", "float32")
@pytest.mark.parametrize("label", [-1, 8, -100])
@pytest.mark.parametrize("method", ["loss", pytest.param("loss_gradients", marks=needs("gradients"))])
def test_label_out_of_range_is_an_error(backend, label, method):
    """Also -100, which PyTorch's cross-entropy ignores without a word."""
    case = makers.supervised("classifier", "float32")
    targets = case.targets.copy()
    targets[2] = label
    with refused("targets"):
        getattr(backend, method)(case.model, case.weights, case.inputs, targets)


@needs("float32")
@each_model
def test_targets_of_wrong_size_are_an_error(backend, form):
    case = makers.supervised(form, "float32")
    with refused("targets"):
        backend.loss(case.model, case.weights, case.inputs, case.targets[1:])


@needs("lengths", "float32")
@each_model
@pytest.mark.parametrize("wrong", [-1, STEPS + 1], ids=["negative", "above the steps"])
def test_length_out_of_range_is_an_error_for_a_model_too(backend, form, wrong):
    case = makers.supervised(form, "float32")
    lengths = MIXED.copy()
    lengths[1] = wrong
    with refused("lengths"):
        backend.forward(case.model, case.weights, case.inputs, lengths)
