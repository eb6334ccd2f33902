"""What is said of TensorFlow's and Keras's other files, and that the lines of Python said there do what they say.

They are run where UNROLLED_BACKENDS names a Python of TensorFlow 1.15.5 (see test_checkpoints_live); those for what
Keras 3 wrote by this Python, if it has Keras.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from torch_impl.runs import load_run
from torch_impl.tests.converting import convert
from torch_impl.tests.test_checkpoints_live import PYTHONS, tensorflow
from torch_impl.tf1.table import MAGIC
from torch_impl.tf1.writing import write_variables

FILES = Path(__file__).parent / "files"
KIND = ("--kind", "classifier")
BARE = (*KIND, "--beta1", "0.8")  # which a graph would tell
HARD, SOFT = ((*KIND, "--recurrent-activation", name) for name in ("hard_sigmoid", "sigmoid"))
OF_TF1 = {
    "v1": (), "v1/model.ckpt-3": (), "v1/model.ckpt-3.meta": (), "v1_shards": (), "v1_bare/model.ckpt-3": BARE,
    "saved": (), "frozen.pb": KIND, "frozen.pbtxt": KIND, "frozen_both.pb": KIND, "model.h5": KIND,
    "weights.h5": HARD, "objects": HARD, "weights_tf/weights": HARD, "saved_keras": HARD,
}  # fmt: skip
OF_KERAS_3 = ("model3.keras", "model3.h5", "model3.weights.h5", "objects3", "export3")
live = pytest.mark.skipif(not PYTHONS, reason="UNROLLED_BACKENDS names no Python of TensorFlow 1.15.5")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("others")
    tensorflow(FILES / "make_tf1_others.py", folder)
    return folder


@pytest.fixture(scope="module")
def made_by_keras_3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not all(map(importlib.util.find_spec, ("keras", "tensorflow"))):
        pytest.skip("Keras 3 on TensorFlow is not installed")
    folder = tmp_path_factory.mktemp("keras3")
    keras_3(FILES / "make_keras3.py", folder)
    return folder


def keras_3(*arguments: object) -> None:
    """Run a script in this Python, apart from what this process has imported."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow", "PYTHONPATH": str(FILES)}
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]


def lines_for(path: Path) -> tuple[str, Path]:
    """The lines of Python that `convert` prints for a file, and what they are to make."""
    result = convert(path)
    assert result.exit_code == 2, result.output
    sentence, _, lines = result.output.partition("\n")
    found = re.fullmatch(
        r"Error: \S+: .*, which is not read here; .*, these lines of Python make (\S+) of it.*:", sentence
    )
    assert found, result.output
    return lines, Path(found[1])


def check_that_it_predicts(prefix: Path, options: tuple[str, ...], record: Path, out: Path) -> None:
    result = convert(prefix, out, *options)
    assert result.exit_code == 0, result.output
    with np.load(record) as truth:
        found = load_run(out).logits(truth["inputs"], truth.get("lengths"))
        assert np.abs(found - truth["outputs"]).max() <= 1e-6 * np.abs(truth["outputs"]).max()


@live
@pytest.mark.parametrize("name", OF_TF1)
def test_the_lines_make_a_checkpoint_that_predicts_the_same(name: str, made: Path, tmp_path: Path) -> None:
    lines, prefix = lines_for(made / name)
    (tmp_path / "lines.py").write_text(lines)
    states = {path: path.read_bytes() for path in made.glob("**/checkpoint")}
    tensorflow(tmp_path / "lines.py")
    assert states == {path: path.read_bytes() for path in made.glob("**/checkpoint")}
    of_keras = name == "model.h5" or OF_TF1[name] == HARD
    record = "keras.npz" if of_keras else "both.npz" if name == "frozen_both.pb" else "graph.npz"
    check_that_it_predicts(prefix, OF_TF1[name], made / record, tmp_path / "run")


@live
def test_a_saved_models_variables_convert_by_their_names(made: Path, tmp_path: Path) -> None:
    assert f"or convert {made}/saved/variables/variables as it is" in convert(made / "saved").output
    check_that_it_predicts(made / "saved/variables/variables", BARE, made / "graph.npz", tmp_path / "run")


@live
def test_a_graph_with_variables_has_no_weights(made: Path) -> None:
    assert "unfrozen.pb: a graph without weights; name the checkpoint" in convert(made / "unfrozen.pb").output


@live
@pytest.mark.parametrize("name", OF_KERAS_3)
def test_the_lines_for_keras_3_make_one_too(name: str, made_by_keras_3: Path, tmp_path: Path) -> None:
    lines, prefix = lines_for(made_by_keras_3 / name)
    before = "import make_keras3\nmodel = make_keras3.model()\n" if name.endswith(".weights.h5") else ""
    (tmp_path / "lines.py").write_text(before + lines)
    keras_3(tmp_path / "lines.py")
    check_that_it_predicts(prefix, SOFT, made_by_keras_3 / "keras3.npz", tmp_path / "run")


