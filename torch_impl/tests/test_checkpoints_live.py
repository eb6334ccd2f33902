"""Checkpoints between this library and a genuine TensorFlow 1.15.5 that runs beside it, both ways.

Its Python is that of a backend NAME@PYTHON in the environment variable UNROLLED_BACKENDS, as in
UNROLLED_BACKENDS=torch_impl,tf_reference@tf1/bin/python. What it recorded once is tested without it, in
test_checkpoints_convert.py.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from torch_impl import adapter
from torch_impl.__main__ import make_group
from torch_impl.checkpoints.run_files import load_checkpoint
from torch_impl.runs.saved import slots_of, weights_of
from torch_impl.tests import made_runs
from torch_impl.tests.test_checkpoints_convert import SETTINGS, check_that_it_goes_on_as_tensorflow_did
from torch_impl.tf1.back import default_names
from torch_impl.tf1.convert import convert_from_tf1
from unrolled.datasets import mnist, series
from unrolled.models import from_plain
from unrolled.programs import Adam

FILES = Path(__file__).parent / "files"
_NAMES = os.environ.get("UNROLLED_BACKENDS", "").split(",")
PYTHONS = [name.partition("@")[2].strip() for name in _NAMES if "@" in name]
pytestmark = pytest.mark.skipif(not PYTHONS, reason="UNROLLED_BACKENDS names no Python of TensorFlow 1.15.5")
# Over more steps float32's rounding grows by itself: through the 100 steps of ReLU units on the series soon.
UPDATES = {"classifier": 5, "stacked": 1, "wrapped": 1}


def tensorflow(*arguments: object) -> None:
    """Run a script in TensorFlow's Python."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment.pop("TF2_BEHAVIOR", None)  # set by TensorFlow 2 where this process has imported it
    environment.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")
    command = [PYTHONS[0], "-W", "ignore", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints that TensorFlow makes now."""
    folder = tmp_path_factory.mktemp("tf1")
    tensorflow(FILES / "make_tf1_checkpoints.py", folder)
    return folder


@pytest.mark.parametrize("name", SETTINGS)
def test_a_checkpoint_made_now_predicts_and_continues_the_same(name: str, fresh: Path, tmp_path: Path) -> None:
    convert_from_tf1(fresh / name, tmp_path, settings=SETTINGS[name])
    check_that_it_goes_on_as_tensorflow_did(name, fresh, tmp_path)


def call(*words: object) -> None:
    result = CliRunner().invoke(make_group(), [str(word) for word in words])
    assert result.exit_code == 0, result.output


@pytest.fixture(scope="module")
def restored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of three kinds in folders of their names, converted, and what TensorFlow made of each in out.npz."""
    home = tmp_path_factory.mktemp("restored")
    for kind, updates in UPDATES.items():
        values: dict[str, Any] = {"updates": updates}
        (home / kind).mkdir()
        if kind == "classifier":
            run = made_runs.images(home / kind)
            some = mnist.load(validation_size=0).test
            values.update(inputs=some.images[:50], targets=some.labels[:50].astype(np.int32))
        else:
            small = ("--iterations", 300, "--units", 30, "--projection", kind)
            run = made_runs.train(home / kind, "series", *small)
            values.update(series.training_pair()._asdict())
        run.rename(home / kind / "run")
        call("convert", home / kind / "run", home / kind / "tf1" / "model", "--to-tf1")
        rate = load_checkpoint(home / kind / "run").state["optimizer"]["learning_rate"]
        np.savez(home / kind / "values.npz", learning_rate=rate, **values)
    tensorflow(FILES / "continue_in_tf1.py", *(home / kind for kind in UPDATES))
    return home


@pytest.mark.parametrize("kind", UPDATES)
def test_a_run_becomes_a_checkpoint_that_tensorflow_restores_and_continues(kind: str, restored: Path) -> None:
    with np.load(restored / kind / "values.npz") as values, np.load(restored / kind / "out.npz") as found:
        assert found["version"] == "1.15.5"
        check_continued(restored / kind / "run", dict(values), dict(found), kind == "wrapped")


def check_continued(run: Path, values: dict[str, Any], found: dict[str, Any], wrapped: bool) -> None:
    """TensorFlow's logits and next steps, from the checkpoint that it restored, against this library's from the run."""
    checkpoint = load_checkpoint(run)
    model = from_plain(checkpoint.state["model"])
    optimizer = Adam(**checkpoint.state["optimizer"])
    backend, weights, inputs = adapter.backend("cpu"), weights_of(checkpoint), values["inputs"]
    assert_close(found["forward"], backend.forward(model, weights, inputs))
    batches, slots = np.tile(np.arange(len(inputs)), (int(values["updates"]), 1)), slots_of(checkpoint)
    arguments = (model, weights, optimizer, inputs, values["targets"], batches)
    losses, weights, slots = backend.train(*arguments, slots=slots)
    assert_close(found["losses"], losses)
    names = default_names(model)
    names.update(
        {f"{name}/{slot}": f"{own}/{slot}" for name, own in dict(names).items() for slot in ("Adam", "Adam_1")}
    )
    for canonical, array in {**weights, **slots}.items():
        assert_close(found[names.get(canonical, canonical)], array)
    assert found["global_step"] == checkpoint.state["step"] + values["updates"]


def assert_close(found: np.ndarray, expected: np.ndarray) -> None:
    """Within 2e-6 of the largest magnitude, 1 at least, as the spec has it for float32.

    After 28 steps of float32, on logits up to 8, TensorFlow is 5e-6 and this library 7e-6 away from what float64 gives.
    """
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 2e-6 * max(1.0, np.abs(expected).max())
