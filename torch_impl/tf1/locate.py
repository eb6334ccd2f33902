"""Which checkpoint a path means; `recipes` says what other files of TensorFlow's are."""

from __future__ import annotations

import re
from pathlib import Path

from torch_impl.checkpoints.errors import CheckpointError, naming
from torch_impl.checkpoints.files import exists
from torch_impl.tf1.recipes import find_v1, of_saved_model, of_v1, told
from torch_impl.tf1.state_file import STATE_FILE, latest_checkpoint

__all__ = ["find_prefix"]

_DATA = re.compile(r"\.data-\d{5}-of-\d{5}$")
_MOST_NAMED = 20


def find_prefix(source: Path) -> Path:
    """The prefix of the checkpoint that a path means.

    source: a prefix, PREFIX.index, PREFIX.meta, PREFIX.data-…, Saver's file `checkpoint`, or the folder that holds it.
    Raises CheckpointError for anything else, a sentence about that kind of file.
    """
    if exists(source.with_name(source.name + ".index")) if source.name else False:
        return source  # also where a folder has the prefix's name
    if source.suffix in (".index", ".meta") and exists(source.with_suffix(".index")):
        return source.with_suffix("")
    old = find_v1(source.with_suffix("") if source.suffix == ".meta" else source)
    if old is not None:
        raise of_v1(old)
    part = _DATA.search(source.name)
    if part:
        prefix = source.with_name(source.name[: part.start()])
        if exists(prefix.with_name(prefix.name + ".index")):
            return prefix
        raise CheckpointError(f"{source}: a checkpoint's data, and {prefix.name}.index is not beside it; copy it there")
    if source.suffix == ".meta" and exists(source):
        raise CheckpointError(
            f"{source}: a graph, and {source.stem}.index with its weights is not beside it; copy it there"
        )
    if exists(source, folder=True):
        return _in_folder(source)
    if source.name == STATE_FILE and exists(source):
        return _in_folder(source.parent)
    if exists(source):
        raise told(source)
    raise CheckpointError(f"{source}.index: no such checkpoint; {_candidates(source)}")


def _in_folder(folder: Path) -> Path:
    if exists(folder / "saved_model.pb") or exists(folder / "saved_model.pbtxt"):
        raise of_saved_model(folder)
    prefixes = _prefixes(folder)
    if not exists(folder / STATE_FILE):
        if len(prefixes) == 1:
            return find_prefix(folder / prefixes[0])
        raise CheckpointError(
            f"{folder}: a folder without the file {STATE_FILE!r} that says which TensorFlow 1 checkpoint is the "
            f"latest; name a checkpoint by its prefix, the path without .index; {_named(prefixes)}"
        )
    prefix = latest_checkpoint(folder)
    # Where the path is that of another machine, or the folder was moved, it is here under the same name.
    for there in (prefix, folder / prefix.name):
        if exists(there.with_name(there.name + ".index")):
            return there
        old = find_v1(there)
        if old is not None:
            raise of_v1(old)
    raise CheckpointError(
        f"{folder / STATE_FILE}: says that the latest checkpoint is {prefix}, which is not there; {_named(prefixes)}"
    )


def _prefixes(folder: Path) -> list[str]:
    """The checkpoints of a folder, those of the V1 format that have a graph among them."""
    with naming(folder):
        graphs = {path.with_suffix("") for path in folder.glob("*.meta")}
        indexed = {path.with_suffix("") for path in folder.glob("*.index")}
    return sorted(path.name for path in indexed | {path for path in graphs - indexed if find_v1(path)})


def _named(prefixes: list[str]) -> str:
    if not prefixes:
        return "no checkpoint lies there"
    more = f" and {len(prefixes) - _MOST_NAMED} more" if len(prefixes) > _MOST_NAMED else ""
    return f"there: {', '.join(prefixes[:_MOST_NAMED])}{more}"


def _candidates(source: Path) -> str:
    if not exists(source.parent, folder=True):
        return f"{source.parent} is not a folder"
    return _named(_prefixes(source.parent))
