"""Saver's file `checkpoint`: which checkpoint of a folder is the latest, as a protocol buffer in text format.

The message is CheckpointState (tensorflow/python/training/checkpoint_state.proto); the first of its fields is enough.
"""

from __future__ import annotations

import re
from pathlib import Path

from torch_impl.checkpoints.errors import CheckpointError
from torch_impl.checkpoints.files import exists, read_whole, write_atomically

__all__ = ["STATE_FILE", "latest_checkpoint", "write_state_file"]

STATE_FILE = "checkpoint"
_MOST_BYTES = 1 << 20  # room for thousands of paths
# Within one line, so that no part of the file is looked at again and again.
_LATEST = re.compile(rb'^[^\S\n]*model_checkpoint_path[^\S\n]*:[^\S\n]*"([^"\\\n]*(?:\\.[^"\\\n]*)*)"', re.MULTILINE)
_ESCAPE = re.compile(rb"\\([0-7]{1,3}|x[0-9a-fA-F]{1,2}|.)")
_LETTERS = {b"n": b"\n", b"r": b"\r", b"t": b"\t"}


def latest_checkpoint(folder: Path) -> Path:
    """The prefix of the latest checkpoint in `folder`; raises CheckpointError when no file says which it is."""
    path = folder / STATE_FILE
    if not exists(path):
        raise CheckpointError(
            f"{folder}: a folder without the file {STATE_FILE!r} that says which TensorFlow 1 checkpoint is the "
            "latest; name a checkpoint by its prefix, the path without .index"
        )
    found = _LATEST.search(read_whole(path, _MOST_BYTES))
    if not found:
        raise CheckpointError(f"{path}: holds no model_checkpoint_path; name a checkpoint by its prefix")
    name = _ESCAPE.sub(_unescaped, found[1]).decode("utf-8", "surrogateescape")
    if not name or "\0" in name:
        raise CheckpointError(f"{path}: its model_checkpoint_path is not a path; name a checkpoint by its prefix")
    return folder / name


def write_state_file(prefix: Path) -> None:
    """Make the file beside the checkpoint `prefix` say that it is the latest, and the only one."""
    quoted = "".join(
        chr(byte) if 32 <= byte < 127 and chr(byte) not in "\"'\\" else f"\\{byte:03o}" for byte in prefix.name.encode()
    )
    lines = f'model_checkpoint_path: "{quoted}"\nall_model_checkpoint_paths: "{quoted}"\n'
    write_atomically(prefix.with_name(STATE_FILE), lines.encode())


def _unescaped(match: re.Match[bytes]) -> bytes:
    text = match[1]
    if text[:1] == b"x" and len(text) > 1:
        return bytes([int(text[1:], 16)])
    if text[:1].isdigit() and text[:1] < b"8":
        return bytes([int(text, 8) & 0xFF])
    return _LETTERS.get(text, text)
