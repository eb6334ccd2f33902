"""Every behaviour of the contract as questions with fixed arrays, for the study's parity part. Python 3.7 syntax."""

from __future__ import annotations

from typing import Any, Iterable, Iterator, NamedTuple

import numpy as np

from spec_tests.questions import cases, kinds, makers
from unrolled.models import Model
from unrolled.networks import BasicRNN

TRAINING_STEPS = 60
VOCABULARY = 7
FORMS = ("classifier", "stacked", "wrapped")
CELLS = ("lstm", "gru")


class Behaviour(NamedTuple):
    """How the tables call it, which quantity of `tolerances.LIMITS` limits it, and what a backend must declare: nothing
    where the answer comes with that of another behaviour."""

    title: str
    quantity: str
    needs: frozenset[str]


def _behaviour(title: str, quantity: str, *needs: str) -> Behaviour:
    return Behaviour(title, quantity, makers.with_kinds(needs))


_RNN = ("lengths", "initial_state", "tanh", "relu")
_GRADIENTS = ("gradients", "dynamic_rnn", "lengths", "initial_state", "tanh")
# By the beginning of a question's name, up to its first "-".
BEHAVIOURS: dict[str, Behaviour] = {
    "two_step": _behaviour("two steps by hand", "outputs", "two_step", "tanh", "relu"),
    "static_rnn": _behaviour("static unrolling", "outputs", "static_rnn", *_RNN),
    "dynamic_rnn": _behaviour("dynamic unrolling", "outputs", "dynamic_rnn", *_RNN),
    "static_gradients": _behaviour("static unrolling: gradients", "gradients", "gradients", "static_rnn", *_RNN),
    "dynamic_gradients": _behaviour("dynamic unrolling: gradients", "gradients", "gradients", "dynamic_rnn", *_RNN),
    "in_top_k": _behaviour("in_top_k", "outputs", "in_top_k"),
    "classifier": _behaviour("classifier: logits and loss", "predictions", "classifier", "tanh", "lengths"),
    "regressor": _behaviour("regressor: outputs and loss", "predictions", "regressor", "relu", "lengths"),
    "speller": _behaviour("speller: logits and loss", "predictions", "speller", "tanh", "lengths"),
    "classifier_gradients": _behaviour("classifier: gradients", "gradients", "classifier", "tanh", "lengths"),
    "regressor_gradients": _behaviour("regressor: gradients", "gradients", "regressor", "relu", "lengths"),
    "speller_gradients": _behaviour("speller: gradients", "gradients", "speller", "tanh", "lengths"),
    "decoding": _behaviour("greedy decoding", "outputs", "decoding", "tanh", "relu"),
    "teacher_forcing": _behaviour("teacher forcing: gradients", "gradients", "decoding", "tanh", "relu"),
    "lstm": _behaviour("LSTM: outputs and state", "outputs", "lstm", "dynamic_rnn", "lengths", "initial_state", "tanh"),
    "lstm_gradients": _behaviour("LSTM: gradients", "gradients", "lstm", *_GRADIENTS),
    "lstm_classifier": _behaviour(
        "LSTM classifier: loss and gradients", "gradients", "lstm", "classifier", "tanh", "lengths"
    ),
    "gru": _behaviour("GRU: outputs and state", "outputs", "gru", "dynamic_rnn", "lengths", "initial_state", "tanh"),
    "gru_gradients": _behaviour("GRU: gradients", "gradients", "gru", *_GRADIENTS),
    "gru_classifier": _behaviour(
        "GRU classifier: loss and gradients", "gradients", "gru", "classifier", "tanh", "lengths"
    ),
    "mnist": _behaviour("60 Adam steps, MNIST: losses", "losses over 60 steps", "training", "classifier", "tanh"),
    "series_stacked": _behaviour(
        "60 Adam steps, series stacked: losses", "losses over 60 steps", "training", "regressor", "relu"
    ),
    "series_wrapped": _behaviour(
        "60 Adam steps, series wrapped: losses", "losses over 60 steps", "training", "regressor", "relu"
    ),
    "weights_mnist": _behaviour("60 Adam steps, MNIST: weights", "weights after 60 steps"),
    "weights_series_stacked": _behaviour("60 Adam steps, series stacked: weights", "weights after 60 steps"),
    "weights_series_wrapped": _behaviour("60 Adam steps, series wrapped: weights", "weights after 60 steps"),
}


