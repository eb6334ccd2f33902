"""Variables of many bytes are checked, converted and written in pieces; what comes out is the same."""

from __future__ import annotations

import shutil
import tracemalloc
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from torch_impl.checkpoints import CheckpointError, tensor_file
from torch_impl.checkpoints.files import parts_of
from torch_impl.checkpoints.run_files import load_checkpoint, save_checkpoint
from torch_impl.checkpoints.tensor_file import Later
from torch_impl.tests.converting import convert
from torch_impl.tf1 import bundle
from torch_impl.tf1.table import build_table, read_table
from torch_impl.tf1.variables import Variables
from torch_impl.tf1.writing import write_variables


@pytest.fixture
def mapped(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a few hundred bytes were many."""
    monkeypatch.setattr(bundle, "_MAPPED", 100)
    monkeypatch.setattr(bundle, "_PIECE", 64)
    monkeypatch.setattr("torch_impl.checkpoints.files._PART", 64)


@pytest.mark.usefixtures("mapped")
@pytest.mark.parametrize("name", ["contrib_relu", "scoped_partitioned_ema"])
def test_what_is_read_in_pieces_goes_there_and_back(name: str, recorded: Path, tmp_path: Path) -> None:
    assert convert(recorded / name, tmp_path / "run").exit_code == 0
    assert convert(tmp_path / "run", tmp_path / "back" / name, "--to-tf1").exit_code == 0
    for end in (".index", ".data-00000-of-00001"):
        assert (tmp_path / "back" / (name + end)).read_bytes() == (recorded / (name + end)).read_bytes()


@pytest.mark.usefixtures("mapped")
@pytest.mark.parametrize("place", [0, 150, 399])
def test_damage_is_noticed_in_every_piece(place: int, tmp_path: Path) -> None:
    write_variables(tmp_path / "x", {"v": np.arange(100, dtype=np.float32)})
    data = tmp_path / "x.data-00000-of-00001"
    content = bytearray(data.read_bytes())
    content[place] ^= 1
    data.write_bytes(content)
    with pytest.raises(CheckpointError, match="the checksum of variable v is"):
        Variables(tmp_path / "x").read("v")


def test_a_large_variable_is_never_in_memory_as_a_whole(recorded: Path, tmp_path: Path) -> None:
    name, size = "contrib_relu", 64 << 20
    there = Variables(recorded / name)
    table = np.arange(size // 4, dtype=np.float32).reshape(-1, 64)
    write_variables(tmp_path / name, {**{each: there.read(each) for each in there.entries}, "other": table})
    shutil.copy(recorded / f"{name}.meta", tmp_path)
    convert(recorded / name, tmp_path / "small")  # with it comes what is imported and compiled once
    tracemalloc.start()
    result = convert(tmp_path / name, tmp_path / "run")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert result.exit_code == 0, result.output
    assert peak < size // 4
    assert np.array_equal(load_checkpoint(tmp_path / "run").tensors["tf1/other"], table)


def test_the_file_is_the_one_that_safetensors_writes(tmp_path: Path) -> None:
    arrays = {name: np.arange(6).reshape(2, 3).astype(name) for name in tensor_file._TYPES}
    arrays.update({'é"\n/': np.zeros((2, 0), np.float32), "scalar": np.array(3.0), "a": np.ones(3, np.float32).T})
    later = {name: Later(array.dtype, array.shape, partial(parts_of, array)) for name, array in arrays.items()}
    cases: list[Any] = [arrays, later, {}]
    for number, tensors in enumerate(cases):
        save_checkpoint(tmp_path / str(number), tensors, {})
        (path,) = (tmp_path / str(number)).glob("*.safetensors")
        assert path.read_bytes() == safetensors.numpy.save(arrays if tensors else {})


def test_what_becomes_another_tensor_when_it_is_written_leaves_nothing_behind(tmp_path: Path) -> None:
    later = Later(np.dtype(np.float32), (2,), partial(parts_of, np.zeros(3)))
    with pytest.raises(TypeError, match="tensor 'a' became 24 bytes, expected 8"):
        save_checkpoint(tmp_path / "run", {"a": later}, {})
    assert list(tmp_path.iterdir()) == []


def test_a_small_file_cannot_hold_many_large_variables(tmp_path: Path) -> None:
    write_variables(tmp_path / "x", {"v": np.ones(30, np.float32)})
    index = tmp_path / "x.index"
    table = read_table(index.read_bytes())
    index.write_bytes(build_table({**table, b"w": table[b"v"]}))
    with pytest.raises(CheckpointError, match="altered: two variables share the bytes at 0 of shard 0"):
        Variables(tmp_path / "x")


@pytest.mark.parametrize(
    ("slices", "reason"),
    [
        ([[[0, 2], [0, 3]], [[1, 2], [0, 3]]], "altered: two of its slices overlap"),
        ([[[0, 2], [0, 3]]], "its 1 slices are 6 entries of 12"),
        ([[[0, 2], [0, 3]], [[3, 2], [0, 3]]], r"altered: a slice .* of \[4, 3\]"),
    ],
)
def test_slices_that_are_no_whole_are_refused(slices: list[list[list[int]]], reason: str, tmp_path: Path) -> None:
    write_variables(tmp_path / "x", {"v": np.ones((5, 3), np.float32)}, slices={"v": slices})
    index = tmp_path / "x.index"
    table = read_table(index.read_bytes())
    shape = b"\x12\x08\x12\x02\x08\x05\x12\x02\x08\x03"
    assert shape in table[b"v"]
    index.write_bytes(build_table({**table, b"v": table[b"v"].replace(shape, shape.replace(b"\x05", b"\x04"))}))
    with pytest.raises(CheckpointError, match=reason):
        Variables(tmp_path / "x").read("v")


def test_a_large_run_is_mapped_and_goes_back_in_pieces(recorded: Path, tmp_path: Path) -> None:
    """Verified as a whole, and never in memory as one."""
    size = 64 << 20
    there = Variables(recorded / "contrib_relu")
    table = np.arange(size // 4, dtype=np.float32).reshape(-1, 64)
    convert(recorded / "contrib_relu", tmp_path / "small")
    tensors, state = load_checkpoint(tmp_path / "small")
    save_checkpoint(tmp_path / "run", {**tensors, "tf1/other": table}, state)
    tracemalloc.start()
    result = convert(tmp_path / "run", tmp_path / "back" / "x", "--to-tf1")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert result.exit_code == 0, result.output
    assert peak < size // 4
    back = Variables(tmp_path / "back" / "x")
    assert back.entries.keys() == {*there.entries, "other"}
    assert np.array_equal(back.read("other"), table)
    (file,) = (tmp_path / "run").glob("*.safetensors")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert (
        "altered: its SHA-256 is not the one recorded" in convert(tmp_path / "run", tmp_path / "y", "--to-tf1").output
    )


@pytest.mark.parametrize("large", [False, True])
def test_what_is_mapped_is_what_safetensors_reads(large: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if large:
        monkeypatch.setattr(tensor_file, "_MAPPED", 0)
    arrays = {name: np.arange(6).reshape(2, 3).astype(name) for name in tensor_file._TYPES}
    arrays.update({'é"\n/': np.zeros((2, 0), np.float32), "scalar": np.array(3.0)})
    save_checkpoint(tmp_path, arrays, {})
    found = load_checkpoint(tmp_path).tensors
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape
        assert found[name].tobytes() == array.tobytes()


def test_damage_that_is_found_while_it_is_written_leaves_nothing_behind(tmp_path: Path, recorded: Path) -> None:
    """A slot, which nothing reads before."""
    for path in recorded.glob("contrib_relu.*"):
        shutil.copy(path, tmp_path)
    there = Variables(tmp_path / "contrib_relu")
    name = next(name for name in there.entries if name.endswith("/Adam"))
    data = tmp_path / "contrib_relu.data-00000-of-00001"
    content = bytearray(data.read_bytes())
    content[there.entries[name].offset] ^= 1
    data.write_bytes(content)
    result = convert(tmp_path / "contrib_relu", tmp_path / "run")
    assert result.exit_code == 2
    sentence = result.output.partition("Error: ")[2]
    assert sentence.startswith(f"{data}: altered: the checksum of variable {name} is ")
    assert not (tmp_path / "run").exists()
