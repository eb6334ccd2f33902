"""TensorFlow 1 checkpoints: those of genuine TensorFlow 1.15.5 in files/tf1 are read to the bit, written to the byte,
and damaged in every way that is cheap to try. files/make_tf1_checkpoints.py made them."""

from __future__ import annotations

import os
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from torch_impl.checkpoints import CheckpointError
from torch_impl.tf1 import bundle, protobuf
from torch_impl.tf1.bundle import Bundle
from torch_impl.tf1.crc32c import crc32c, mask
from torch_impl.tf1.state_file import latest_checkpoint
from torch_impl.tf1.table import build_table, read_table
from torch_impl.tf1.variables import Variables
from torch_impl.tf1.writing import write_variables

FILES = Path(__file__).parent / "files" / "tf1"
MODELS = ("classifier", "layers", "wrapped", "stacked", "older", "sharded")
UNREADABLE = ("partitioned", "unreadable/bool", "unreadable/string")


def read_all(prefix: Path) -> dict[str, np.ndarray]:
    bundle = Bundle(prefix)
    return {name: bundle.read(name) for name in bundle.entries if name not in UNREADABLE}


def same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> bool:
    return found.keys() == expected.keys() and all(
        found[n].dtype == expected[n].dtype
        and found[n].shape == expected[n].shape
        and found[n].tobytes() == expected[n].tobytes()
        for n in expected
    )


def recorded(name: str) -> dict[str, np.ndarray]:
    """The variables as TensorFlow's own reader gave them."""
    with np.load(FILES / f"{name}.npz", allow_pickle=False) as arrays:
        found = {key[len("variables/") :]: arrays[key] for key in arrays.files if key.startswith("variables/")}
    return {key: array for key, array in found.items() if key not in UNREADABLE}


def copied(name: str, folder: Path) -> list[Path]:
    """The files of a checkpoint, copied to `folder`."""
    return [Path(shutil.copy(path, folder)) for path in sorted(FILES.glob(f"{name}.*")) if path.suffix != ".npz"]


@pytest.mark.parametrize("name", [*MODELS, "others"])
def test_every_variable_is_read_to_the_bit(name: str) -> None:
    found = read_all(FILES / name)
    assert len(found) >= 6
    assert same(found, recorded(name))


def test_all_four_dtypes_scalars_and_empty_arrays_are_among_them() -> None:
    found = recorded("others")
    assert {array.dtype.name for array in found.values()} == {"float32", "float64", "int32", "int64"}
    assert {array.shape for array in found.values()} >= {(), (0, 4)}
    assert Bundle(FILES / "sharded").shards == 2


@pytest.mark.parametrize("name", [name for name in MODELS if name != "sharded"])
def test_the_files_written_are_those_that_tensorflow_writes(name: str, tmp_path: Path) -> None:
    write_variables(tmp_path / "made" / name, recorded(name))
    for path in sorted((tmp_path / "made").iterdir()):
        assert path.read_bytes() == (FILES / path.name).read_bytes(), path.name
    assert len(list((tmp_path / "made").iterdir())) == 2


def test_what_is_written_is_read_back_whatever_its_layout(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    tensors: dict[str, np.ndarray] = {
        "fortran": np.asfortranarray(random.normal(size=(3, 4))),
        "strided": random.normal(size=(8, 3)).astype(np.float32)[::2],
        "big_endian": np.arange(5, dtype=">i8"),
        "large": random.normal(size=(70, 1000)).astype(np.float32),
        "nan": np.array([np.nan, -np.inf, -0.0]),
        "naïve": np.array(-7, np.int32),
    }
    write_variables(tmp_path / "x", tensors)
    native = {name: np.array(array, array.dtype.newbyteorder("="), order="C") for name, array in tensors.items()}
    assert same(read_all(tmp_path / "x"), dict(sorted(native.items())))


@pytest.mark.parametrize("array", [np.array(["a"]), np.array([None]), np.zeros(2, np.complex64)])
def test_a_dtype_that_cannot_be_written_is_named(array: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r"variable v of dtype .*, expected one of bool, float16, float32, float64, int32, int64"
    ):
        write_variables(tmp_path / "x", {"v": array})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("unreadable/bool", "variable unreadable/bool is bool, expected one of float32"),
        ("unreadable/string", "variable unreadable/string is string, expected"),
        ("partitioned", "variable partitioned is partitioned; save"),
        ("nowhere", "has no variable nowhere; it has empty, float32"),
    ],
)
def test_a_variable_that_cannot_be_read_is_named(name: str, reason: str) -> None:
    with pytest.raises(CheckpointError, match=reason):
        Bundle(FILES / "others").read(name)


def test_every_flipped_byte_is_noticed_or_harmless(tmp_path: Path) -> None:
    expected, noticed, harmless = recorded("sharded"), 0, 0
    for path in copied("sharded", tmp_path):
        original = path.read_bytes()
        for position in range(len(original)):
            flipped = bytearray(original)
            flipped[position] ^= 1 << position % 8
            path.write_bytes(flipped)
            try:
                assert same(read_all(tmp_path / "sharded"), expected), (path.name, position)
                harmless += 1
            except CheckpointError as error:
                assert "\n" not in str(error)
                assert str(tmp_path) in str(error)
                noticed += 1
        path.write_bytes(original)
    # Nothing reads the zeros between the footer's handles and its magic number.
    assert harmless <= 40
    assert noticed > 1000
    assert same(read_all(tmp_path / "sharded"), expected)


