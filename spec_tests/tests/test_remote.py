"""A backend in another process answers as in this one."""

import json
import os
import statistics
import subprocess
import sys
import time
import tracemalloc

import numpy as np
import pytest

from spec_tests.backends import loading, wire
from spec_tests.backends.answers import WrongAnswerError
from spec_tests.backends.process import WorkerError
from spec_tests.oracle.backend import OracleBackend
from spec_tests.tests.processes import HERE, SERVED, fails_once
from unrolled.networks import BasicRNN, Dropout
from unrolled.programs import MNIST, Adam

OLD = "UNROLLED_TEST_PYTHON"  # environment variable: another Python to test with, such as 3.7, that has NumPy

NETWORK = BasicRNN(5)
INPUTS = np.linspace(-1, 1, 24).reshape(4, 2, 3).astype(np.float32)
WEIGHTS = {"kernel": np.linspace(-0.5, 0.5, 40).reshape(8, 5).astype(np.float32), "bias": np.ones(5, np.float32)}


@pytest.fixture(scope="module")
def shared():
    """The worker's answers as they come, unchecked."""
    backend = loading.load(HERE).inner
    yield backend
    backend.close()


def test_the_backend_is_the_one_served(shared):
    assert shared.name == "served@py%d.%d" % sys.version_info[:2]
    assert shared.capabilities == {"two_step", "classifier", "float32"}
    assert shared.expected_failures == {"test_of_this": "a reason"}
    assert shared.describe()["numpy"] == np.__version__ and shared.describe()["worker"] == sys.executable
    assert callable(shared.predict) and not hasattr(shared, "train") and not hasattr(shared, "do_raise")


def test_arguments_and_results_are_those_of_the_call(shared):
    arguments = (NETWORK, WEIGHTS, [INPUTS[:, 0], INPUTS[:, 1]], None)
    (found, named) = shared.two_step(*arguments, lengths=np.array([0, 2]), k=1)
    assert found[0] == NETWORK and type(found[0]) is BasicRNN and list(found[1]) == ["kernel", "bias"]
    assert np.array_equal(found[1]["kernel"], WEIGHTS["kernel"]) and found[1]["kernel"].dtype == np.float32
    assert np.array_equal(found[2], arguments[2]) and found[3] is None
    assert named["k"] == 1 and named["lengths"].tolist() == [0, 2]


def test_the_answers_are_those_of_the_backend_in_this_process(python=sys.executable):
    remote, here = loading.load("oracle@" + python), OracleBackend()
    lengths, state = np.array([1, 2, 0, 2]), {"h": np.full((4, 5), 0.25, np.float32)}
    answers = [b.dynamic_rnn(NETWORK, WEIGHTS, INPUTS, lengths, state) for b in (remote, here)]
    for found, expected in zip(*([outputs, state["h"]] for outputs, state in answers)):
        assert found.dtype == np.float32 and np.allclose(found, expected, rtol=1e-6, atol=0)
    masks = {"outputs": np.eye(4, 10, dtype=np.float32).reshape(4, 2, 5)}
    for unrolling in ("static_rnn", "dynamic_rnn"):
        inputs = list(INPUTS.swapaxes(0, 1)) if unrolling == "static_rnn" else INPUTS
        found, expected = (
            getattr(b, unrolling)(Dropout(NETWORK, output_keep=0.5), WEIGHTS, inputs, masks=masks)[0]
            for b in (remote, here)
        )
        assert np.allclose(found, expected, rtol=1e-6, atol=0) and np.count_nonzero(found) == 4
    weights = here.initial_weights(MNIST.model, 1)
    images, labels = np.random.RandomState(1).uniform(size=(6, 28, 28)).astype(np.float32), np.arange(6)
    batches = np.array([[0, 1], [2, 3], [5, 4]])
    (losses, trained, slots), expected = (
        b.train(MNIST.model, weights, Adam(), images, labels, batches) for b in (remote, here)
    )
    assert np.allclose(losses, expected[0], rtol=1e-5, atol=0)
    assert list(trained) == list(weights) and slots["beta1_power"].shape == ()
    assert set(slots) == set(expected[2]) and slots["kernel/Adam_1"].dtype == np.float32
    remote.close()


def test_a_call_of_small_arrays_costs_less_than_a_millisecond(shared):
    arguments = (NETWORK, WEIGHTS, INPUTS, np.array([1, 2, 0, 2]), {"h": np.zeros((4, 5), np.float32)})
    times = []
    for _ in range(300):
        start = time.perf_counter()
        shared.two_step(*arguments)
        times.append(time.perf_counter() - start)
    # The quickest tenth: what else the machine does is not the protocol's.
    assert statistics.median(sorted(times)[:30]) < 1e-3


def test_large_arrays_are_not_copied_on_the_way(shared):
    array = np.ones(2**25, np.uint8)
    tracemalloc.start()
    try:
        assert shared.loss(array) == 2**25
        assert tracemalloc.get_traced_memory()[1] < 2**21
        assert shared.loss_gradients(2**25).size == 2**25
        assert tracemalloc.get_traced_memory()[1] < 2**25 + 2**21
    finally:
        tracemalloc.stop()


