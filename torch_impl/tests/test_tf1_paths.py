"""What a path given to `convert` means, and what is said of files that are no checkpoint of tf.train.Saver."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from torch_impl.checkpoints import CheckpointError
from torch_impl.tests.converting import convert
from torch_impl.tf1 import protobuf
from torch_impl.tf1.graphs.meta import read_graph
from torch_impl.tf1.locate import find_prefix

FILES = Path(__file__).parent / "files"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for end in (".index", ".data-00000-of-00001"):
        shutil.copy(FILES / "tf1" / f"classifier{end}", tmp_path / f"model-7{end}")
    (tmp_path / "model-7.meta").write_bytes(b"")
    return tmp_path


@pytest.mark.parametrize("name", ["model-7", "model-7.index", "model-7.meta", "model-7.data-00000-of-00001", "."])
def test_each_file_of_a_checkpoint_means_it(name: str, home: Path) -> None:
    assert find_prefix(home / name) == home / "model-7"


def test_a_folder_of_the_prefixs_name_does_not_hide_it(home: Path) -> None:
    (home / "model-7").mkdir()
    assert find_prefix(home / "model-7") == home / "model-7"


def test_a_path_of_another_machine_is_looked_for_in_its_own_folder(home: Path) -> None:
    (home / "checkpoint").write_text('model_checkpoint_path: "/home/somebody/run/model-7"\n')
    assert find_prefix(home) == find_prefix(home / "checkpoint") == home / "model-7"
    (home / "checkpoint").write_text('model_checkpoint_path: "/home/somebody/run/model-8"\n')
    with pytest.raises(CheckpointError, match=r"which is not there; there: model-7"):
        find_prefix(home)


@pytest.mark.parametrize(
    ("name", "start", "reason"),
    [
        ("notes.txt", b"text", "no file of a checkpoint of tf.train.Saver (PREFIX.index, "),
        ("model.ckpt", b"\0\0\0", "no file of a checkpoint of tf.train.Saver (PREFIX.index, "),
        ("saved_model.pb", b"\n\5", "a SavedModel without variables/variables.index; copy that there"),
        ("graph.pbtxt", b'op: "VariableV2"', "a graph without weights; name the checkpoint that was saved with it"),
        ("model.data-00000-of-00002", b"", "a checkpoint's data, and model.index is not beside it"),
        ("model.meta", b"", "a graph, and model.index with its weights is not beside it"),
        ("other", None, "other.index: no such checkpoint; no checkpoint lies there"),
    ],
)
def test_other_files_are_told_what_they_are(name: str, start: bytes | None, reason: str, tmp_path: Path) -> None:
    if start is not None:
        (tmp_path / name).write_bytes(start)
    result = convert(tmp_path / name, tmp_path / "run")
    assert result.exit_code == 2
    assert reason in result.output
    assert result.output.count("\n") == 1


@pytest.mark.parametrize("number", [1, 2, 3, 5])
def test_a_graph_with_a_field_of_another_type_is_told_to_be_altered(number: int, tmp_path: Path) -> None:
    """A number for a node's name, operation, input, or the name of an attribute."""
    wrong = b"\x08\x07"
    field = protobuf.bytes_field(5, wrong) if number == 5 else protobuf.varint_field(number, 7)
    node = protobuf.bytes_field(1, protobuf.bytes_field(1, b"x") + field)
    (tmp_path / "x.meta").write_bytes(protobuf.bytes_field(2, node))
    with pytest.raises(CheckpointError, match=r"x\.meta: not a MetaGraphDef, or altered"):
        read_graph(tmp_path / "x.meta")
