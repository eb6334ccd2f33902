"""What a backend returns is checked for it: a wrong form is one sentence, whatever it is."""

import re
from typing import Any

import numpy as np
import pytest

from spec_tests.backends.answers import EXPECTED, Checked, WrongAnswerError
from spec_tests.oracle.backend import OracleBackend
from spec_tests.questions import makers
from unrolled.models import Model
from unrolled.networks import BasicRNN, Dropout
from unrolled.programs import Adam

NETWORK = BasicRNN(4)
RANDOM = np.random.RandomState(1)


def arrays(**shapes):
    return {name: RANDOM.uniform(-1, 1, shape).astype(np.float32) for name, shape in shapes.items()}


WEIGHTS = arrays(kernel=(7, 4), bias=(4,))
DECODING = dict(arrays(kernel=(9, 4), bias=(4,)), **{"dense/kernel": np.ones((4, 5), np.float32)})
DECODING["dense/bias"] = np.zeros(5, np.float32)
X, STATE, LENGTHS = arrays(x=(6, 5, 3))["x"], arrays(h=(6, 4)), np.array([0, 1, 5, 2, 5, 4])
MODELS = {
    "classifier": Model("classifier", NETWORK, 3, 2),
    "regressor": Model("regressor", NETWORK, 3, 2, "wrapped"),
    "tagger": Model("tagger", NETWORK, 9, 2, embedding=3),
    "speller": Model("speller", NETWORK, 3, 2, max_steps=4),
}
TARGETS = {"classifier": np.arange(6) % 2, "regressor": X[:, :, :2], "speller": np.ones((6, 3), np.int64)}
TARGETS["tagger"] = np.zeros((6, 5), np.int64)
DROPOUT, MASKS = Dropout(NETWORK, output_keep=0.5), {"outputs": np.ones((6, 5, 4), np.float32)}
CALLS: list[tuple[str, Any]] = [
    ("two_step", (NETWORK, WEIGHTS, X[:, 0], X[:, 1])),
    ("static_rnn", (NETWORK, WEIGHTS, list(X.swapaxes(0, 1)), LENGTHS, STATE)),
    ("dynamic_rnn", (NETWORK, WEIGHTS, X, LENGTHS)),
    ("rnn_gradients", (NETWORK, WEIGHTS, X, None, STATE, LENGTHS)),
    ("dynamic_rnn", (DROPOUT, WEIGHTS, X, LENGTHS, STATE, MASKS)),
    ("decode", (NETWORK, DECODING, STATE, 0, 1, 3)),
    ("decode_gradients", (NETWORK, DECODING, STATE, 0, 1, np.ones((6, 2), int))),
    ("in_top_k", (X[:, 0], np.zeros(6, int), 2)),
]
for kind, model in MODELS.items():
    drawn = makers.initial_weights(model, "float64", 1)
    inputs = np.ones((6, 5), np.int64) if model.embedding else X.astype(np.float64)
    rows = (inputs, TARGETS[kind].astype(np.float64) if kind == "regressor" else TARGETS[kind])
    CALLS += [("initial_weights", (model, 3))]
    CALLS += [(method, (model, drawn, rows[0], LENGTHS)) for method in ("forward", "predict")]
    CALLS += [(method, (model, drawn, *rows, LENGTHS)) for method in ("loss", "loss_gradients")]
    CALLS += [("train", (model, drawn, Adam(), *rows, np.array([[0, 1], [2, 3], [5, 4]]), LENGTHS))]


class Mine:
    """A backend that returns what it was made with, whatever is asked."""

    name = "mine"
    contract = 2

    def __init__(self, answer):
        self.answer = answer

    def __getattr__(self, name):
        return lambda *args, **kwargs: self.answer


class Raising:
    @property  # type: ignore[misc]
    def __class__(self):
        raise RuntimeError

    def __len__(self):
        raise RuntimeError


class RaisingTuple(tuple):
    __len__ = Raising.__len__


class RaisingKey(str):
    def __repr__(self):
        raise RuntimeError


def test_every_method_is_asked_here():
    assert {method for method, _ in CALLS} == set(EXPECTED)


@pytest.mark.parametrize(("method", "arguments"), CALLS, ids=lambda value: value if isinstance(value, str) else "")
def test_right_answers_are_handed_on_as_they_are(method, arguments):
    answer = getattr(OracleBackend(), method)(*arguments)
    assert getattr(Checked(Mine(answer)), method)(*arguments) is answer


# By number: pytest itself looks at the values of parameters.
JUNK = [None, "ab", 3, True, [], {}, (), [[1.0], [2.0]], object(), Raising(), RaisingTuple((1, 2)), np.array([None])]
JUNK += [(None, None), ("a", {}), (Raising(), {}), (1, {RaisingKey("a"): 1}), {RaisingKey("b"): 1}, np.zeros((2, 2))]


