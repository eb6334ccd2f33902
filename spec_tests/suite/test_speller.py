"""The speller: an encoder reads a sequence, and from its final state a decoder writes tokens until the end."""

import numpy as np
import pytest

from spec_tests import oracle
from spec_tests.questions import decoding
from spec_tests.questions.decoding import VOCABULARY
from spec_tests.questions.makers import BATCH, LENGTHS, padded
from spec_tests.suite.marks import each_activation, each_dtype, needs, refused
from spec_tests.tolerances import exact
from unrolled import networks
from unrolled.datasets import recorded
from unrolled.models import END, START
from unrolled.programs import SPELLER

pytestmark = needs("speller")
MIXED = LENGTHS["mixed"]
some_lengths = pytest.mark.parametrize(
    "lengths", [None, pytest.param(LENGTHS["unsorted"], marks=needs("lengths"))], ids=["full", "unsorted"]
)


@some_lengths
@each_activation
@each_dtype
def test_decoded_logits_and_tokens_match_the_oracle(backend, lengths, activation, dtype, compare):
    case = decoding.spelling_case(dtype, activation)
    tokens, logits = oracle.spell(case.model, case.weights, case.inputs, lengths)
    compare("predictions", backend.forward(case.model, case.weights, case.inputs, lengths), logits, dtype)
    found = backend.predict(case.model, case.weights, case.inputs, lengths)
    assert found.dtype == np.int64, "predicted tokens must be int64, found %s" % found.dtype
    exact(found, tokens, "the tokens")


@needs("decoding", "dynamic_rnn", "lengths", "tanh", "float32")
def test_prediction_is_decoding_from_the_encoders_state(backend):
    case = decoding.spelling_case("float32")
    encoder, decoder = (oracle.part_of(case.weights, part) for part in ("encoder", "decoder"))
    _, state = backend.dynamic_rnn(case.model.network, encoder, case.inputs, MIXED)
    tokens, _, _, _, _ = backend.decode(case.model.network, decoder, state, START, END, case.model.max_steps)
    padding = ((0, 0), (0, case.model.max_steps - tokens.shape[1]))
    found = backend.predict(case.model, case.weights, case.inputs, MIXED)
    exact(found, np.pad(tokens, padding, "constant", constant_values=END), "the tokens")


@needs("tanh", "float32")
def test_all_steps_are_kept_where_every_row_ends_sooner(backend):
    case = decoding.spelling_case("float32")
    weights = dict(case.weights)
    weights["dense/kernel"] = np.zeros_like(weights["dense/kernel"])
    weights["dense/bias"] = np.where(np.arange(VOCABULARY) == END, 1, 0).astype("float32")
    steps = case.model.max_steps
    exact(backend.predict(case.model, weights, case.inputs), np.full((BATCH, steps), END), "the tokens")
    expected = np.zeros((BATCH, steps, VOCABULARY))
    expected[:, 0, END] = 1
    exact(backend.forward(case.model, weights, case.inputs), expected, "the logits, zero past the end")


@needs("gradients")
@some_lengths
@each_activation
@each_dtype
def test_loss_and_gradients_match_the_oracle_by_name(backend, lengths, activation, dtype, compare):
    """Back through the decoder, its initial state, and the encoder."""
    case = decoding.spelling_case(dtype, activation)
    expected_loss, expected = oracle.loss_gradients(*case, lengths)
    loss, gradients = backend.loss_gradients(*case, lengths)
    compare("loss", loss, expected_loss, dtype)
    compare("loss", backend.loss(*case, lengths), expected_loss, dtype)
    compare("gradients", gradients, expected, dtype)


@needs("tanh", "float64")
def test_targets_after_the_end_change_nothing(backend):
    case = decoding.spelling_case("float64")
    targets = case.targets.copy()
    targets[:, 2] = END
    other = targets.copy()
    other[:, 3] = (targets[:, 3] + 3) % VOCABULARY
    found = [backend.loss(*case._replace(targets=chosen)) for chosen in (targets, other)]
    assert found[0] == found[1], "the losses are %r and %r" % tuple(found)


@needs("tanh", "float64")
def test_targets_may_have_any_number_of_steps(backend, compare):
    """Shorter or longer than max_steps, which is for decoding alone."""
    case = decoding.spelling_case("float64")
    for steps in (1, 9):
        targets = np.random.RandomState(steps).randint(0, VOCABULARY, (BATCH, steps))
        found = backend.loss(*case._replace(targets=targets))
        compare("loss", found, oracle.loss(*case._replace(targets=targets)), "float64", "loss of %d steps" % steps)