def test_a_value_error_arrives_as_it_was_raised(shared):
    pid = shared.pid
    with pytest.raises(ValueError, match=r"^k: found 0, expected at least 1$") as caught:
        shared.predict(0)
    assert type(caught.value) is ValueError and "in predict" in str(caught.value.__cause__)
    assert shared.pid == pid


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (["raise"], r"served@py3.*: forward raised KeyError: 'b'(.|\n)*In the worker(.|\n)*in do_raise"),
        (
            ["return_unknown"],
            r"forward returned what the protocol cannot carry: result\[0\]: found a value of type object",
        ),
    ],
    ids=["raised", "returned"],
)
def test_any_other_error_fails_the_call_but_not_as_a_value_error(shared, call, said):
    pid = shared.pid
    with pytest.raises(WorkerError, match=said) as caught:
        shared.forward(*call)
    assert not isinstance(caught.value, ValueError)
    assert shared.two_step() == ((), {}) and shared.pid == pid


def test_an_argument_that_cannot_travel_is_named(shared):
    with pytest.raises(ValueError, match=r"^inputs: found dtype object, expected a boolean"):
        shared.forward(None, WEIGHTS, np.array([None]))
    with pytest.raises(ValueError, match=r"^lengths\[0\]: found a value of type set"):
        shared.forward(lengths=[{1}])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nosuch@" + sys.executable, "unknown backend 'nosuch'"),
        ("oracle@/no/such/python", "there is no program '/no/such/python': expected a Python interpreter"),
        ("oracle@", "there is no program ''"),
        ("oracle@/bin/true", "ended with status 0 in the middle of loading the backend"),
        ("nosuch.module:backend@" + sys.executable, "importing nosuch.module fails with ModuleNotFoundError"),
        ("spec_tests.tests.served:nothing@" + sys.executable, "has no callable 'nothing'"),
    ],
    ids=["unknown", "no file", "no name", "no Python", "no module", "no factory"],
)
def test_a_backend_that_cannot_be_had_says_why(name, said):
    with pytest.raises(loading.BackendError, match=said) as caught:
        loading.load(name)
    assert repr(name) in str(caught.value) or "unknown" in said


def test_a_wrong_limit_is_an_error(monkeypatch):
    monkeypatch.setenv("UNROLLED_WORKER_SECONDS", "soon")
    with pytest.raises(loading.BackendError, match="UNROLLED_WORKER_SECONDS is 'soon', expected a positive number"):
        loading.load(HERE)


def test_a_third_party_backend_is_found_in_the_current_folder(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text("from spec_tests.tests.served import Served\nbackend = Served\n", "utf-8")
    monkeypatch.chdir(tmp_path)
    assert loading.load("mine:backend@" + sys.executable).inner.two_step(1) == ((1,), {})


def test_packages_of_this_python_are_not_in_the_way_of_that_one(tmp_path, monkeypatch):
    (tmp_path / "numpy.py").write_text("raise ImportError('of this Python')\n", "utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert loading.load(HERE).describe()["numpy"] == np.__version__
    assert set(json.loads(loading.load(HERE)._command[-1])) == {"spec_tests", "unrolled"}


def test_two_interpreters_of_one_version_are_told_apart(tmp_path):
    other = tmp_path / "python"
    other.write_text('#!/bin/sh\nexec "%s" "$@"\n' % sys.executable, "utf-8")
    other.chmod(0o755)
    names = ["%s%s" % (SERVED, python) for python in (sys.executable, other)]
    assert [backend.name for backend in loading.select(names).backends] == names


def test_a_wrong_answer_of_a_worker_is_told_as_that_of_any_backend():
    backend = loading.load(HERE)
    with pytest.raises(WrongAnswerError, match=r"^served@py.* two_step's y0 is a tuple of 4, expected float32"):
        backend.two_step(NETWORK, WEIGHTS, INPUTS[:, 0], INPUTS[:, 1])
    backend.close()


def test_a_task_is_one_of_the_suites_own_modules(shared):
    found = shared.ask("task", ("spec_tests.study.work", "memory", {}), {})
    assert set(found) == {"values", "arrays"} and found["values"]["peak"] > 0
    with pytest.raises(ValueError, match=r"^task: found the module 'os.path', expected one of spec_tests$"):
        shared.ask("task", ("os.path", "run", {}), {})


@pytest.mark.skipif(OLD not in os.environ, reason="%s names no other Python" % OLD)
def test_another_python_gives_the_same_answers():
    python = os.environ[OLD]
    version = subprocess.check_output([python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], text=True)
    backend = loading.load(SERVED + python).inner
    assert backend.name == "served@py" + version.strip() == "served@py" + backend.describe()["python"]
    for dtype in sorted(wire.DTYPES):
        ((found,), _) = backend.two_step(np.ones((2, 0, 3), dtype))
        assert found.dtype == dtype and found.shape == (2, 0, 3)
    fails_once(backend, "was killed by SIGKILL", "kill", 9)
    backend.close()
    test_the_answers_are_those_of_the_backend_in_this_process(python)
