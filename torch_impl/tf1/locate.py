"""Which checkpoint a path means, and what other files of TensorFlow's are, in a sentence that says what to do."""

from __future__ import annotations

import re
from pathlib import Path

from torch_impl.checkpoints.errors import CheckpointError, naming
from torch_impl.checkpoints.files import exists, read_start
from torch_impl.tf1.state_file import STATE_FILE, latest_checkpoint

__all__ = ["find_prefix"]

_DATA = re.compile(r"\.data-\d{5}-of-\d{5}$")
_MOST_NAMED = 20
# How a Saver checkpoint comes from what is none, in three lines of TensorFlow 1.
_RESTORE = (
    "saver = tf.train.import_meta_graph('{0}.meta'); saver.restore(session, '{0}'); saver.save(session, 'new/model')"
)
_HOW = {
    "a V1 checkpoint": "with tf.Session() as session: " + _RESTORE,
    "a SavedModel": "with tf.Session() as session: tf.saved_model.loader.load(session, ['serve'], '{0}'); "
    "tf.train.Saver().save(session, 'new/model')",
    "a frozen graph, whose weights are constants": "import the graph's code, build it, and tf.train.Saver().save("
    "session, 'new/model') after training, or go to the checkpoint that it was frozen from",
    "a Keras file": "model = tf.keras.models.load_model('{0}'); session = tf.keras.backend.get_session(); "
    "tf.train.Saver().save(session, 'new/model')",
}


def find_prefix(source: Path) -> Path:
    """The prefix of the checkpoint that a path means.

    source: a prefix, PREFIX.index, PREFIX.meta, PREFIX.data-…, Saver's file `checkpoint`, or the folder that holds it.
    Raises CheckpointError for anything else, a sentence about that kind of file.
    """
    if exists(source.with_name(source.name + ".index")) if source.name else False:
        return source  # also where a folder has the prefix's name
    if source.suffix in (".index", ".meta") and exists(source.with_suffix(".index")):
        return source.with_suffix("")
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
        raise _other(source)
    raise CheckpointError(f"{source}.index: no such checkpoint; {_candidates(source)}")


def _in_folder(folder: Path) -> Path:
    if exists(folder / "saved_model.pb") or exists(folder / "saved_model.pbtxt"):
        raise _refused(folder, "a SavedModel")
    prefixes = _prefixes(folder)
    if not exists(folder / STATE_FILE):
        if len(prefixes) == 1:
            return folder / prefixes[0]
        raise CheckpointError(
            f"{folder}: a folder without the file {STATE_FILE!r} that says which TensorFlow 1 checkpoint is the "
            f"latest; name a checkpoint by its prefix, the path without .index; {_named(prefixes)}"
        )
    prefix = latest_checkpoint(folder)
    if exists(prefix.with_name(prefix.name + ".index")):
        return prefix
    here = folder / prefix.name  # the path is that of another machine, or the folder was moved
    if exists(here.with_name(here.name + ".index")):
        return here
    raise CheckpointError(
        f"{folder / STATE_FILE}: says that the latest checkpoint is {prefix}, which is not there; {_named(prefixes)}"
    )


def _prefixes(folder: Path) -> list[str]:
    with naming(folder):
        return sorted(path.name[: -len(".index")] for path in folder.glob("*.index"))


def _named(prefixes: list[str]) -> str:
    if not prefixes:
        return "no checkpoint (.index) lies there"
    more = f" and {len(prefixes) - _MOST_NAMED} more" if len(prefixes) > _MOST_NAMED else ""
    return f"there: {', '.join(prefixes[:_MOST_NAMED])}{more}"


def _candidates(source: Path) -> str:
    if not exists(source.parent, folder=True):
        return f"{source.parent} is not a folder"
    return _named(_prefixes(source.parent))


def _other(source: Path) -> CheckpointError:
    """A file that is no Saver checkpoint of today's form."""
    start = read_start(source, 8)
    if source.suffix in (".h5", ".hdf5", ".keras") or start[:4] == b"\x89HDF" or (start[:2] == b"PK"):
        return _refused(source, "a Keras file")
    if source.suffix in (".pb", ".pbtxt"):
        if source.stem == "saved_model":
            return _refused(source.parent, "a SavedModel")
        return _refused(source, "a frozen graph, whose weights are constants")
    return CheckpointError(
        f"{source}: has no {source.name}.index beside it, so it may be a checkpoint of the old V1 format; save it "
        f"again in TensorFlow 1: {_HOW['a V1 checkpoint'].format(source)}"
    )


def _refused(source: Path, what: str) -> CheckpointError:
    return CheckpointError(f"{source}: {what}, and not a checkpoint of tf.train.Saver; make one in TensorFlow 1: "
                           f"{_HOW[what].format(source)}")  # fmt: skip
