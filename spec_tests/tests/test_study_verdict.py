"""A small planted fault turns the verdict of the right line, and of no other."""

from typing import Any

import pytest

from spec_tests.oracle import faults
from spec_tests.oracle.backend import OracleBackend
from spec_tests.questions import behaviours
from spec_tests.study import accuracy, lockstep, parity, programs, verdict, work
from spec_tests.study.parity import JUDGE_LABEL
from spec_tests.study.store import Found
from spec_tests.tests.small_study import Other, shorten

for package in ("scipy", "statsmodels"):
    pytest.importorskip(package, reason="%s is not installed (the extra `study`)" % package)

STEPS = 6
TRAINED = ("mnist", "vowels-lstm", "vowels-gru")
ASKED = [name for name in behaviours.BEHAVIOURS if not name.startswith(("mnist", "series_wrapped"))]
ALIKE = {"same numbers": "equivalent", "same training": "equivalent", "same accuracy": "equivalent"}


def answers(backend, widened):
    asked = [name for name in ASKED if behaviours.BEHAVIOURS[name].needs]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(behaviours, "offered", lambda capabilities, dtype: asked)
        return Found(*work.parity(backend, "float64", asked if widened else None))


def worked(backend):
    """What the pieces of a backend would give, by part."""
    runs = {}
    for program in TRAINED:
        steps = [1, 3, STEPS]
        for perturbed in (0, 1, 2):
            done = work.lockstep(backend, program, "float64", STEPS, steps, [], perturbed)
            runs[program, perturbed] = Found(*done)
    paired = {
        program: {seed: timed(work.alone(backend, program, False, seed, 10 + seed, 1, 6)) for seed in (1, 2)}
        for program in TRAINED[:2]
    }
    return {"parity": answers(backend, False), "lockstep": runs, "paired": paired}


def timed(task):
    return Found(dict(task[0], seconds=1.0), task[1])


@pytest.fixture(scope="module")
def small():
    with pytest.MonkeyPatch.context() as patch:
        shorten(patch)
        patch.setattr(behaviours, "TRAINING_STEPS", 6)
        yield


@pytest.fixture(scope="module")
def right(small):
    return worked(OracleBackend()), answers(OracleBackend(), True)


def verdicts(right, name, backend):
    """The verdict of the oracle and a backend, by question."""
    both = {"oracle": right[0], name: worked(backend)}
    found: dict[str, Any] = {}
    found["backends"] = {label: {"framework": label, "version": "1", "given": label} for label in both}
    answered = {(label, "float64"): each["parity"] for label, each in both.items()}
    found["parity"] = parity.summarize({(JUDGE_LABEL, "float64"): right[1], **answered})
    runs = {
        (label, program, "float64", perturbed): Found(dict(run.values, seconds=1.0), run.arrays)
        for label, each in both.items()
        for (program, perturbed), run in each["lockstep"].items()
    }
    found["lockstep"] = lockstep.summarize(runs, {(program, "float64"): [1, 3, STEPS] for program in TRAINED})
    paired = {program: {label: each["paired"][program] for label, each in both.items()} for program in TRAINED[:2]}
    found["paired"] = accuracy.summarize_paired(paired, 0.05)  # fifty images: one is two points
    found.update(accuracy={"backends": {}, "pairs": []}, cost=None, cells=[])
    (pair,) = verdict.of(found)
    return {line["question"]: line for line in pair["lines"]}


def words(lines):
    return {question: line["verdict"] for question, line in lines.items() if question != "faster"}


def test_another_right_backend_is_equivalent_in_every_line(right):
    assert words(verdicts(right, "other", Other())) == ALIKE


def test_adams_epsilon_turns_the_training_and_nothing_else(right):
    lines = verdicts(right, "fault", faults.broken("plain_adam_epsilon"))
    assert words(lines) == dict(ALIKE, **{"same training": "differs"})
    assert "times as far as rounding explains" in lines["same training"]["by"]


@pytest.mark.parametrize(
    ("fault", "kind", "others"),
    [("forget_bias_nine_tenths", "LSTM", ("RNN", "GRU")), ("update_gate_bias_nine_tenths", "GRU", ("RNN", "LSTM"))],
)
def test_a_bias_of_one_gate_turns_the_numbers_of_its_kind_and_nothing_else(right, fault, kind, others):
    """What such a network learns follows from its numbers; the training of the other kinds is judged as ever."""
    lines = verdicts(right, "fault", faults.broken(fault))
    assert words(lines) == dict(ALIKE, **{"same numbers": "differs"})
    assert kind in lines["same numbers"]["by"] and not any(other in lines["same numbers"]["by"] for other in others)
    training = lines["same training"]["by"]
    assert "of %s it follows from the numbers" % kind in training
    assert all(
        "%s, %d steps" % (programs.title(name), STEPS) in training
        for name in TRAINED
        if kind not in programs.title(name)
    )