def test_every_truncation_is_noticed(tmp_path: Path) -> None:
    for path in copied("sharded", tmp_path):
        original = path.read_bytes()
        for length in range(len(original)):
            path.write_bytes(original[:length])
            with pytest.raises(CheckpointError, match=r"truncated|magic"):
                read_all(tmp_path / "sharded")
        path.write_bytes(original)


def test_random_damage_to_both_files_ends_in_one_sentence(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    files = copied("layers", tmp_path)
    originals, expected, errors = [path.read_bytes() for path in files], recorded("layers"), 0
    for _ in range(1000):
        for path, original in zip(files, originals, strict=True):
            path.write_bytes(damaged(original, random))
        try:
            assert same(read_all(tmp_path / "layers"), expected)
        except CheckpointError:
            errors += 1
    assert errors > 950


def damaged(data: bytes, random: np.random.Generator) -> bytes:
    """`data` with a few bytes changed, a piece removed, repeated or replaced."""
    start, end = sorted(int(i) for i in random.integers(0, len(data) + 1, 2))
    kind = random.integers(4)
    if kind == 0:
        return data[:start] + data[end:]
    if kind == 1:
        return data[:end] + data[start:end] + data[end:]
    if kind == 2:
        return data[:start] + random.bytes(end - start) + data[end:]
    changed = bytearray(data)
    for position in random.integers(0, len(data), 5):
        changed[position] = random.integers(256)
    return bytes(changed)


def test_an_index_forged_with_right_checksums_ends_in_one_sentence(tmp_path: Path) -> None:
    """The contents themselves are lies here: the checksums are made to fit, so that only the checks on them count."""
    random = np.random.default_rng(6)
    index = next(path for path in copied("others", tmp_path) if path.suffix == ".index")
    table, errors = read_table(index.read_bytes()), 0
    for _ in range(600):
        key = list(table)[int(random.integers(len(table)))]
        index.write_bytes(build_table({**table, key: damaged(table[key] or b"\0", random)}))
        try:
            read_all(tmp_path / "others")
        except CheckpointError as error:
            assert "\n" not in str(error)
            errors += 1
    assert errors > 200


def entry(**changes: int | bytes) -> bytes:
    """The entry of a float32 variable [2, 3] at the start of shard 0, with some fields changed."""
    fields = {"dtype": 1, "shape": b"\x12\x02\x08\x02\x12\x02\x08\x03", "shard": 0, "offset": 0, "size": 24, **changes}
    message = b""
    for number, (_, value) in enumerate(fields.items(), 1):
        message += (
            protobuf.bytes_field(number, value) if isinstance(value, bytes) else protobuf.varint_field(number, value)
        )
    return message


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"size": 1 << 60}, "variable v: altered: 1152921504606846976 bytes recorded for float32 .2, 3., expected 24"),
        ({"size": 0}, "altered: 0 bytes recorded"),
        ({"shape": b"\x12\x0a\x08" + b"\xff" * 8 + b"\x7f"}, "bytes recorded"),
        ({"shape": b"\x12\x0b\x08" + b"\xff" * 9 + b"\x01"}, "negative number -1"),
        ({"shape": b"\x12\x02\x08\x01" * 33, "size": 4}, "rank 33, expected at most 32"),
        ({"shape": b"\x18\x01"}, "rank is unknown"),
        ({"shape": 5}, "a message is stored as a number"),
        ({"dtype": b"\x01"}, "a number is stored in another form"),
        ({"offset": 1 << 62}, "truncated: variable v ends at byte 4611686018427387928, and the file has"),
        ({"offset": (1 << 64) - 8}, "negative number -8"),
        ({"shard": 1}, "shard 1 of 1"),
        ({"dtype": 77}, "of the unknown type 77"),
        ({"dtype": 0}, "of the unknown type 0"),
        ({}, "checksum of variable v"),
    ],
)
def test_a_forged_entry_is_named_and_allocates_nothing(
    changes: dict[str, int | bytes], reason: str, tmp_path: Path
) -> None:
    write_variables(tmp_path / "x", {"v": np.ones((2, 3), np.float32)})
    write_index(tmp_path, {b"": HEADER, b"v": entry(**changes)})
    tracemalloc.start()
    with pytest.raises(CheckpointError, match=reason):
        read_all(tmp_path / "x")
        Bundle(tmp_path / "x").read("v")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


def test_a_size_beyond_all_arrays_is_refused_also_beside_a_size_of_zero(tmp_path: Path) -> None:
    write_variables(tmp_path / "x", {"v": np.ones((2, 3), np.float32)})
    shape = b"\x12\x00\x12\x0a\x08" + b"\xff" * 8 + b"\x7f"
    right = protobuf.fixed32_field(6, mask(crc32c(b"")))
    write_index(tmp_path, {b"": HEADER, b"v": entry(shape=shape, size=0) + right})
    with pytest.raises(CheckpointError, match=r"impossible shape \[0, 9223372036854775807\]: "):
        read_all(tmp_path / "x")


