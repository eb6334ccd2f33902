"""Teacher forcing: the loss of given tokens, the mean over each row's valid steps, and its gradients."""

import numpy as np
import pytest

from spec_tests import oracle
from spec_tests.questions import decoding
from spec_tests.questions.decoding import BATCH, END, START, VOCABULARY
from spec_tests.questions.makers import rows_of
from spec_tests.suite.marks import each_activation, each_dtype, needs, refused
from spec_tests.tolerances import exact

pytestmark = needs("decoding")
each_form = pytest.mark.parametrize("form", decoding.FORMS)


@each_form
@each_activation
@each_dtype
def test_taught_loss_and_gradients_match_the_oracle_by_name(backend, form, activation, dtype, compare):
    case = decoding.decoding(dtype, activation, form)
    loss, gradients = backend.decode_gradients(*case.taught())
    expected_loss, expected = oracle.decode_gradients(*case.taught())
    assert isinstance(loss, float), "loss must be a plain float, found %s" % type(loss).__name__
    compare("loss", loss, expected_loss, dtype)
    compare("gradients", gradients, expected, dtype)


@needs("tanh", "float64")
@each_form
def test_tokens_after_the_end_change_nothing(backend, form):
    """Bit for bit, in the loss and in every gradient."""
    case = decoding.decoding("float64", form=form)
    tokens = case.tokens.copy()
    tokens[:, 3] = END  # every row ends here or before
    other = tokens.copy()
    after = np.arange(tokens.shape[1]) >= oracle.token_lengths(tokens, END)[:, None]
    other[after] = np.random.RandomState(3).randint(0, VOCABULARY, after.sum())
    assert (other != tokens).any(), "no token is another: the test sees nothing"
    loss, gradients = backend.decode_gradients(*case._replace(tokens=tokens).taught())
    again, others = backend.decode_gradients(*case._replace(tokens=other).taught())
    assert again == loss, "the loss is %r, and %r with other tokens after the end" % (loss, again)
    for name in gradients:
        exact(others[name], gradients[name], "the gradient by %s with other tokens after the end" % name)


@needs("tanh", "float64")
def test_steps_after_the_end_count_for_nothing(backend, compare):
    """Further steps after every row's end are neither in the sum nor in the number that it is divided by."""
    case = decoding.decoding("float64")
    tokens = case.tokens.copy()
    tokens[:, -1] = END
    longer = np.concatenate([tokens, np.full((BATCH, 4), END)], axis=1)
    loss, gradients = backend.decode_gradients(*case._replace(tokens=tokens).taught())
    again, others = backend.decode_gradients(*case._replace(tokens=longer).taught())
    compare("loss", again, loss, "float64", "the loss with four more steps of padding")
    compare("gradients", others, gradients, "float64", "gradients with four more steps of padding")


@needs("tanh", "float64")
def test_the_loss_is_the_mean_over_valid_steps_not_over_rows(backend, compare):
    case = decoding.decoding("float64")
    numbers = oracle.token_lengths(case.tokens, END)
    assert len(set(numbers)) > 1, "rows of one length could not tell the two apart"
    each = [
        backend.decode_gradients(
            *case._replace(initial_state=rows_of(case.initial_state, [row]), tokens=case.tokens[[row]]).taught()
        )[0]
        for row in range(BATCH)
    ]
    whole, _ = backend.decode_gradients(*case.taught())
    compare("loss", whole, float(np.dot(each, numbers) / numbers.sum()), "float64")


@needs("tanh", "float64")
def test_a_row_without_an_end_is_valid_as_a_whole(backend, compare):
    case = decoding.decoding("float64")
    tokens = np.where(case.tokens == END, END + 1, case.tokens)
    case = case._replace(tokens=tokens)
    loss, gradients = backend.decode_gradients(*case.taught())
    expected_loss, expected = oracle.decode_gradients(*case.taught())
    assert (oracle.token_lengths(tokens, END) == tokens.shape[1]).all(), "a row ends: the test sees nothing"
    compare("loss", loss, expected_loss, "float64")
    compare("gradients", gradients, expected, "float64")


@needs("tanh", "float32")
def test_the_embedding_of_a_token_never_fed_has_no_gradient(backend):
    """The last token of a row is written, and not fed."""
    case = decoding.decoding("float32", form="embedding")
    tokens = np.array([[1, 4, 7], [3, 6, 6], [1, 1, 5], [4, 4, END], [1, END, 7], [END, 7, 7]])
    _, gradients = backend.decode_gradients(*case._replace(tokens=tokens).taught())
    used = (gradients["embedding"] != 0).any(axis=1)
    exact(used, [token in (START, 1, 3, 4, 6) for token in range(VOCABULARY)], "which rows have a gradient")


@needs("tanh", "float64")
@pytest.mark.parametrize("wrong", [-1, VOCABULARY, -100])
def test_token_outside_the_vocabulary_is_an_error(backend, wrong):
    """Wherever it stands."""
    case = decoding.decoding("float64")
    tokens = case.tokens.copy()
    tokens[2, -1] = wrong
    with refused("tokens"):
        backend.decode_gradients(*case._replace(tokens=tokens).taught())
