"""A run's checkpoint: NAME.json beside NAME-DIGEST.safetensors, in the run's folder.

The tensors are written first, under a name of their own, and then the JSON file that names them, with their length and
SHA-256, replaces the one before: that single rename is the moment at which the new checkpoint counts. Until then, and
after a crash or a full disk, the one before is whole. The JSON file carries a SHA-256 of its own contents. Loading
verifies both, and runs no code: JSON and safetensors hold plain data only.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from torch_impl.checkpoints.errors import CheckpointError, naming
from torch_impl.checkpoints.files import exists, read_start, read_whole, replacing, write_atomically
from torch_impl.checkpoints.tensor_file import Later, TensorFile, read_tensors
from unrolled.reading import parse_json
from unrolled.writing import temporary_of

__all__ = ["Checkpoint", "checkpoint_names", "load_checkpoint", "load_state", "save_checkpoint"]

_FORMAT, _VERSION = "unrolled checkpoint", 1
_MOST_JSON_BYTES = 3 << 24  # room for the scaling of a million inputs
_ATTEMPTS = 5
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


class Checkpoint(NamedTuple):
    """tensors: arrays by name, not to be changed. state: plain values, as JSON gives them back (lists for tuples)."""

    tensors: dict[str, np.ndarray]
    state: dict[str, Any]


def save_checkpoint(
    folder: str | os.PathLike[str],
    tensors: Mapping[str, np.ndarray | Later],
    state: Mapping[str, Any],
    name: str = "last",
) -> Path:
    """Save under `name` in `folder`, which is made if need be, and return the path of the JSON file.

    A checkpoint of that name is replaced at one moment: whatever goes wrong before it leaves the old one as it was.
    Raises CheckpointError when the folder cannot be written to (read-only, disk full), and ValueError or TypeError for
    tensors and values that it cannot hold (a NaN or an infinity among the state's numbers, for one).
    """
    folder = Path(folder)
    parts, state = TensorFile(tensors), _plain(dict(state))
    _checked_name(name)
    made = not exists(folder)
    with naming(folder, "written"):
        folder.mkdir(parents=True, exist_ok=True)

    def written() -> Path:
        return folder / f"{name}-{parts.digest.hexdigest()[:16]}.safetensors"

    anonymous = folder / f"{name}-{'0' * 16}.safetensors"
    try:
        with replacing(anonymous, written) as stream:
            parts.write(stream)
    except BaseException as error:
        if made:
            with contextlib.suppress(OSError):
                folder.rmdir()
        if isinstance(error, OSError):
            raise CheckpointError(f"{anonymous}: cannot be written ({error.strerror or error})") from None
        raise
    path = folder / f"{name}.json"
    write_atomically(path, _text(written().name, parts, state))
    _sweep(folder, name, written().name)
    return path


def load_checkpoint(folder: str | os.PathLike[str], name: str = "last") -> Checkpoint:
    """The checkpoint `name` in `folder`, every byte of it verified. Large tensors take memory where they are used.

    Raises CheckpointError when it is missing, truncated, altered, or not a checkpoint of this library; the message
    names the others in the folder.
    """
    folder = Path(folder)
    path = folder / f"{_checked_name(name)}.json"
    text = _json_bytes(path, folder, name)
    for attempt in range(_ATTEMPTS):
        try:
            return _load(path, text)
        except CheckpointError as error:
            # A run that is still training may just have replaced it: then the file says something else now.
            before, text = text, _json_bytes(path, folder, name)
            if text != before and attempt + 1 < _ATTEMPTS:
                continue
            others = [other for other in checkpoint_names(folder) if other != name]
            hint = f"; also in this folder: {', '.join(others)}" if others else ""
            raise CheckpointError(f"{error}{hint}") from None
    raise AssertionError("unreachable")


def load_state(folder: str | os.PathLike[str], name: str = "last") -> dict[str, Any]:
    """The state alone, verified; the tensors are not looked at. Raises CheckpointError."""
    folder = Path(folder)
    path = folder / f"{_checked_name(name)}.json"
    with naming(path):
        return dict(_body(_json_bytes(path, folder, name))["state"])


def checkpoint_names(folder: str | os.PathLike[str]) -> list[str]:
    """The names under which `folder` holds checkpoints, sorted. Other JSON files are left out; nothing is verified."""
    names = []
    with contextlib.suppress(OSError):
        for path in Path(folder).glob("*.json"):
            with contextlib.suppress(CheckpointError):
                if _NAME.fullmatch(path.stem) and _FORMAT.encode() in read_start(path, 100):
                    names.append(path.stem)
    return sorted(names)


def _text(file: str, parts: TensorFile, state: Mapping[str, Any]) -> bytes:
    """The JSON file."""
    entry = {"file": file, "bytes": parts.size, "sha256": parts.digest.hexdigest()}
    body = {"format": _FORMAT, "version": _VERSION, "tensors": entry, "state": state}
    return json.dumps({**body, "sha256": _digest(body)}, indent=1, allow_nan=False).encode() + b"\n"


def _plain(state: Any) -> Any:
    """Through JSON once, so that what is summed is what will be read: text as keys, lists for tuples."""
    return json.loads(json.dumps(state, allow_nan=False))


def _digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise CheckpointError(f"a checkpoint's name is letters, digits, '_', '.' and '-', got {name!r:.120}")
    return name


def _json_bytes(path: Path, folder: Path, name: str) -> bytes:
    if not exists(path):
        others = ", ".join(checkpoint_names(folder)) or "none"
        raise CheckpointError(f"{folder}: has no checkpoint {name!r} ({path.name}); checkpoints there: {others}")
    return read_whole(path, _MOST_JSON_BYTES)


def _load(path: Path, text: bytes) -> Checkpoint:
    with naming(path):
        body = _body(text)
        entry = body["tensors"]
    tensor_path = path.with_name(entry["file"])
    if not exists(tensor_path):
        raise CheckpointError(f"{tensor_path}: missing; {path.name} needs it, so copy the two together")
    with naming(tensor_path):
        return Checkpoint(read_tensors(tensor_path, entry["bytes"], entry["sha256"]), body["state"])


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _body(text: bytes) -> dict[str, Any]:
    """The contents of the JSON file, verified."""
    try:
        body = parse_json(text, parse_constant=_no_number)
    except ValueError:
        raise CheckpointError("truncated or altered: it is not valid JSON; use another checkpoint") from None
    if not isinstance(body, dict) or body.get("format") != _FORMAT:
        raise CheckpointError(f'not a checkpoint of this library: it lacks "format": "{_FORMAT}"')
    if body.get("version") != _VERSION:
        raise CheckpointError(f"version {body.get('version')!r:.40}, expected {_VERSION}; update this library")
    digest = body.pop("sha256", None)
    try:
        found = _digest(body)
    except (ValueError, RecursionError):
        found = ""
    if digest != found:
        raise CheckpointError("altered: its SHA-256 is not the one recorded; use another checkpoint")
    return _checked_body(body)


def _checked_body(body: dict[str, Any]) -> dict[str, Any]:
    """Types and values, for a file whose checksum somebody made to fit: nothing outside the folder may be named."""
    entry, state = body.get("tensors"), body.get("state")
    if not isinstance(entry, dict) or not isinstance(state, dict):
        raise CheckpointError('"tensors" and "state" must be objects')
    file, size = entry.get("file"), entry.get("bytes")
    if not isinstance(file, str) or not _NAME.fullmatch(file.removesuffix(".safetensors")):
        raise CheckpointError(f"names the file {file!r:.120}, expected one in the same folder")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0 or not isinstance(entry.get("sha256"), str):
        raise CheckpointError('"tensors" must hold "bytes", an integer, and "sha256", text')
    return body


def _sweep(folder: Path, name: str, keep: str) -> None:
    """Remove the tensors of replaced checkpoints of this name, and what a crash left half written."""
    own = re.compile(rf"{re.escape(name)}(-[0-9a-f]{{16}}\.safetensors|\.json)")
    with contextlib.suppress(OSError):
        for path in list(folder.iterdir()):
            partial = own.fullmatch(temporary_of(path.name) or "")
            replaced = own.fullmatch(path.name) and path.suffix == ".safetensors" and path.name != keep
            if partial or replaced:
                path.unlink(missing_ok=True)
