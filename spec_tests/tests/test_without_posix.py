"""On a system without POSIX's calls: what needs them says so in a sentence, and the rest works."""

import sys

import pytest

from unrolled.tests.hiding import without

MODULES = "fcntl,resource,termios,tty,pty,pwd,grp"
NAMES = "os.killpg,os.sched_getaffinity,os.setsid,os.O_NONBLOCK,os.O_NOFOLLOW,select.poll"
SENTENCE = "needs Linux, macOS or another POSIX system"
BACKEND = "spec_tests.examples.numpy_backend:backend"


@pytest.mark.parametrize("asked", [["compare"], ["conform", "--backend", BACKEND]])
def test_what_starts_processes_says_that_it_cannot(tmp_path, asked):
    done = without(tmp_path, MODULES, NAMES, "-m", "spec_tests", *asked)
    assert done.returncode == 1 and SENTENCE in done.stderr
    assert len(done.stderr.splitlines()) == 1 and not any(tmp_path.iterdir())


def test_a_backend_in_another_python_says_that_it_cannot(tmp_path):
    suite = ["-m", "pytest", "-p", "unrolled.pytest_plugin", "--unrolled-suite", "-k", "test_a_tie_is_a_hit"]
    done = without(tmp_path, MODULES, NAMES, *suite, "--backend", "%s@%s" % (BACKEND, sys.executable))
    assert done.returncode == 4 and SENTENCE in done.stderr + done.stdout
    assert "Traceback" not in done.stderr + done.stdout


def test_the_suite_runs_in_this_process(tmp_path):
    suite = ["-m", "pytest", "-p", "unrolled.pytest_plugin", "--unrolled-suite", "-k", "test_a_tie_is_a_hit"]
    done = without(tmp_path, MODULES, NAMES, *suite, "--backend", BACKEND)
    assert done.returncode == 0 and " passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("asked", [["compare", "-h"], ["report", "nothing.json"], ["train", "mnist", "-h"]])
def test_the_rest_of_the_command_line_is_there(tmp_path, asked):
    done = without(tmp_path, MODULES, NAMES, "-m", "unrolled", *asked)
    assert "Traceback" not in done.stderr and (done.returncode == 0 or "nothing.json" in done.stderr), done.stderr