@pytest.mark.parametrize("number", range(len(JUNK)))
@pytest.mark.parametrize(("method", "arguments"), CALLS, ids=lambda value: value if isinstance(value, str) else "")
def test_any_other_answer_is_one_sentence_with_backend_and_method(method, arguments, number):
    with pytest.raises(WrongAnswerError, match=r"^mine: %s('s \S+)? [^\n]+, expected [^\n]+$" % method):
        getattr(Checked(Mine(JUNK[number])), method)(*arguments)


OUTPUTS, LAST = OracleBackend().dynamic_rnn(NETWORK, WEIGHTS, X)
TOKENS = OracleBackend().decode(NETWORK, DECODING, STATE, 0, 1, 3)
TRAINED = OracleBackend().train(*CALLS[-1][1])


@pytest.mark.parametrize(
    ("method", "answer", "said"),
    [
        ("dynamic_rnn", None, "dynamic_rnn returned None, expected (outputs, state)"),
        ("dynamic_rnn", [OUTPUTS, LAST], "dynamic_rnn returned a list of 2, expected (outputs, state)"),
        ("dynamic_rnn", (OUTPUTS, LAST["h"]), "dynamic_rnn's state is float32 [6, 4], expected a dict of h"),
        ("dynamic_rnn", (OUTPUTS, {}), "dynamic_rnn's state lacks h"),
        ("dynamic_rnn", (OUTPUTS, dict(LAST, c=1)), "dynamic_rnn's state has 'c', too, expected a dict of h"),
        (
            "dynamic_rnn",
            (OUTPUTS.astype(np.float64), LAST),
            "dynamic_rnn's outputs are float64 [6, 5, 4], expected float32 [6, 5, 4]",
        ),
        (
            "dynamic_rnn",
            (OUTPUTS[:, :4], LAST),
            "dynamic_rnn's outputs are float32 [6, 4, 4], expected float32 [6, 5, 4]",
        ),
        (
            "dynamic_rnn",
            (OUTPUTS, {"h": LAST["h"][0]}),
            "dynamic_rnn's state/h is float32 [4], expected float32 [6, 4]",
        ),
        (
            "static_rnn",
            (OUTPUTS, LAST),
            "static_rnn's outputs are float32 [6, 5, 4], expected a list of 5 arrays float32",
        ),
        ("static_rnn", ([LAST["h"]] * 4, LAST), "static_rnn's outputs are a list of 4, expected a list of 5 arrays"),
        (
            "static_rnn",
            ([LAST["h"]] * 4 + [3], LAST),
            "static_rnn's outputs[4] is a value of type int, expected float32 [6, 4]",
        ),
        (
            "rnn_gradients",
            dict(WEIGHTS, inputs=X),
            "rnn_gradients returned no initial_state/h, expected a dict of kernel, ",
        ),
        (
            "decode",
            (TOKENS[0].astype(np.int32), *TOKENS[1:]),
            "decode's tokens are int32 [6, 3], expected int64 [6, steps]",
        ),
        (
            "decode",
            (TOKENS[0][:, 1:], *TOKENS[1:]),
            "decode's outputs are float32 [6, 3, 4], expected float32 [6, 2, 4]",
        ),
        ("in_top_k", np.ones(6), "in_top_k returned float64 [6], expected bool [6]"),
        ("decode_gradients", (np.ones(2), {}), "decode_gradients's loss is float64 [2], expected a float"),
        ("loss", np.array(1, np.float32), "loss returned float32 [], expected a float"),
        ("train", (TRAINED[0][1:], *TRAINED[1:]), "train's losses are float64 [2], expected float64 [3]"),
        ("train", (*TRAINED[:2], {}), "train's slots lack encoder/kernel/Adam, expected a dict of"),
        (
            "train",
            (*TRAINED[:2], dict(TRAINED[2], beta1_power=0.9)),
            "train's slots/beta1_power is a value of type float, expected",
        ),
    ],
)
def test_the_sentence_says_what_was_found_and_what_was_expected(method, answer, said):
    arguments = [given for name, given in CALLS if name == method][-1]
    with pytest.raises(WrongAnswerError, match="^mine: " + re.escape(said)):
        getattr(Checked(Mine(answer)), method)(*arguments)


def test_an_argument_that_breaks_the_contract_leads_to_no_complaint_of_the_answer():
    """That the backend did not raise is what the test that gave it finds wrong."""
    assert Checked(Mine(3)).dynamic_rnn(NETWORK, {}, X) == 3
    assert Checked(Mine(3)).dynamic_rnn(NETWORK, WEIGHTS, X[0]) == 3


def test_all_else_is_the_backends_own():
    class Named(OracleBackend):
        helper = 5

    checked = Checked(Named())
    assert (checked.name, checked.contract, checked.helper) == ("oracle", 2, 5)
    assert checked.capabilities is Named.capabilities and checked.describe() == Named().describe()
    assert not hasattr(checked, "close")
    checked.name = "another"
    with pytest.raises(ValueError, match=r"^k: found 0"):
        checked.in_top_k(X[:, 0], np.zeros(6, int), k=0)
    assert Checked(Named()).name == "oracle"