@live
@pytest.mark.parametrize("cell", ["NASCell", "PhasedLSTMCell", "AttentionCellWrapper", "HighwayWrapper"])
def test_a_cell_that_is_no_kind_here_is_called_by_its_name(cell: str, made: Path) -> None:
    result = convert(made / "cells" / cell)
    assert result.exit_code == 2, result.output
    assert f" {cell}, which is no kind of network here" in result.output.splitlines()[-1]
    with_all = convert(made / "cells" / cell, "--list")
    assert with_all.exit_code == 0
    assert "  dense/kernel" in with_all.output


HDF5 = b"\x89HDF\r\n\x1a\n"


@pytest.mark.parametrize(
    ("name", "content", "words", "line"),
    [
        ("a.ckpt", b"x" * 60 + MAGIC, "a checkpoint of the old V1 format", "tf.train.load_checkpoint({path})"),
        ("a-00000-of-00001", b"x" * 60 + MAGIC, "a checkpoint of the old V1 format", "/a-?????-of-00001"),
        ("a.pb", b"\n\5", "a frozen graph, whose weights are constants", "tf.GraphDef.FromString(open({path},"),
        ("a.pbtxt", b"node", "a frozen graph, whose weights are constants", "text_format.Parse(open({path})"),
        ("a.h5", HDF5 + b"weight_names model_config 2.2.4-tf", "a Keras model of TensorFlow 1", "load_model({path},"),
        ("a.h5", HDF5 + b"weight_names model_config 3.15.1", "a Keras model, which", "h5py.File({path},"),
        ("a.h5", HDF5 + b"weight_names 2.2.4-tf", "weights of a Keras model", "h5py.File({path},"),
        ("a.h5", HDF5 + b"vars", "with Keras 3 on TensorFlow, after the code that builds the", "load_weights({path})"),
        ("a.keras", b"PK\3\4", "a Keras model, which", "keras.models.load_model({path},"),
    ],
)  # fmt: skip
def test_each_file_is_told_what_it_is_and_what_makes_it_one(
    name: str, content: bytes, words: str, line: str, tmp_path: Path
) -> None:
    path = tmp_path / "it's 5 $ {x}" / name  # a path is quoted as Python has it
    path.parent.mkdir()
    path.write_bytes(content)
    result = convert(path)
    assert result.exit_code == 2
    assert words in result.output.splitlines()[0]
    lines = result.output.partition("\n")[2]
    compile(lines, name, "exec")
    assert line.format(path=repr(str(path))) in lines


def test_a_checkpoint_of_the_v1_format_is_found_by_whatever_names_it(tmp_path: Path) -> None:
    (tmp_path / "model-7").write_bytes(b"x" * 60 + MAGIC)
    (tmp_path / "model-7.meta").write_bytes(b"")
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "/home/somebody/run/model-7"\n')
    for name in ("model-7", "model-7.meta", ".", "checkpoint"):
        lines, prefix = lines_for(tmp_path / name)
        assert prefix == tmp_path / "model-7-saver"
        assert f"import_meta_graph({str(tmp_path / 'model-7.meta')!r}).restore(session, " in lines
    (tmp_path / "checkpoint").unlink()
    assert lines_for(tmp_path)[1] == tmp_path / "model-7-saver"
    assert "model-8.index: no such checkpoint; there: model-7" in convert(tmp_path / "model-8").output


def test_a_checkpoint_of_objects_is_told_from_one_of_names(tmp_path: Path) -> None:
    arrays = {"_CHECKPOINTABLE_OBJECT_GRAPH": np.zeros(1), "model/x/.ATTRIBUTES/VARIABLE_VALUE": np.zeros(1)}
    write_variables(tmp_path / "x", arrays)
    assert "an object-based checkpoint of TensorFlow 2, which" in convert(tmp_path / "x").output
    write_variables(tmp_path / "variables" / "variables", arrays)
    (tmp_path / "saved_model.pb").write_bytes(b"")
    assert "a SavedModel of TensorFlow 2, which" in convert(tmp_path / "saved_model.pb").output


def test_a_saved_models_own_tags_are_in_the_lines(tmp_path: Path) -> None:
    write_variables(tmp_path / "variables" / "variables", {"dense/kernel": np.zeros(1)})
    (tmp_path / "saved_model.pb").write_bytes(b"\x08\1\x12\x10\n\x0e\x22\5serve\x22\5train")
    assert f"load(session, ['serve', 'train'], {str(tmp_path)!r})" in lines_for(tmp_path)[0]
    (tmp_path / "saved_model.pb").write_bytes(b"\x08\1\x12\x10\n\x0e\x22\5serve\x22\5$a$$b")
    assert "load(session, ['serve', '$a$$b'], " in lines_for(tmp_path)[0]  # nothing there is a template's
    (tmp_path / "saved_model.pb").write_bytes(b"\x12\x10\n")
    assert "saved_model.pb: not a SavedModel, or altered" in convert(tmp_path).output
