"""Whatever goes wrong in a worker costs one call, and no process stays behind."""

import gc
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from spec_tests.backends import loading, wire
from spec_tests.backends.process import Process, WorkerError, WorkerLostError
from spec_tests.tests.processes import HERE, fails_once, gone


@pytest.fixture(scope="module")
def shared():
    backend = loading.load(HERE).inner
    yield backend
    backend.close()


@pytest.fixture
def served(shared, monkeypatch):
    """The misbehaving backend, its worker running."""
    monkeypatch.setattr(shared, "_limit_s", 60.0)
    shared.two_step()
    return shared


def test_what_a_backend_prints_is_kept_apart(served):
    assert served.forward("print") is None
    assert served.forward("read_standard_input") == ""
    message = fails_once(served, "ended with status 3 in the middle of forward", "exit", 3)
    for said in ("printed by Python", "written to descriptor 1", "printed by a child"):
        assert said in message


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV", "SIGTERM"])
def test_a_killed_worker_costs_one_call(served, name):
    message = fails_once(served, "was killed by %s in the middle of forward" % name, "kill", int(signal.Signals[name]))
    assert "its last words:" in message and "about to go" in message


def test_a_worker_killed_between_calls_costs_one_call(served):
    os.kill(served.pid, signal.SIGKILL)
    time.sleep(0.05)
    fails_once(served, "was killed by SIGKILL between two calls, before forward", "print")


def test_a_hanging_worker_is_killed_with_its_children(served):
    start = time.monotonic()
    said = "did not finish forward within 0.7 seconds and was killed .*UNROLLED_WORKER_SECONDS"
    message = fails_once(served, said, "hang", limit_s=0.7)
    assert time.monotonic() - start < 10
    (child,) = re.findall(r"child (\d+)", message)
    assert gone(int(child))


def test_a_backend_that_has_cost_too_much_is_not_asked_any_more(served, monkeypatch):
    monkeypatch.setattr(served, "_lost_s", 0.0)
    fails_once(served, "did not finish forward within 0.7 seconds", "hang", limit_s=0.7)
    assert 0.7 <= served._lost_s < 60.0
    served._lost_s = 3.99 * 60.0
    assert served.forward("print") is None
    served._lost_s = 4.0 * 60.0
    with pytest.raises(
        WorkerLostError, match=r"^served@py\S+ is not asked any more: calls that hung or crashed have cost 240"
    ):
        served.forward("print")


def test_a_worker_that_reads_nothing_is_killed(served):
    os.kill(served.pid, signal.SIGSTOP)
    fails_once(served, "did not finish forward within", "print", np.zeros(2**23), limit_s=0.7)


def test_a_flood_of_words_neither_blocks_nor_is_kept(served):
    assert served.forward("flood", 2**22) is None
    message = fails_once(served, "ended with status 1", "exit", 1)
    assert "last words\n" in message + "\n" and "first words" not in message and len(message) < 6000


BAD_REPLIES = {
    "garbage": (b"Epoch 1: accuracy 0.9\n", "begins with b'Epoc'"),
    "a forged length": (wire.PREFIX.pack(wire.MAGIC, 2, 2**60), "a body of 1152921504606846976 bytes"),
    "another id": (b"".join(wire.pack(10**6, {"result": None})), "message 1000000, expected"),
    "version 1": (wire.PREFIX.pack(b"UNR1", 2, 0), "of version 1 of the protocol (b'UNR1'), expected version 2"),
    "no known field": (b"".join(wire.pack(0, {"answer": None})), "message 0, expected"),
}


@pytest.mark.parametrize(("stream", "said"), BAD_REPLIES.values(), ids=BAD_REPLIES)
def test_nonsense_costs_one_call(served, stream, said):
    fails_once(served, "answered forward with .*" + re.escape(said), "write", np.frombuffer(stream, np.uint8))


@pytest.mark.parametrize(
    "fields",
    [{"answer": 1}, {"result": 1, "error": {}}, {"error": {"kind": "x"}}, {}],
    ids=["other", "both", "half", "none"],
)
def test_a_reply_without_its_fields_is_nonsense(served, fields):
    stream = b"".join(wire.pack(served._number + 1, fields))
    fails_once(served, "answered forward with the fields", "write", np.frombuffer(stream, np.uint8))


def test_words_between_two_calls_are_nonsense(served):
    early = b"".join(wire.pack(served._number + 1, {"result": None}))
    assert served.forward("write", np.frombuffer(early, np.uint8)) is None
    time.sleep(0.05)
    fails_once(served, "wrote to the pipe between two calls, before forward", "print")


def test_an_interrupted_call_does_not_spoil_the_next(served, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Process, "_until_ready", interrupt)
        with pytest.raises(KeyboardInterrupt):
            served.forward("hang")
    assert served.two_step(2) == ((2,), {})


def test_a_reply_cut_short_is_a_death():
    script = "import os; os.write(1, %r)" % b"".join(wire.pack(1, {"result": np.arange(9)}))[:-5]
    process = Process([sys.executable, "-S", "-c", script], "the worker", dict(os.environ))
    with pytest.raises(WorkerError, match=r"^the worker ended with status 0 in the middle of train; it wrote nothing"):
        process.exchange([b"question"], "train", 10, "")
    assert process.ended and gone(process.pid)


def test_a_worker_that_is_let_go_ends():
    backend = loading.load(HERE)
    pid = backend.pid
    del backend
    gc.collect()
    assert gone(pid)


PARENT = """
import os, sys, threading, time
from spec_tests.backends import loading
backend = loading.load(sys.argv[1]).inner
print(backend.pid, flush=True)
if sys.argv[2] == "fork":
    child = os.fork()
    answer = backend.two_step(child == 0)
    if child == 0:
        sys.exit(0)
    assert os.waitpid(child, 0)[1] == 0 and backend.two_step(5) == ((5,), {})
if sys.argv[2] == "call":
    threading.Timer(0.2, lambda: print("calling", flush=True)).start()
    backend.forward("hang")
if sys.argv[2] == "idle":
    print("idle", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("busy", ["idle", "call"])
def test_a_worker_does_not_outlive_a_killed_parent(busy):
    with subprocess.Popen([sys.executable, "-c", PARENT, HERE, busy], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.stdout.readline()
        parent.kill()
    assert gone(pid)


@pytest.mark.parametrize("way", ["exit", "fork"])
def test_a_worker_ends_with_its_parent_and_not_with_a_copy_of_it(way):
    done = subprocess.run([sys.executable, "-c", PARENT, HERE, way], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert gone(int(done.stdout.split()[0]))