def offered(capabilities: Iterable[str], dtype: str) -> list[str]:
    """The keys of the behaviours that a backend which declares these can be asked for in a dtype."""
    able = frozenset(capabilities)
    return [name for name, each in BEHAVIOURS.items() if each.needs and each.needs | {dtype} <= able]


def behaviour_of(question: str, tensor: str = "") -> str:
    """The key in BEHAVIOURS of a question's name, and of a tensor in its answer."""
    start = question.split("-")[0]
    return "weights_" + start if tensor.startswith("weights/") else start


def kind_of(behaviour: str) -> str:
    """The kind of network that a behaviour is of: "RNN", "LSTM" or "GRU"."""
    start = behaviour.partition("_")[0]
    return start.upper() if start in CELLS else "RNN"


def asks_of(behaviour: str) -> str:
    """ "training" where optimizer steps are compared, else "numbers"."""
    trained = {name.replace("-", "_") for name in makers.TRAINING}
    return "training" if behaviour in trained or behaviour.startswith("weights_") else "numbers"


def questions(dtype: str, behaviours: Iterable[str]) -> Iterator[cases.Case]:
    """Those on some behaviours, by their keys, the quick ones first."""
    asked = frozenset(behaviours)
    for several in (cases.small_cases, _model_questions, _decoding_questions, _cell_questions):
        yield from (case for case in several(dtype) if behaviour_of(case.name) in asked)
    for name in makers.TRAINING:
        start = name.replace("-", "_")
        if start in asked:
            case = _rows_used(cases.training_case(name, dtype, TRAINING_STEPS))
            yield case._replace(name="%s-%d" % (start, TRAINING_STEPS))


def _rows_used(case: cases.Case) -> cases.Case:
    """The same training on the rows that its batches name, a sixth of MNIST: the others need not be handed over."""
    given = case.arguments
    used, places = np.unique(given["batches"], return_inverse=True)
    fewer = {name: given[name][used] for name in ("inputs", "targets")}
    return case._replace(
        arguments=dict(given, batches=places.reshape(given["batches"].shape).astype(np.int64), **fewer)
    )


def recorded_name(question: str, dtype: str) -> str:
    """The name under which `unrolled.datasets.recorded` would hold TensorFlow 1.15.5's answer to a question."""
    start, _, steps = question.partition("-")
    cell, _, what = start.partition("_")
    if cell in CELLS:  # recorded with lengths alone
        if steps != "lengths":
            return ""
        if what == "classifier":
            return "tf-1.15.5-models-%s/%s classifier" % (dtype, cell)
        return "tf-1.15.5-networks-%s/%s, dynamic" % (dtype, cell)
    if start in ("mnist", "series_stacked", "series_wrapped"):
        return "tf-1.15.5-training-%s/%s, %s steps" % (dtype, start.replace("_", "-"), steps)
    return "tf-1.15.5-small-%s/%s" % (dtype, question)


def recorded_tensor(question: str, tensor: str) -> str:
    """How a tensor of the answer to a question is called in what was recorded: gradients of cells and of what is made
    of them lie there beside the outputs."""
    start = question.partition("-")[0]
    if start.partition("_")[0] in CELLS and "_" in start and tensor != "loss":
        return "gradients/" + tensor
    return tensor


def _model_questions(dtype: str) -> Iterator[cases.Case]:
    """forward, loss and loss_gradients of each kind of model, with and without lengths."""
    for form in FORMS + ("speller",):
        rows = _speller_rows(dtype) if form == "speller" else makers.supervised(form, dtype)
        for lengths in (None, makers.LENGTHS["unsorted"]):
            given = {"model": rows.model, "weights": rows.weights, "inputs": rows.inputs, "lengths": lengths}
            name = "%s-%s" % (form, "full" if lengths is None else "lengths")
            yield cases.Case("%s-forward-%s" % (rows.model.kind, name), "forward", given)
            given = dict(given, targets=rows.targets)
            yield cases.Case("%s-loss-%s" % (rows.model.kind, name), "loss", given)
            yield cases.Case("%s_gradients-%s" % (rows.model.kind, name), "loss_gradients", given)


