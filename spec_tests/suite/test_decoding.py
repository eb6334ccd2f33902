"""Output of variable length: greedy decoding to the end-of-sequence token.

`countdown` makes rows that end where they are told to, exact in every dtype; the rest is held to the oracle, and to
what genuine TensorFlow 1.15.5 answered.
"""

import numpy as np
import pytest

from spec_tests import oracle, record
from spec_tests.capabilities import needs_of
from spec_tests.questions import cases, decoding
from spec_tests.questions.decoding import BATCH, UNITS, VOCABULARY, countdown
from spec_tests.questions.makers import rows_of
from spec_tests.suite.marks import each_activation, each_dtype, needs, refused
from spec_tests.tolerances import exact
from unrolled import networks
from unrolled.datasets import recorded

pytestmark = needs("decoding")
each_form = pytest.mark.parametrize("form", decoding.FORMS)
QUANTITIES = {"outputs": "outputs", "state/h": "state"}
NEVER = 100  # a count far above any maximum here
exactly = needs("relu", "float32")


def fed(case, tokens):
    """What teacher forcing puts in: [batch, steps, inputs]."""
    before = np.concatenate([np.full((len(tokens), 1), case.start), tokens[:, :-1]], axis=1)
    return case.weights.get("embedding", np.eye(VOCABULARY, dtype=case.weights["dense/bias"].dtype))[before]


@each_form
@each_activation
@each_dtype
def test_greedy_decoding_matches_the_oracle(backend, form, activation, dtype, compare):
    case = decoding.decoding(dtype, activation, form)
    tokens, lengths, finished, outputs, state = backend.decode(*case.greedy())
    expected = oracle.decode(*case.greedy())
    for name, found, wanted in zip(("tokens", "lengths", "finished"), (tokens, lengths, finished), expected):
        exact(found, wanted, name)
    compare("outputs", outputs, expected[3], dtype)
    compare("state", state, expected[4], dtype)


@exactly
def test_results_have_the_types_of_the_contract(backend):
    tokens, lengths, finished, outputs, state = backend.decode(*countdown("float32", [2, 1], 0, 0, 4).greedy())
    found = [str(array.dtype) for array in (tokens, lengths, finished, outputs, state["h"])]
    assert found == ["int64", "int64", "bool", "float32", "float32"], "the dtypes are %s" % found


@exactly
def test_rows_end_at_different_steps(backend):
    case = countdown("float32", [3, 1, 5, 2, 0, NEVER], start=0, end=0, max_steps=6)
    tokens, lengths, finished, _, _ = backend.decode(*case.greedy())
    expected = [[1, 2, 0, 0, 0, 0], [0] * 6, [1, 2, 3, 4, 0, 0], [1, 0, 0, 0, 0, 0], [0] * 6, [1, 2, 3, 4, 1, 2]]
    exact(tokens, expected, "the tokens")
    exact(lengths, [3, 1, 5, 2, 1, 6], "the lengths, the end counted")
    exact(finished, [True, True, True, True, True, False], "which rows ended")


@exactly
def test_decoding_stops_as_soon_as_every_row_has_ended(backend):
    case = countdown("float32", [3, 1, 4, 2], start=0, end=0, max_steps=50)
    tokens, _, finished, outputs, _ = backend.decode(*case.greedy())
    exact(finished, [True] * 4, "which rows ended")
    assert tokens.shape == (4, 4), "tokens have shape %s, expected the 4 steps of the longest row" % list(tokens.shape)
    assert outputs.shape[:2] == (4, 4), "outputs have shape %s, expected 4 steps" % list(outputs.shape)


@exactly
def test_the_end_at_the_first_step_is_one_step(backend):
    case = countdown("float32", [1, 0, 1], start=3, end=2, max_steps=9)
    tokens, lengths, finished, outputs, _ = backend.decode(*case.greedy())
    exact(tokens, [[2], [2], [2]], "the tokens")
    exact(lengths, [1, 1, 1], "the lengths")
    exact(finished, [True] * 3, "which rows ended")
    assert (outputs != 0).any(axis=2).all(), "the output of the step that wrote the end must not be zeroed"


@exactly
def test_rows_that_never_end_are_stopped_and_reported(backend):
    case = countdown("float32", [NEVER, NEVER + 1], start=4, end=1, max_steps=5)
    tokens, lengths, finished, _, state = backend.decode(*case.greedy())
    exact(tokens, [[0, 2, 3, 4, 0]] * 2, "the tokens, the end left out")
    exact(lengths, [5, 5], "the lengths")
    exact(finished, [False, False], "which rows ended")
    exact(state["h"][:, 0], [NEVER - 5, NEVER - 4], "the counts after five steps")


