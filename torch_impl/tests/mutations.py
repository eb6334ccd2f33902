"""Damage to files, drawn by a random generator: bytes, values in JSON, and whole forged files with right checksums."""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from torch_impl.checkpoints import run_files

__all__ = ["Random", "damaged", "forged_tensors", "mutated_value", "write_checkpoint"]

Random = np.random.Generator

_DEEP: Any = []
for _ in range(60):
    _DEEP = [_DEEP]
_VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 3, 2**20, 2**31, 2**63, 2**64, 10**400, -(10**30), 0.5, 1e308, -1e-308, "", "a",
    "../../etc/passwd", "/dev/zero", "\0", "\ud800", "naïve 日本", [], {}, [[]], {"": None}, [1, 2, 3], ["a", "b"],
    "x" * 5000, _DEEP,
    float("nan"), float("inf"), "__import__('os').system('true')", "$(touch trapped)",
]  # fmt: skip


def damaged(content: bytes, random: Random) -> bytes:
    """A few bits flipped, an end cut off, or a piece removed, doubled, zeroed, moved or filled with noise."""
    if not content:
        return b"\0"
    data = bytearray(content)
    how = random.integers(7)
    first = int(random.integers(len(data)))
    piece = slice(first, first + int(random.integers(1, 1 + min(64, len(data)))))
    if how == 0:
        for place in random.integers(len(data), size=random.integers(1, 9)):
            data[place] ^= 1 << int(random.integers(8))
    elif how == 1:
        del data[first:]
    elif how == 2:
        del data[piece]
    elif how == 3:
        data[first:first] = data[piece] * int(random.integers(1, 50))
    elif how == 4:
        data[piece] = bytes(len(data[piece]))
    elif how == 5:
        data[piece] = random.bytes(len(data[piece]))
    else:
        moved = bytes(data[piece])
        del data[piece]
        place = int(random.integers(len(data) + 1))
        data[place:place] = moved
    return bytes(data)


def mutated_value(document: Any, random: Random, times: int | None = None) -> Any:
    """A copy of a JSON document with one to three of its values replaced, removed, doubled, renamed or exchanged."""
    document = copy.deepcopy(document)
    for _ in range(times or int(random.integers(1, 4))):
        places = list(_places(document))
        if not places:
            return document
        holder, key = places[int(random.integers(len(places)))]
        how = random.integers(6)
        if how <= 2:
            holder[key] = copy.deepcopy(_VALUES[int(random.integers(len(_VALUES)))])
        elif how == 3:
            del holder[key]
        elif how == 4:
            other, place = places[int(random.integers(len(places)))]
            holder[key], other[place] = copy.deepcopy(other[place]), copy.deepcopy(holder[key])
        elif isinstance(holder, dict):
            holder[str(key) + "x"] = holder.pop(key)
        else:
            holder.extend(copy.deepcopy(holder) * int(random.integers(1, 4)))
    return document


def _places(document: Any) -> Any:
    """(holder, key or position) of every value in it."""
    keys = document if isinstance(document, dict) else range(len(document)) if isinstance(document, list) else ()
    for key in list(keys):
        yield document, key
        yield from _places(document[key])


def forged_tensors(tensors: dict[str, np.ndarray], random: Random) -> dict[str, np.ndarray]:
    """One to three of the tensors renamed, left out, of another shape or dtype, empty, or no longer finite."""
    forged = dict(tensors)
    for _ in range(int(random.integers(1, 4))):
        if not forged:
            break
        name = list(forged)[int(random.integers(len(forged)))]
        array = forged.pop(name)
        how = random.integers(7)
        if how == 0:
            forged[name + "x"] = array
        elif how == 1:
            forged[name] = array.astype([np.float64, np.int64, np.float16, np.bool_][int(random.integers(4))])
        elif how == 2:
            forged[name] = array.reshape(-1)
        elif how == 3:
            forged[name] = array[:0] if array.ndim else array
        elif how == 4:
            forged[name] = np.full_like(array, [np.nan, np.inf, 3e38, -3e38][int(random.integers(4))])
        elif how == 5:
            forged[name] = np.repeat(array, 3, axis=-1) if array.ndim else array[None]
    return forged


def write_checkpoint(folder: Path, tensors: bytes | dict[str, np.ndarray], state: Any, name: str = "last") -> None:
    """A checkpoint whose checksums are right, whatever it holds."""
    packed = tensors if isinstance(tensors, bytes) else safetensors.numpy.save(tensors)
    digest = hashlib.sha256(packed).hexdigest()
    entry: dict[str, Any] = {"file": f"{name}-{digest[:16]}.safetensors", "bytes": len(packed), "sha256": digest}
    body = {"format": "unrolled checkpoint", "version": 1, "tensors": entry, "state": state}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / entry["file"]).write_bytes(packed)
    body = json.loads(json.dumps(body))
    (folder / f"{name}.json").write_text(json.dumps({**body, "sha256": run_files._digest(body)}))
