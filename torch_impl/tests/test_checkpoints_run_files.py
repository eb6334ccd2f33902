"""A run's own checkpoint: all of it or the one before it, whatever happens, and nothing that was altered."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from torch_impl.checkpoints import CheckpointError, run_files
from torch_impl.checkpoints.run_files import checkpoint_names, load_checkpoint, save_checkpoint

STATE = {"step": 3, "rate": 0.1, "text": "naïve", "none": None, "nested": {"random": [1, 2**127, True]}}


def tensors(seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {
        "weights/kernel": random.normal(size=(3, 4)).astype(np.float32),
        "weights/bias": np.array([np.nan, -0.0, np.inf]),
        "slots/beta1_power": np.array(0.9, np.float32),
        "random/torch": random.integers(0, 256, 16, np.uint8),
        "empty": np.zeros((0, 2), np.int64),
    }


def check(folder: Path, expected: dict[str, np.ndarray], state: dict[str, Any], name: str = "last") -> None:
    found = load_checkpoint(folder, name)
    assert found.state == state
    assert found.tensors.keys() == expected.keys()
    for key, array in expected.items():
        assert found.tensors[key].dtype == array.dtype
        assert found.tensors[key].shape == array.shape
        assert found.tensors[key].tobytes() == array.tobytes()


def test_what_is_saved_is_loaded_to_the_bit(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path / "new" / "run", tensors(), STATE)
    assert path == tmp_path / "new" / "run" / "last.json"
    check(tmp_path / "new" / "run", tensors(), STATE)


def test_layout_and_byte_order_do_not_matter(tmp_path: Path) -> None:
    array = np.arange(12, dtype=">f8").reshape(3, 4)
    save_checkpoint(tmp_path, {"a": array.T, "b": array[::2]}, {"tuple": (1, 2), "keys": {3: "x"}})
    native = array.astype(float)
    check(tmp_path, {"a": native.T.copy(), "b": native[::2].copy()}, {"tuple": [1, 2], "keys": {"3": "x"}})


def test_each_name_keeps_its_latest_and_nothing_else(tmp_path: Path) -> None:
    for seed in range(3):
        save_checkpoint(tmp_path, tensors(seed), {"seed": seed})
        save_checkpoint(tmp_path, tensors(seed + 10), {"seed": seed + 10}, "last-2")
    (tmp_path / ".last.json.0a1b2c3d.partial").write_text("left by a crash")
    (tmp_path / "mine-0123456789abcdef.safetensors").write_text("another's")
    (tmp_path / "config.json").write_text("{}")
    save_checkpoint(tmp_path, tensors(7), {"seed": 7})
    check(tmp_path, tensors(7), {"seed": 7})
    check(tmp_path, tensors(12), {"seed": 12}, "last-2")
    assert checkpoint_names(tmp_path) == ["last", "last-2"]
    assert len(list(tmp_path.iterdir())) == 6


@pytest.mark.parametrize(
    ("values", "state", "error"),
    [
        ({"a": np.array(["x"])}, {}, TypeError),
        ({"a": np.array([None])}, {}, TypeError),
        ({"a": [1.0]}, {}, TypeError),
        ({"a": np.zeros(2, np.longdouble)}, {}, TypeError),
        ({}, {"loss": float("nan")}, ValueError),
        ({}, {"array": np.zeros(2)}, TypeError),
    ],
)
def test_what_a_checkpoint_cannot_hold_is_refused_before_anything_is_written(
    values: dict[str, Any], state: dict[str, Any], error: type[Exception], tmp_path: Path
) -> None:
    with pytest.raises(error):
        save_checkpoint(tmp_path / "run", values, state)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a" * 101, "a\n"])
def test_a_name_is_a_plain_one(name: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="a checkpoint's name is"):
        save_checkpoint(tmp_path, {}, {}, name)
    with pytest.raises(CheckpointError, match="a checkpoint's name is"):
        load_checkpoint(tmp_path, name)


def test_damage_to_any_byte_is_noticed(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, tensors(), STATE)
    save_checkpoint(tmp_path, tensors(1), STATE, "best")
    harmless = []
    for path in [tmp_path / "last.json", *tmp_path.glob("last-*.safetensors")]:
        original = path.read_bytes()
        for position in range(len(original)):
            flipped = bytearray(original)
            flipped[position] ^= 1 << position % 8
            for damaged in (bytes(flipped), original[:position]):
                path.write_bytes(damaged)
                if not noticed(tmp_path):
                    harmless.append((path.suffix, damaged))
        path.write_bytes(original)
    check(tmp_path, tensors(), STATE)
    # JSON has several ways to write the same: white space, and the case of a hexadecimal digit.
    assert {suffix for suffix, _ in harmless} <= {".json"}
    assert len(harmless) < 10


def noticed(folder: Path) -> bool:
    """Whether the checkpoint is refused, in one sentence; else what is loaded must be the same."""
    try:
        check(folder, tensors(), STATE)
        return False
    except CheckpointError as error:
        assert "\n" not in str(error)
        assert "best" in str(error)  # the other checkpoint is offered
        return True


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b"\xff\xfe", "not valid JSON"),
        (b"[]", "not a checkpoint of this library"),
        (b'{"format": "other"}', "not a checkpoint of this library"),
        (b'{"format": "unrolled checkpoint", "version": 2}', "version 2, expected 1; update"),
        (b'{"format": "unrolled checkpoint", "version": 1, "sha256": "0"}', "SHA-256 is not the one"),
    ],
)
def test_a_foreign_file_is_said_to_be_one(text: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "last.json").write_bytes(text)
    with pytest.raises(CheckpointError, match=reason):
        load_checkpoint(tmp_path)


def forged(folder: Path, **changes: Any) -> None:
    """last.json with the checksum made to fit; `changes` replace parts of "tensors", None removes them."""
    body = json.loads((folder / "last.json").read_text())
    del body["sha256"]
    body["tensors"] = {key: value for key, value in {**body["tensors"], **changes}.items() if value is not None}
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    body["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    (folder / "last.json").write_text(json.dumps(body))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"file": "../secret.safetensors"}, "names the file '../secret.safetensors', expected one in the same folder"),
        ({"file": "/etc/passwd"}, "names the file"),
        ({"file": 3}, "names the file 3"),
        ({"file": "absent.safetensors"}, "absent.safetensors: missing; last.json needs it"),
        ({"bytes": -1}, 'must hold "bytes"'),
        ({"bytes": True}, 'must hold "bytes"'),
        ({"bytes": 10**30}, "truncated: 328 bytes, expected 1000000000000000000000000000000"),
        ({"bytes": 10}, "altered: 328 bytes, expected 10"),
        ({"sha256": None}, 'must hold "bytes"'),
        ({"sha256": "0" * 64}, "altered: its SHA-256"),
    ],
)
def test_a_forged_checkpoint_reaches_nothing_outside_its_folder(
    changes: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    save_checkpoint(tmp_path / "run", {"a": np.zeros(32)}, {})
    (tmp_path / "secret.safetensors").write_text("secret")
    forged(tmp_path / "run", **changes)
    with pytest.raises(CheckpointError, match=reason):
        load_checkpoint(tmp_path / "run")


def test_tensors_that_are_no_safetensors_are_refused(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, {"a": np.zeros(3)}, {})
    data = b"\xff\xff\xff\xff\xff\xff\xff\x7f" + b"{}"
    (tmp_path / json.loads(path.read_text())["tensors"]["file"]).write_bytes(data)
    forged(tmp_path, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        load_checkpoint(tmp_path)


def test_a_missing_checkpoint_names_those_that_are_there(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"has no checkpoint 'last' \(last\.json\); checkpoints there: none"):
        load_checkpoint(tmp_path)
    save_checkpoint(tmp_path, {}, {}, "best")
    with pytest.raises(CheckpointError, match=r"has no checkpoint 'last' \(last\.json\); checkpoints there: best"):
        load_checkpoint(tmp_path)


def test_a_full_disk_is_one_sentence_and_the_last_checkpoint_stays(tmp_path: Path) -> None:
    """The kernel itself refuses to write more here: a limit on the size of a file stands in for the end of the disk."""
    save_checkpoint(tmp_path, tensors(), STATE)
    before = sorted(tmp_path.iterdir())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(CheckpointError, match=r"last-\w+\.safetensors: cannot be written \(File too large\)"):
            save_checkpoint(tmp_path, {"large": np.zeros(100_000)}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    check(tmp_path, tensors(), STATE)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("failing", ["fsync", "replace"])
@pytest.mark.parametrize("call", [1, 2, 3, 4])
def test_a_failure_at_any_moment_leaves_a_whole_checkpoint(
    failing: str, call: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_checkpoint(tmp_path, tensors(), STATE)
    calls = 0
    real = os.fsync if failing == "fsync" else Path.replace

    def fail(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*arguments)

    monkeypatch.setattr(os if failing == "fsync" else Path, failing, fail)
    try:
        save_checkpoint(tmp_path, tensors(1), {"new": True})
        assert failing == "replace"
        assert calls == 2 < call
    except CheckpointError as error:
        assert str(error).endswith("cannot be written (No space left on device)")
    monkeypatch.undo()
    state = load_checkpoint(tmp_path).state
    check(tmp_path, tensors(1 if "new" in state else 0), state)
    # Only after the second file was renamed does the new one count.
    assert ("new" in state) == (call == 4 if failing == "fsync" else call > 2)
    assert not list(tmp_path.glob("*.partial"))


def test_a_folder_that_cannot_be_written_to_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match=r"file/run: cannot be written \(Not a directory\)"):
        save_checkpoint(tmp_path / "file" / "run", {}, {})
    if os.geteuid() != 0:  # nothing is read-only to root
        (tmp_path / "closed").mkdir(mode=0o500)
        with pytest.raises(CheckpointError, match=r"cannot be written \(Permission denied\)"):
            save_checkpoint(tmp_path / "closed", {}, {})


def test_a_reader_beside_a_writer_gets_one_or_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer replaces the checkpoint after the reader has seen the JSON file, and takes the old tensors away."""
    save_checkpoint(tmp_path, tensors(), {"seed": 0})
    real, seeds = run_files._load, iter([1, 2])

    def slow(path: Path, text: bytes) -> Any:
        seed = next(seeds, None)
        if seed is not None:
            save_checkpoint(tmp_path, tensors(seed), {"seed": seed})
        return real(path, text)

    monkeypatch.setattr(run_files, "_load", slow)
    check(tmp_path, tensors(2), {"seed": 2})


WRITER = """
import sys
from pathlib import Path
import numpy as np
from torch_impl.checkpoints.run_files import save_checkpoint
step = int(sys.argv[2])
while True:
    step += 1
    save_checkpoint(Path(sys.argv[1]), {"a": np.full(20_000, step)}, {"step": step})
    print(step, flush=True)
"""


def test_a_kill_at_any_moment_loses_no_finished_checkpoint(tmp_path: Path) -> None:
    random, step = np.random.default_rng(0), 0
    for _ in range(4):
        command = [sys.executable, "-c", WRITER, str(tmp_path), str(step)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(float(random.uniform(0, 0.05)))
            writer.kill()
            finished = [int(line) for line in writer.stdout.read().split()]
        found = load_checkpoint(tmp_path)
        assert found.state["step"] > step
        assert found.state["step"] >= max(finished, default=0)
        assert (found.tensors["a"] == found.state["step"]).all()
        step = found.state["step"]