@exactly
def test_an_end_at_the_last_step_allowed_is_an_end(backend):
    case = countdown("float32", [4, 5], start=0, end=0, max_steps=4)
    _, lengths, finished, _, _ = backend.decode(*case.greedy())
    exact(lengths, [4, 4], "the lengths")
    exact(finished, [True, False], "which rows ended")


@exactly
@pytest.mark.parametrize(("count", "ended"), [(1, True), (2, False)])
def test_a_maximum_of_one_step(backend, count, ended):
    case = countdown("float32", [count], start=0, end=0, max_steps=1)
    tokens, lengths, finished, outputs, _ = backend.decode(*case.greedy())
    exact(tokens, [[0 if ended else 1]], "the tokens")
    exact(lengths, [1], "the lengths")
    exact(finished, [ended], "which rows ended")
    assert outputs.shape[:2] == (1, 1), "outputs have shape %s, expected one row of one step" % list(outputs.shape)


@exactly
def test_one_row_alone_is_as_among_others(backend):
    case = countdown("float32", [3, 1, NEVER], start=0, end=0, max_steps=6)
    whole = backend.decode(*case.greedy())
    alone = backend.decode(*case._replace(initial_state=rows_of(case.initial_state, slice(1))).greedy())
    exact(alone[0], whole[0][:1, :3], "the tokens of the first row alone")
    for name, one, other in zip(("lengths", "finished"), alone[1:3], whole[1:3]):
        exact(one, other[:1], name)
    exact(alone[3], whole[3][:1, :3], "the outputs of the first row alone")
    exact(alone[4], rows_of(whole[4], slice(1)), "the state of the first row alone")


@exactly
@pytest.mark.parametrize(("start", "end"), [(0, 1), (1, 1), (1, 0), (0, 0)])
def test_a_vocabulary_of_two(backend, start, end):
    case = countdown("float32", [3, 1, NEVER], start, end, max_steps=4, vocabulary=2)
    tokens, lengths, finished, _, _ = backend.decode(*case.greedy())
    letter = 1 - end
    expected = [[letter, letter, end, end], [end] * 4, [letter] * 4]
    exact(tokens, expected, "the tokens from %d to %d" % (start, end))
    exact(lengths, [3, 1, 4], "the lengths")
    exact(finished, [True, True, False], "which rows ended")


@exactly
@pytest.mark.parametrize("start", [0, 1, 2, 3, 4])
def test_each_row_is_fed_its_own_token(backend, start):
    """The letter written follows the one fed, so a wrong start token or a neighbour's token changes all of them."""
    case = countdown("float32", [NEVER], start, end=3, max_steps=6)
    letters = [0, 1, 2, 4]
    first = next((place for place, letter in enumerate(letters) if letter > start), 0)
    exact(backend.decode(*case.greedy())[0], [[letters[(first + i) % 4] for i in range(6)]], "the tokens")


@exactly
def test_outputs_past_the_end_are_exactly_zero(backend):
    case = countdown("float32", [3, 1, NEVER, 2], start=0, end=0, max_steps=5)
    _, lengths, _, outputs, _ = backend.decode(*case.greedy())
    past = np.arange(5) >= lengths[:, None]
    exact(outputs[past], np.zeros((past.sum(), 7)), "the outputs past the lengths %s" % lengths.tolist())
    assert (outputs[~past] != 0).any(axis=1).all(), "the outputs up to the end must not be zeroed"


@exactly
def test_the_state_is_frozen_at_the_end(backend):
    case = countdown("float32", [3, 1, NEVER, 2], start=0, end=0, max_steps=5)
    _, lengths, _, outputs, state = backend.decode(*case.greedy())
    exact(
        state, {"h": outputs[np.arange(4), lengths - 1]}, "the final state, beside the output of each row's last step"
    )


@needs("tanh")
@each_dtype
def test_a_tie_takes_the_lowest_token(backend, dtype):
    case = decoding.decoding(dtype)
    weights = dict(case.weights)
    weights["dense/kernel"] = np.zeros_like(weights["dense/kernel"])
    weights["dense/bias"] = np.array([0, 1, 3, 2, 3, 3, 0, 1], dtype)
    tokens, _, _, _, _ = backend.decode(*case._replace(weights=weights, max_steps=3).greedy())
    exact(tokens, np.full((BATCH, 3), 2), "the tokens of three equal logits")


