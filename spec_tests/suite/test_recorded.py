"""What genuine TensorFlow 1.15.5 answered, held against every backend.

The files under data/recorded were made by `python -m spec_tests.record`.
"""

import pytest

from spec_tests import record
from spec_tests.capabilities import needs_of
from spec_tests.questions import cases, classes, kinds, makers
from spec_tests.suite.marks import needs
from spec_tests.tolerances import exact
from unrolled import models, networks
from unrolled.datasets import recorded

QUESTIONS = recorded.questions()
QUANTITIES = {"outputs": "outputs", "state/h": "state", "y0": "outputs", "y1": "outputs"}


def _needs(name):
    """The case as a parameter, marked with what a backend must declare to be asked it."""
    case = QUESTIONS[name]
    method, dtype = case["method"], name.split("/")[0].rsplit("-", 1)[1]
    needed = {dtype}
    if method == "rnn":
        needed |= {case["unrolling"] + "_rnn", "gradients", "lengths", "initial_state"}
        needed |= needs_of(networks.from_plain(case["network"]))
    elif "model" in case:
        needed |= {"lengths", "training" if method == "train" else "gradients", *needs_of(kinds.MODELS[case["name"]])}
    elif method == "train":
        needed |= {"training", *needs_of(makers.TRAINING[case["program"]].model)}
    else:
        needed.add("gradients" if method == "rnn_gradients" else method)
        arguments = case["arguments"]
        if "network" in arguments:
            needed |= needs_of(networks.from_plain(arguments["network"]))
        if "unrolling" in arguments:
            needed.add(arguments["unrolling"] + "_rnn")
        if "lengths_" in name and "lengths_none" not in name:
            needed.add("lengths")
        if name.endswith("-state"):
            needed.add("initial_state")
    return pytest.param(name, dtype, marks=needs(*needed), id=name.replace("tf-1.15.5-", ""))


def _has_twin(parameter):
    """Whether a case in float32 is recorded in float64, too."""
    name, dtype = parameter.values
    return dtype == "float32" and name.replace("float32", "float64") in QUESTIONS


def _parameters(kind, method=None):
    named = [name for name in QUESTIONS if "-%s-" % kind in name]
    return [_needs(name) for name in named if method in (None, QUESTIONS[name]["method"])]


@pytest.mark.parametrize(("name", "dtype"), _parameters("small"))
def test_a_small_case_answers_as_tensorflow_1_15_5_did(backend, name, dtype, compare):
    case, given, answer = recorded.load(name)
    arguments = record.join_arguments(case["method"], case["arguments"], given)
    asked = cases.Case(name, case["method"], arguments)
    found = cases.named_results(asked, getattr(backend, case["method"])(**arguments))
    assert sorted(found) == sorted(answer), f"{case['method']} must give {sorted(answer)}, not {sorted(found)}"
    for key, expected in answer.items():
        if expected.dtype == bool:
            exact(found[key], expected, key)
        else:
            compare(QUANTITIES.get(key, "gradients"), found[key], expected, dtype, key)


@pytest.mark.parametrize(("name", "dtype"), _parameters("training"))
def test_sixty_adam_steps_follow_tensorflow_1_15_5(backend, name, dtype, compare):
    case, _, answer = recorded.load(name)
    asked = cases.training_case(case["program"], dtype, case["iterations"], case["seed"])
    found = cases.named_results(asked, backend.train(**asked.arguments))
    compare("losses over 60 steps", found["losses"], answer["losses"], dtype)
    for key in [key for key in answer if key.startswith("weights/")]:
        compare("weights after 60 steps", found[key], answer[key], dtype, key)


# In float32 those alone that 1.15.5 has in no other precision: the rest confirm the oracle in float64, which judges
# float32 everywhere else, and a graph for each costs some backends a second.
@pytest.mark.parametrize(("name", "dtype"), [each for each in _parameters("networks") if not _has_twin(each)])
def test_a_network_answers_as_tensorflow_1_15_5s_classes_did(backend, name, dtype, compare):
    """Outputs, every part of the state and every gradient, with lengths, an initial state and masks."""
    case, _, answer = recorded.load(name)
    network = networks.from_plain(case["network"])
    found = classes.network_answer(backend, network, dtype, case["unrolling"])
    _compare_all(compare, found, answer, dtype)


@pytest.mark.parametrize(("name", "dtype"), _parameters("models", "model"))
def test_a_model_answers_as_tensorflow_1_15_5_did(backend, name, dtype, compare):
    case, _, answer = recorded.load(name)
    assert models.from_plain(case["model"]) == kinds.MODELS[case["name"]], "the question has changed: record it again"
    _compare_all(compare, classes.model_answer(backend, case["name"], dtype), answer, dtype)


@pytest.mark.parametrize(("name", "dtype"), _parameters("models", "train"))
def test_sixty_adam_steps_of_every_model_follow_tensorflow_1_15_5(backend, name, dtype, compare):
    case, _, answer = recorded.load(name)
    found = classes.training_answer(backend, case["name"], dtype, case["iterations"])
    compare("losses over 60 steps", found["losses"], answer["losses"], dtype)


def _compare_all(compare, found, answer, dtype):
    assert sorted(found) == sorted(answer), f"the answer must have {sorted(answer)}, not {sorted(found)}"
    quantities = {"forward": "predictions", "outputs": "outputs", "loss": "loss", "state": "state"}
    for key, expected in answer.items():
        compare(quantities.get(key.split("/")[0], "gradients"), found[key], expected, dtype, key)