def _speller_rows(dtype: str) -> makers.Supervised:
    chosen = Model("speller", BasicRNN(makers.UNITS), makers.INPUTS, VOCABULARY, max_steps=4)
    random = np.random.RandomState(6)
    inputs = random.normal(size=(makers.BATCH, makers.STEPS, makers.INPUTS)).astype(dtype)
    targets = random.randint(0, VOCABULARY, (makers.BATCH, 3))
    return makers.Supervised(chosen, makers.model_weights(chosen, dtype), inputs, targets)


def _decoding_questions(dtype: str) -> Iterator[cases.Case]:
    """Greedy decoding and teacher forcing, with an embedding and with one-hot tokens."""
    for activation in makers.ACTIVATIONS:
        for embedded in (True, False):
            random, network = np.random.RandomState(7), BasicRNN(makers.UNITS, activation)
            inputs = makers.INPUTS if embedded else VOCABULARY
            # A decoder has the weights of a regressor: a dense layer on every output.
            weights = makers.drawn(random, Model("regressor", network, inputs, VOCABULARY).weights(), dtype)
            if embedded:
                weights["embedding"] = random.normal(size=(VOCABULARY, inputs)).astype(dtype)
            state = makers.state_of(random, network, makers.BATCH, dtype)
            shared: dict[str, Any] = {"network": network, "weights": weights, "initial_state": state}
            shared.update(start=1, end=2)
            name = "%s-%s" % (activation, "embedding" if embedded else "one_hot")
            yield cases.Case("decoding-" + name, "decode", dict(shared, max_steps=makers.STEPS))
            tokens = random.randint(0, VOCABULARY, (makers.BATCH, makers.STEPS))
            yield cases.Case("teacher_forcing-" + name, "decode_gradients", dict(shared, tokens=tokens))


def _cell_questions(dtype: str) -> Iterator[cases.Case]:
    """The LSTM and the GRU: unrolled with their gradients, with and without lengths, and under a classifier."""
    for cell in CELLS:
        drawn, rows = kinds.case(cell, dtype), kinds.supervised(cell + " classifier", dtype)
        shared = {"network": drawn.network, "weights": drawn.weights, "inputs": drawn.inputs}
        cost = {"output_gradients": drawn.output_gradients, "state_gradients": drawn.state_gradients}
        for lengths in (None, makers.LENGTHS["unsorted"]):
            name = "full" if lengths is None else "lengths"
            given = dict(shared, lengths=lengths, initial_state=drawn.initial_state)
            yield cases.Case("%s-%s" % (cell, name), "dynamic_rnn", given)
            yield cases.Case(
                "%s_gradients-%s" % (cell, name), "rnn_gradients", dict(given, unrolling="dynamic", **cost)
            )
        given = {"model": rows.model, "weights": rows.weights, "inputs": rows.inputs, "targets": rows.targets}
        given["lengths"] = makers.LENGTHS["unsorted"]
        yield cases.Case("%s_classifier-lengths" % cell, "loss_gradients", given)


def named_answer(case: cases.Case, result: Any) -> dict[str, np.ndarray]:
    """An answer as arrays by name, but for the optimizer's slots."""
    named = cases.named_results(case, result)
    return {name: array for name, array in named.items() if not name.startswith("slots/")}


def widened(value: Any) -> Any:
    """Float arrays as float64, whatever holds them: the oracle computes in float64 from the values that others got."""
    if isinstance(value, np.ndarray):
        return value.astype(np.float64) if value.dtype.kind == "f" else value
    if isinstance(value, dict):
        return {name: widened(each) for name, each in value.items()}
    return [widened(each) for each in value] if isinstance(value, list) else value