@needs("dynamic_rnn", "lengths", "initial_state")
@each_form
@each_activation
@each_dtype
def test_what_was_decoded_is_what_teacher_forcing_gives(backend, form, activation, dtype, compare):
    """Fed with the decoded tokens, the network gives the same outputs and state, and these the same tokens."""
    case = decoding.decoding(dtype, activation, form)
    tokens, lengths, _, outputs, state = backend.decode(*case.greedy())
    inputs = fed(case, tokens)
    own = {name: case.weights[name] for name in case.network.weights(inputs.shape[2])}
    taught, last = backend.dynamic_rnn(case.network, own, inputs, lengths, case.initial_state)
    compare("outputs", outputs, taught, dtype, "outputs beside those of teacher forcing on the decoded tokens")
    compare("state", state, last, dtype, "the state beside that of teacher forcing on the decoded tokens")
    logits = taught @ case.weights["dense/kernel"] + case.weights["dense/bias"]
    valid = np.arange(tokens.shape[1]) < lengths[:, None]
    exact(logits.argmax(axis=2)[valid], tokens[valid], "the likeliest tokens under teacher forcing")


WRONG = [
    ("start", -1),
    ("start", VOCABULARY),
    ("end", -1),
    ("end", VOCABULARY),
    ("initial_state", {"h": np.zeros((BATCH, UNITS + 1))}),
    ("initial_state", {"h": np.zeros((0, UNITS))}),
    ("initial_state", {}),
    ("initial_state", {"h": np.zeros((BATCH, UNITS)), "c": np.zeros((BATCH, UNITS))}),
]


@needs("tanh", "float64")
@pytest.mark.parametrize(("name", "wrong"), WRONG)
@pytest.mark.parametrize("method", ["decode", "decode_gradients"])
def test_wrong_argument_is_an_error_that_names_it(backend, name, wrong, method):
    case = decoding.decoding("float64")._replace(**{name: wrong})
    with refused(name):
        getattr(backend, method)(*(case.greedy() if method == "decode" else case.taught()))


@needs("tanh", "float64")
@pytest.mark.parametrize("max_steps", [0, -1])
def test_fewer_than_one_step_is_an_error(backend, max_steps):
    with refused("max_steps"):
        backend.decode(*decoding.decoding("float64")._replace(max_steps=max_steps).greedy())


@needs("tanh", "float64")
@pytest.mark.parametrize("name", ["kernel", "bias", "dense/kernel", "dense/bias", "embedding"])
@pytest.mark.parametrize("fault", ["missing", "misshapen", "unknown"])
def test_weights_of_decoding_are_strict(backend, name, fault):
    case = decoding.decoding("float64", form="embedding")
    weights = dict(case.weights)
    if fault == "unknown":
        weights[name + "_2"] = weights[name]
    elif fault == "misshapen":
        weights[name] = np.ones((len(weights[name]) + 1,) + weights[name].shape[1:])
    else:
        del weights[name]  # without an embedding tokens are one-hot, and then it is the kernel that does not fit
    named = "kernel" if (name, fault) == ("embedding", "missing") else name.split("/")[0]
    with refused(named):
        backend.decode(*case._replace(weights=weights).greedy())


@needs("tanh", "float32")
def test_decoding_modifies_no_argument(backend):
    case, given = decoding.decoding("float32"), decoding.decoding("float32")
    backend.decode(*given.greedy())
    backend.decode_gradients(*given.taught())
    for name in case.weights:
        exact(given.weights[name], case.weights[name], "%s after the calls" % name)
    exact(given.initial_state, case.initial_state, "initial_state after the calls")
    exact(given.tokens, case.tokens, "tokens after the calls")


def _recorded():
    for name, case in recorded.questions().items():
        if "-decoding-" in name:
            network = networks.from_plain(case["arguments"]["network"])
            dtype = name.split("/")[0].rsplit("-", 1)[1]
            yield pytest.param(name, dtype, marks=needs(dtype, *needs_of(network)), id=name.replace("tf-1.15.5-", ""))


@pytest.mark.parametrize(("name", "dtype"), list(_recorded()))
def test_decoding_is_as_tensorflow_1_15_5_decoded(backend, name, dtype, compare):
    case, given, answer = recorded.load(name)
    arguments = record.join_arguments(case["method"], case["arguments"], given)
    asked = cases.Case(name, case["method"], arguments)
    found = cases.named_results(asked, getattr(backend, case["method"])(**arguments))
    assert sorted(found) == sorted(answer), "%s must give %s" % (case["method"], sorted(answer))
    for key, expected in answer.items():
        if expected.dtype.kind != "f":
            exact(found[key], expected, key)
        elif key == "loss":
            compare("loss", float(found[key]), float(expected), dtype)
        else:
            compare(QUANTITIES.get(key, "gradients"), found[key], expected, dtype, key)
