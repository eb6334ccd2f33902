"""The cells and structures against TensorFlow 1.15.5's own classes, contrib's and Keras's, in a process of its own.

Its Python is that of a backend NAME@PYTHON in the environment variable UNROLLED_BACKENDS. What the classes answered
once is tested without it, in spec_tests/suite/test_recorded.py.
"""

from __future__ import annotations

import inspect
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from unrolled.networks import tf1

_NAMES = os.environ.get("UNROLLED_BACKENDS", "").split(",")
PYTHONS = [name.partition("@")[2].strip() for name in _NAMES if "@" in name]
LIMITS = {"float32": 2e-6, "float64": 1e-12}
# What has no counterpart because it changes no values, or is refused (residual_fn, filters).
WITHOUT = {
    *("reuse", "name", "dtype", "state_is_tuple", "initializer", "kernel_initializer", "bias_initializer", "kwargs"),
    *("num_unit_shards", "num_proj_shards", "input_size", "seed", "dropout_prob_seed", "norm_gain", "norm_shift"),
    *("residual_fn", "dropout_state_filter_visitor", "cell_size", "inputs", "sequence_length", "parallel_iterations"),
    *("initial_state_fw", "initial_state_bw", "initial_states_fw", "initial_states_bw", "swap_memory", "time_major"),
    "scope",
}


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m tf_reference.tests.against_genuine` in TensorFlow's Python."""
    if not PYTHONS:
        pytest.skip("UNROLLED_BACKENDS names no Python of TensorFlow 1.15.5")
    root = Path(__file__).parents[2]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="", PYTHONPATH=str(root))
    environment.pop("TF2_BEHAVIOR", None)  # set by TensorFlow 2 where this process has imported it
    line = [PYTHONS[0], "-W", "ignore", "-m", "tf_reference.tests.against_genuine", *arguments]
    return subprocess.run(line, capture_output=True, text=True, timeout=900, env=environment, cwd=root)


@pytest.fixture(scope="module")
def said() -> dict[str, Any]:
    """What it says."""
    done = command()
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_every_class_answers_as_its_own_cell_here_does(said: dict[str, Any]) -> None:
    beyond = {name: found for name, found in said["differences"].items() if not found[1] <= LIMITS[found[0]]}
    assert len(said["differences"]) > 10 and not beyond


@pytest.mark.parametrize("name", tf1.__all__)
def test_arguments_and_defaults_are_those_of_the_class(said: dict[str, Any], name: str) -> None:
    theirs = {key: value for key, value in said["defaults"][name].items() if key not in WITHOUT}
    ours = {
        argument.name: None if argument.default is argument.empty else argument.default
        for argument in inspect.signature(getattr(tf1, name)).parameters.values()
    }
    if "activation" in theirs:  # None is tanh
        theirs["activation"] = theirs["activation"] or "tanh"
    assert list(ours) == [key for key in theirs if key in ours] and set(ours) == set(theirs)
    assert ours == theirs


def test_a_length_above_the_steps_aborts_the_fused_cell() -> None:
    done = command("--too-long")
    assert done.returncode == -signal.SIGABRT and "Check failed" in done.stderr
