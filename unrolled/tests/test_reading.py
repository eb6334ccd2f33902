"""Files that somebody else may have made: pipes and devices are refused, and nothing unpacks to more than its room."""

import contextlib
import gzip
import io
import json
import os
import signal
import struct
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any, Callable, Dict

import numpy as np
import pytest
from numpy.lib import format as npy_format

from unrolled import reading
from unrolled.command_line.predict_speller import read_weights
from unrolled.datasets import mnist, vowels
from unrolled.errors import DataError
from unrolled.own_data.images import read_image
from unrolled.own_data.sequences import read_sequences, stacked
from unrolled.own_data.tables import read_table
from unrolled.reading import parse_json, read_whole, room

DOORS: Dict[str, Callable[[Path], Any]] = {
    "x.csv": read_table,
    "x.parquet": read_table,
    "x.npz": read_weights,
    "y.npz": read_sequences,
    "x.npy": lambda path: read_sequences(path, labelled=False),
    "x.png": read_image,
    "x-idx3-ubyte": lambda path: mnist.read_idx(path, 3),
    "x-idx3-ubyte.gz": lambda path: mnist.read_idx(path, 3),
    "x.ts": vowels.read_ts,
}


@contextlib.contextmanager
def soon():
    """Fail instead of waiting for ever."""

    def stop(number, frame):
        raise AssertionError("still waiting after five seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(5)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def at_most(size):
    """Fail where more memory is taken."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < size
    finally:
        tracemalloc.stop()


@pytest.fixture
def small(monkeypatch):
    """Room for 64 KiB, so that a bomb can be small."""
    monkeypatch.setattr(reading, "ROOM", 1 << 16)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no named pipes")
@pytest.mark.parametrize("name", DOORS)
def test_no_door_waits_for_a_pipe_or_reads_a_device(tmp_path, name):
    path = tmp_path / name
    for make in (lambda: os.mkfifo(str(path)), lambda: path.symlink_to("/dev/zero")):
        make()
        with soon(), at_most(1 << 24), pytest.raises(DataError, match=r"regular file|no such file"):
            DOORS[name](path)
        path.unlink()


def test_a_folder_or_too_long_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"12345")
    assert read_whole(tmp_path / "file", 5) == b"12345"
    for path, most, words in ((tmp_path, 5, "a folder"), (tmp_path / "file", 4, "5 bytes long, expected at most 4")):
        with pytest.raises(OSError) as raised:
            read_whole(path, most)
        assert raised.value.strerror == words


def test_room_grows_with_the_file():
    assert room(0) == room(1 << 20) == 1 << 28 and room(1 << 30) == 5 << 30


@pytest.mark.parametrize("text", ["[" * 100000, "[" + "[]," * (1 << 20) + "1]", '{"a": 1', "\udcff"])
def test_json_that_would_take_much_is_refused(text):
    with pytest.raises(ValueError):
        parse_json(text.encode("utf-8", "surrogateescape"))
    assert parse_json(b'{"a": [1]}') == {"a": [1]}


def npy(descr, shape, size):
    """An .npy file of zeros: a header, and so many bytes."""
    stream = io.BytesIO()
    npy_format.write_array_header_1_0(stream, {"descr": descr, "fortran_order": False, "shape": shape})
    return stream.getvalue() + bytes(size)


def npz(path, compression=zipfile.ZIP_DEFLATED, **members):
    with zipfile.ZipFile(str(path), "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name + ".npy", content)


def test_an_archive_that_unpacks_to_more_than_its_room_is_refused(tmp_path, small):
    path = tmp_path / "x.npz"
    labels = npy("|u1", (2,), 0) + b"\0\1"
    npz(path, inputs=npy("|u1", (2, 1 << 20, 1), 1 << 21), labels=labels)
    with at_most(1 << 20), pytest.raises(DataError, match=r"takes more than 0 MiB.*savez, uncompressed"):
        read_sequences(path)
    # Many arrays, each of them small.
    npz(path, **{"arr_%d" % row: npy("<f4", (2, 3000), 24000) for row in range(100)})
    with at_most(1 << 20), pytest.raises(DataError, match="with all before it"):
        read_sequences(path, labelled=False)
    npz(path, zipfile.ZIP_STORED, inputs=npy("|u1", (2, 1 << 20, 1), 1 << 21), labels=labels)
    assert read_sequences(path).inputs.shape == (2, 1 << 20, 1)


def test_an_idx_file_that_unpacks_to_more_than_its_room_is_refused(tmp_path, small):
    content = bytes([0, 0, 8, 3]) + struct.pack(">III", 2, 1024, 1024) + bytes(1 << 21)
    (tmp_path / "x-idx3-ubyte.gz").write_bytes(gzip.compress(content))
    with at_most(1 << 20), pytest.raises(DataError, match="unpack it with gunzip"):
        mnist.read_idx(tmp_path / "x-idx3-ubyte.gz", 3)
    (tmp_path / "x-idx3-ubyte").write_bytes(content)
    assert mnist.read_idx(tmp_path / "x-idx3-ubyte", 3).shape == (2, 1024, 1024)


def test_a_parquet_file_that_unpacks_to_more_than_its_room_is_refused(tmp_path, small):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = pyarrow.table({"a": np.zeros(1 << 20)})
    parquet.write_table(table, str(tmp_path / "x.parquet"), compression="zstd")
    with at_most(1 << 20), pytest.raises(DataError, match="1048576 rows of 1 columns take more than"):
        read_table(tmp_path / "x.parquet")
    parquet.write_table(table, str(tmp_path / "x.parquet"), compression="none", use_dictionary=False)
    assert read_table(tmp_path / "x.parquet").values.shape == (1 << 20, 1)


def test_text_that_unpacks_to_more_than_its_room_is_refused(tmp_path, small):
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(b"1\n" * (1 << 20)))
    with at_most(1 << 24), pytest.raises(DataError, match="more text than"):
        read_table(tmp_path / "x.csv.gz")
    (tmp_path / "x.ts.gz").write_bytes(gzip.compress(b"\n" * (20 << 20)))
    with at_most(1 << 26), pytest.raises(DataError, match="more than 16 MiB of text"):
        vowels.read_ts(tmp_path / "x.ts.gz")


def test_padding_is_held_against_the_sequences(small):
    sequences = [np.zeros((2, 1), np.float32)] * 200 + [np.zeros((2000, 1), np.float32)]
    with at_most(1 << 20), pytest.raises(DataError, match="201: has 2000 steps; padded to that, all 201"):
        stacked(sequences, [str(row + 1) for row in range(201)], None, False)


def damaged(path, how):
    """An .npz file as NumPy does not write it."""
    content = npy("<f4", (20, 3, 1), 240)
    npz(path, zipfile.ZIP_LZMA if how == "lzma" else zipfile.ZIP_STORED, inputs=content, labels=npy("<i8", (20,), 160))
    data = bytearray(path.read_bytes())
    last = data.rfind(b"PK\1\2")
    if how == "lzma":
        data[80] ^= 255
    elif how == "encrypted":
        data[last + 8] |= 1
    elif how == "unknown":
        data[last + 10 : last + 12] = struct.pack("<H", 99)
    path.write_bytes(content if how == "npy" else data)


@pytest.mark.parametrize("how", ["lzma", "encrypted", "unknown", "npy"])
@pytest.mark.parametrize("door", [read_weights, read_sequences])
def test_an_archive_of_another_make_is_refused(tmp_path, door, how):
    damaged(tmp_path / "x.npz", how)
    with pytest.raises(DataError, match=r"numpy\.savez"):
        door(tmp_path / "x.npz")


@pytest.mark.parametrize("index", ["3", "[]", '{"case": 3}', "{", json.dumps({"case": {}})])
def test_recorded_results_with_another_index_are_refused(tmp_path, monkeypatch, index):
    from unrolled.datasets import recorded

    np.savez(str(tmp_path / "few.npz"), index=np.array(index))
    monkeypatch.setattr(recorded, "FOLDER", tmp_path)
    if index == '{"case": {}}':
        assert recorded.names() == ["few/case"]
        return
    with pytest.raises(DataError, match=r"few\.npz: its 'index' .*restore the file"):
        recorded.names()
