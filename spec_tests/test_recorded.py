"""What genuine TensorFlow 1.15.5 answered, held against every backend.

The files under data/files/recorded were made by `python -m spec_tests.record`.
"""

import numpy as np
import pytest

from data import recorded
from spec_tests import cases, record
from spec_tests.tolerances import compare

SMALL = [name for name in recorded.names() if "-small-" in name]
TRAINING = [name for name in recorded.names() if "-training-" in name]
NEEDS = {"in_top_k": ["in_top_k"], "two_step": ["two_step"], "rnn_gradients": ["gradients"]}


def _needs(name):
    """The marks of a small case: what a backend must declare to be asked it."""
    case = recorded.load(name).case
    dtype = "float64" if name.split("/")[0].endswith("float64") else "float32"
    needs = [*NEEDS.get(case["method"], [case["method"]]), dtype]
    if "cell" in case["arguments"]:
        needs.append(case["arguments"]["cell"][2])
    if "lengths_" in name and "lengths_none" not in name:
        needs.append("lengths")
    if name.endswith("-state"):
        needs.append("initial_state")
    if "gradients-" in name:
        needs.append(f"{case['arguments']['unrolling']}_rnn")
    return pytest.param(name, marks=pytest.mark.needs(*needs))


@pytest.mark.parametrize("name", [_needs(name) for name in SMALL])
def test_small_case_answers_as_tensorflow_1_15_did(backend, name):
    case, given, answer = recorded.load(name)
    arguments = record.join_arguments(case["method"], case["arguments"], given)
    asked = cases.Case(name, case["method"], arguments)
    found = cases.named_results(asked, getattr(backend, case["method"])(**arguments))
    assert sorted(found) == sorted(answer), f"{case['method']} must give {sorted(answer)}, not {sorted(found)}"
    for key, expected in answer.items():
        if expected.dtype == bool:
            np.testing.assert_array_equal(found[key], expected)
        else:
            compare(key, found[key], expected)


def _training_needs(name):
    case = recorded.load(name).case
    model = cases.TRAINING[case["program"]].model
    return pytest.param(name, marks=pytest.mark.needs("training", model.kind, model.cell.activation, case["dtype"]))


@pytest.mark.parametrize("name", [_training_needs(name) for name in TRAINING])
def test_sixty_adam_steps_follow_tensorflow_1_15(backend, name):
    case, _, answer = recorded.load(name)
    asked = cases.training_case(case["program"], case["dtype"], case["iterations"])
    found = cases.named_results(asked, backend.train(**asked.arguments))
    compare("losses", found["losses"], answer["losses"])
    for key in answer:
        if key.startswith("weights/"):
            compare("trained_weights", found[key], answer[key], name=key)
