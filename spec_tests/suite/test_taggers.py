"""Taggers, embeddings and hidden dense layers: which steps count, which rows move, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from spec_tests import oracle
from spec_tests.capabilities import needs_of
from spec_tests.questions import kinds
from spec_tests.questions.makers import BATCH, LENGTHS, STEPS, padding_of
from spec_tests.suite.marks import needs, refused
from spec_tests.tolerances import exact

pytestmark = needs("lengths", "float64")
TAGGER, EMBEDDING = "bidirectional lstm tagger", "embedding lstm classifier"
tagger, embedding = needs(*needs_of(kinds.MODELS[TAGGER])), needs(*needs_of(kinds.MODELS[EMBEDDING]))
UNSORTED = LENGTHS["unsorted"]
PAST = padding_of(np.zeros((BATCH, STEPS)), UNSORTED)


@tagger
def test_a_taggers_loss_is_the_mean_over_valid_steps(backend, compare):
    """Over those of the whole batch: a long row counts for more than a short one."""
    case = kinds.supervised(TAGGER, "float64")
    logits = backend.forward(case.model, case.weights, case.inputs, UNSORTED)[~PAST]
    on_target = logits[np.arange(len(logits)), case.targets[~PAST]]
    expected = np.mean(np.log(np.exp(logits).sum(axis=1)) - on_target)
    compare("loss", backend.loss(*case, UNSORTED), float(expected), "float64")


@needs("gradients")
@tagger
@pytest.mark.parametrize("label", [4, -100, 10**6])
def test_targets_past_the_length_change_nothing(backend, label):
    """Whatever they are: also what is no class."""
    case = kinds.supervised(TAGGER, "float64")
    value, gradients = backend.loss_gradients(*case, UNSORTED)
    targets = np.where(PAST, label, case.targets)
    found, found_gradients = backend.loss_gradients(*case[:3], targets, UNSORTED)
    other = backend.loss(*case[:3], targets, UNSORTED)
    assert found == value == other, "the loss is %r, with %d in the padding %r, of loss() %r" % (
        value,
        label,
        found,
        other,
    )
    exact(found_gradients, gradients, "gradients with %d in the padding of the targets" % label)


@needs("gradients")
@tagger
def test_a_batch_without_valid_steps_has_a_loss_of_zero(backend):
    case = kinds.supervised(TAGGER, "float64")
    value, gradients = backend.loss_gradients(*case, LENGTHS["all zero"])
    assert value == 0.0, "the loss on nothing is %r, expected 0" % value
    zeros = {name: np.zeros(weight.shape) for name, weight in case.weights.items()}
    exact(gradients, zeros, "gradients of a loss on nothing")


@tagger
def test_the_predicted_class_past_the_length_is_zero(backend):
    case = kinds.supervised(TAGGER, "float64")
    case.weights["dense/bias"][3] += 9.0
    expected = np.where(PAST, 0, 3)
    exact(backend.predict(case.model, case.weights, case.inputs, UNSORTED), expected, "predicted classes")


@tagger
def test_a_class_out_of_range_on_a_valid_step_is_an_error(backend):
    case = kinds.supervised(TAGGER, "float64")
    for wrong in (-1, case.model.outputs):
        targets = case.targets.copy()
        targets[1, 4] = wrong
        with refused("targets"):
            backend.loss(*case[:3], targets, UNSORTED)
    for misshapen in (case.targets[1:], case.targets[:, 1:], case.targets[:, 0]):
        with refused("targets"):
            backend.loss(*case[:3], misshapen, UNSORTED)


@embedding
def test_an_embedding_puts_in_the_rows_of_the_tokens(backend, compare):
    """As if its rows were the inputs of a model without one."""
    case = kinds.supervised(EMBEDDING, "float64")
    found = backend.forward(case.model, case.weights, case.inputs, UNSORTED)
    without = replace(case.model, inputs=case.model.embedding, embedding=0)
    own = {name: case.weights[name] for name in without.weights()}
    expected = backend.forward(without, own, case.weights["embedding"][case.inputs], UNSORTED)
    compare("predictions", found, expected, "float64")


@needs("gradients")
@embedding
def test_a_row_has_the_gradients_of_all_its_tokens(backend, compare):
    """Their sum; and exactly none where it was not read, or on padded steps alone."""
    case = kinds.supervised(EMBEDDING, "float64")
    tokens = np.where(PAST, 7, case.inputs % 4)
    _, found = backend.loss_gradients(case.model, case.weights, tokens, case.targets, UNSORTED)
    _, expected = oracle.loss_gradients(case.model, case.weights, tokens, case.targets, UNSORTED)
    compare("gradients", found["embedding"], expected["embedding"], "float64")
    exact(found["embedding"][4:], np.zeros((5, case.model.embedding)), "the gradient by rows that were not read")
    assert (np.abs(found["embedding"][:4]).max(axis=1) > 1e-3).all(), "each row that was read has a gradient"


@needs("training")
@embedding
def test_adam_moves_rows_that_a_batch_does_not_hold(backend, compare):
    """TF1's Adam decays every row's moments at every step, and so moves a row that was read before. PyTorch's
    SparseAdam and TF's LazyAdam leave it alone."""
    case = kinds.training(EMBEDDING, "float64", iterations=2)
    inputs = np.repeat(np.arange(BATCH)[:, None], STEPS, axis=1)
    batches = np.array([[0, 1, 2], [3, 4, 5]])
    _, once, _ = backend.train(*case[:3], inputs, case.targets, batches[:1])
    _, twice, _ = backend.train(*case[:3], inputs, case.targets, batches)
    moved = np.abs(twice["embedding"] - once["embedding"]).max(axis=1)
    assert (moved[:6] > 1e-4).all(), "the second step moves the rows by %s" % moved[:6]
    exact(moved[6:], np.zeros(3), "the rows that no batch held")
    _, expected, _ = oracle.train(*case[:3], inputs, case.targets, batches)
    compare("weights after 1 step", twice, expected, "float64", "weights after two steps")


@embedding
def test_tokens_out_of_range_are_an_error_also_on_padded_steps(backend):
    case = kinds.supervised(EMBEDDING, "float64")
    for wrong in (-1, case.model.inputs):
        tokens = case.inputs.copy()
        tokens[2, 3] = wrong  # a row of length 0
        with refused("inputs"):
            backend.forward(case.model, case.weights, tokens, UNSORTED)
    for misshapen in (case.inputs.astype(np.float64), case.inputs[:, :, None], case.inputs[0]):
        with refused("inputs"):
            backend.forward(case.model, case.weights, misshapen)