@needs("lengths", "tanh", "float32")
@pytest.mark.parametrize("padding", [np.nan, 1e6], ids=["nan", "1e6"])
def test_padding_of_the_image_is_invisible(backend, padding):
    case = decoding.spelling_case("float32")
    filled = [padded(case.inputs, MIXED, value) for value in (0.0, padding)]
    losses = [backend.loss(*case._replace(inputs=inputs), MIXED) for inputs in filled]
    assert losses[0] == losses[1], "the losses are %r and %r" % tuple(losses)
    logits = [backend.forward(case.model, case.weights, inputs, MIXED) for inputs in filled]
    exact(logits[1], logits[0], "the logits with %s in the padding" % padding)


@needs("tanh", "float32")
@pytest.mark.parametrize("token", [-1, VOCABULARY, -100])
def test_target_outside_the_vocabulary_is_an_error(backend, token):
    case = decoding.spelling_case("float32")
    targets = case.targets.copy()
    targets[3, -1] = token
    with refused("targets"):
        backend.loss(*case._replace(targets=targets))


@needs("tanh", "float32")
@pytest.mark.parametrize("shape", [(BATCH,), (BATCH + 1, 4), (BATCH, 0)], ids=["flat", "a row too many", "no steps"])
def test_targets_of_wrong_shape_are_an_error(backend, shape):
    case = decoding.spelling_case("float32")
    with refused("targets"):
        backend.loss(*case._replace(targets=np.zeros(shape, np.int64)))


@needs("tanh", "float64")
@pytest.mark.parametrize("name", list(decoding.speller().weights()))
@pytest.mark.parametrize("fault", ["missing", "misshapen", "unknown"])
def test_weights_of_a_speller_are_strict(backend, name, fault):
    case = decoding.spelling_case("float64")
    weights = dict(case.weights)
    if fault == "unknown":
        weights[name + "_2"] = weights[name]
    elif fault == "misshapen":
        weights[name] = np.ones([size + 1 for size in weights[name].shape])
    else:
        del weights[name]
    with refused(name):
        backend.forward(case.model, weights, case.inputs)


@needs("initial_weights", "tanh", "float32")
def test_initial_weights_of_both_networks_are_drawn_on_their_own(backend):
    """Each network's kernel is drawn on its own, over [inputs + units, units] of its own inputs."""
    weights = backend.initial_weights(SPELLER.model, seed=3)
    found = {name: array.shape for name, array in weights.items()}
    expected = networks.shapes(SPELLER.model.weights())
    assert found == expected, "the shapes are %s, expected %s" % (found, expected)
    for name, weight in SPELLER.model.weights().items():
        size, limit = weights[name].size, weight.limit
        largest = float(np.abs(weights[name] - weight.value).max())
        # Of n uniform values the largest is above (1 - 20 / n) limit, but for one draw in exp(20) = 5e8.
        assert limit * (1 - 20 / size) <= largest <= limit * (1 + 1e-6), "%s reaches %.4f" % (name, largest)
    encoder, decoder = weights["encoder/kernel"], weights["decoder/kernel"]
    assert float(np.mean(encoder[-200:] == decoder[-200:])) < 0.01, "the two networks share their initial values"


@needs("training", "tanh")
@each_dtype
def test_steps_match_the_oracle(backend, dtype, compare):
    """A few of them, with lengths, every slot as well."""
    case = decoding.small_training(dtype)
    found = backend.train(*case, lengths=LENGTHS["unsorted"])
    losses, weights, slots = oracle.train(*case, lengths=LENGTHS["unsorted"])
    compare("losses over 60 steps", found[0], losses, dtype)
    compare("weights after 60 steps", found[1], weights, dtype)
    assert set(found[2]) == set(slots), "the slots are named %s" % sorted(found[2])


@needs("training", "tanh", "float64")
def test_going_on_from_the_slots_of_a_speller_is_as_if_never_stopped(backend, compare):
    case = decoding.small_training("float64")
    losses, expected, _ = backend.train(*case)
    first, half, slots = backend.train(*case._replace(batches=case.batches[:2]))
    last, again, _ = backend.train(*case._replace(weights=half, batches=case.batches[2:]), slots=slots)
    compare("losses over 60 steps", np.concatenate([first, last]), losses, "float64")
    compare("weights after 60 steps", again, expected, "float64")


@needs("training", "tanh")
@each_dtype
def test_sixty_steps_on_mnist_follow_tensorflow_1_15_5(backend, dtype, compare):
    """The program itself, on real images: the same losses from the same weights on the same batches."""
    case = decoding.sequence_training("speller", dtype, 60)
    losses, _, _ = backend.train(**case.arguments)
    answer = recorded.load("tf-1.15.5-sequences-%s/%s" % (dtype, case.name)).answer
    compare("losses over 60 steps", losses, answer["losses"], dtype)
    assert losses[-10:].mean() < 0.8 * losses[:10].mean(), "the loss does not fall"