HEADER = b"\x08\x01\x1a\x02\x08\x01"  # one shard, version 1


def write_index(folder: Path, table: dict[bytes, bytes]) -> None:
    (folder / "x.index").write_bytes(build_table(table))


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (b"\x08\x00", "0 data files claimed"),
        (b"\x08\xff\xff\xff\xff\x07", "2147483647 data files claimed"),
        (HEADER + b"\x10\x01", "big-endian"),
        (b"\x08\x01\x1a\x04\x08\x09\x10\x02", "needs a reader of version 2"),
        (None, "has no header"),
    ],
)
def test_a_header_of_another_kind_is_refused(header: bytes | None, reason: str, tmp_path: Path) -> None:
    table = {} if header is None else {b"": header}
    write_index(tmp_path, {**table, b"v": entry()})
    with pytest.raises(CheckpointError, match=reason):
        Bundle(tmp_path / "x")


@pytest.mark.parametrize("key", [b"a\nb", b"\xff", b"\x1b[2J"])
def test_a_name_that_no_variable_can_have_is_refused(key: bytes, tmp_path: Path) -> None:
    write_index(tmp_path, {b"": HEADER, key: entry()})
    with pytest.raises(CheckpointError, match="cannot be the name of a variable"):
        Bundle(tmp_path / "x")


def test_a_missing_shard_is_named_with_its_variable(tmp_path: Path) -> None:
    copied("sharded", tmp_path)
    (tmp_path / "sharded.data-00001-of-00002").unlink()
    with pytest.raises(CheckpointError, match=r"sharded\.data-00001-of-00002: missing; variable \S+ is in it"):
        read_all(tmp_path / "sharded")


def test_shards_changed_for_each_other_are_noticed(tmp_path: Path) -> None:
    _, second, _ = sorted(copied("sharded", tmp_path))
    shutil.copy(second, tmp_path / "sharded.data-00000-of-00002")
    with pytest.raises(CheckpointError, match="checksum of variable"):
        read_all(tmp_path / "sharded")


def test_what_is_no_checkpoint_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"none\.index: cannot be read \(No such file or directory\)"):
        Bundle(tmp_path / "none")
    (tmp_path / "x.index").write_bytes(b"not a table" * 20)
    with pytest.raises(CheckpointError, match=r"x\.index: not the index of a TensorFlow checkpoint"):
        Bundle(tmp_path / "x")
    (tmp_path / "x.index").unlink()
    (tmp_path / "x").write_bytes(b"one file")
    with pytest.raises(CheckpointError, match=r"x: has no x\.index beside it, so it may be .* V1 format"):
        Bundle(tmp_path / "x")
    (tmp_path / "folder.index").mkdir()
    with pytest.raises(CheckpointError, match=r"folder\.index: "):
        Bundle(tmp_path / "folder")


def test_a_pipe_in_place_of_a_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.index")
    with pytest.raises(CheckpointError, match="not a regular file"):
        Bundle(tmp_path / "x")


def test_a_variable_larger_than_the_memory_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copied("classifier", tmp_path)
    found = Variables(tmp_path / "classifier")

    def full(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(found.bundle, "read", full)
    with pytest.raises(CheckpointError, match="classifier: variable fully_connected/weights takes more memory than"):
        found.read("fully_connected/weights")


@pytest.mark.parametrize("filler", [b"\n", b" ", b"\t\n", b"model_checkpoint_path: "])
def test_a_state_file_is_gone_over_once(filler: bytes, tmp_path: Path) -> None:
    """By the square it would take a quarter of an hour."""
    long = (filler * (1 << 20))[: (1 << 20) - 40]
    (tmp_path / "checkpoint").write_bytes(long + b'\nmodel_checkpoint_path : "a\\040b"\n')
    assert latest_checkpoint(tmp_path) == tmp_path / "a b"
    (tmp_path / "checkpoint").write_bytes(filler * (1 << 20) + b"\n")
    with pytest.raises(CheckpointError, match=r"expected at most 1048576|holds no model_checkpoint_path"):
        latest_checkpoint(tmp_path)


def test_an_index_of_absurd_size_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "x.index").open("wb") as stream:
        stream.truncate(1 << 40)
    with pytest.raises(CheckpointError, match="1099511627776 bytes long, expected at most 16777216"):
        Bundle(tmp_path / "x")


def test_the_checksum_stored_is_masked_and_of_the_bytes_of_the_tensor() -> None:
    message = read_table((FILES / "classifier.index").read_bytes())[b"fully_connected/weights"]
    stored = {number: value for number, _, value in protobuf.fields(message)}[6]
    assert stored == mask(crc32c(recorded("classifier")["fully_connected/weights"].tobytes()))
    assert bundle.data_path(Path("a/b"), 3, 12) == Path("a/b.data-00003-of-00012")
