"""What a file of TensorFlow's or Keras's is that is no checkpoint of tf.train.Saver's form of today, and the lines of
Python that make one of it, to be run where TensorFlow is: 1.15, or 2 with its compat.v1."""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from string import Template

from torch_impl.checkpoints.errors import CheckpointError, naming
from torch_impl.checkpoints.files import exists, read_whole
from torch_impl.tf1.graphs.attributes import message
from torch_impl.tf1.table import MAGIC
from torch_impl.tf1.variables import Variables
from unrolled.reading import open_regular

__all__ = ["OBJECT_GRAPH", "find_v1", "of_objects", "of_saved_model", "of_v1", "told"]

OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_SUFFIXES = (".pb", ".pbtxt", ".h5", ".hdf5", ".keras")
_SHARD = re.compile(r"-(\d{5}|\?{5})-of-(\d{5})$")

_TF = "import tensorflow.compat.v1 as tf\n"
_SESSION = "with tf.Session(graph=tf.Graph()) as session:\n"
# Arrays by name become variables of these names. The graph that holds them says nothing of the model, and is not saved.
_SAVE_ARRAYS = f"""{_SESSION}    for name, array in arrays.items():
        tf.get_variable(name, array.shape, array.dtype).load(array, session)
    tf.train.Saver().save(session, $target, write_meta_graph=False, write_state=False)"""
_V1 = f"""{_TF}{_SESSION}    tf.train.import_meta_graph($graph).restore(session, $source)
    tf.train.Saver().save(session, $target, write_state=False)"""
_V1_ARRAYS = f"""{_TF}reader = tf.train.load_checkpoint($source)
arrays = {{name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}}
{_SAVE_ARRAYS}"""
_FROZEN = f"""{_TF}$read
arrays = {{node.name: tf.make_ndarray(node.attr["value"].tensor) for node in graph.node if node.op == "Const"}}
arrays = {{name: array for name, array in arrays.items() if array.ndim and array.dtype.kind == "f"}}
{_SESSION}    variables = {{name + ":0": tf.get_variable(name, initializer=array) for name, array in arrays.items()}}
    tf.import_graph_def(graph, variables, name="graph")
    session.run(tf.global_variables_initializer())
    tf.train.Saver().save(session, $target, write_state=False)"""
_BINARY = 'graph = tf.GraphDef.FromString(open($source, "rb").read())'
_TEXT = """from google.protobuf import text_format
graph = text_format.Parse(open($source).read(), tf.GraphDef())"""
_SAVED_MODEL = f"""{_TF}{_SESSION}    tf.saved_model.loader.load(session, $tags, $source)
    tf.train.Saver().save(session, $target, write_state=False)"""
# A key there is the way to an object; its variable's own name is in the graph of objects. Optimizers are left out.
_OBJECTS = f"""{_TF}from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph
reader = tf.train.load_checkpoint($source)
nodes = TrackableObjectGraph.FromString(reader.get_tensor("{OBJECT_GRAPH}")).nodes
keys = {{each.full_name: each.checkpoint_key for node in nodes for each in node.attributes if each.full_name}}
kept = {{name: key for name, key in keys.items() if ".OPTIMIZER_SLOT" not in key and "/_variables/" not in key}}
arrays = {{name: reader.get_tensor(key) for name, key in kept.items()}}
arrays = {{name: array for name, array in arrays.items() if getattr(array, "ndim", 0) and array.dtype.kind == "f"}}
{_SAVE_ARRAYS}"""
_KERAS_1 = f"""{_TF}tf.disable_v2_behavior()
tf.keras.models.load_model($source, compile=False)
tf.train.Saver().save(tf.keras.backend.get_session(), $target, write_state=False)"""
_HDF5 = f"""import h5py
{_TF}with h5py.File($source, "r") as file:
    layers = file.get("model_weights", file).values()
    names = {{tf.compat.as_str(name): layer for layer in layers for name in layer.attrs["weight_names"]}}
    arrays = {{name.split(":")[0]: layer[name][()] for name, layer in names.items()}}
{_SAVE_ARRAYS}"""
_KERAS = f"""import keras
{_TF}$load
arrays = {{each.path: array for each, array in zip(model.weights, model.get_weights())}}
{_SAVE_ARRAYS}"""
_WHOLE = "model = keras.models.load_model($source, compile=False)"
_WEIGHTS = "model.load_weights($source)"


def told(source: Path) -> CheckpointError:
    """What to say of a file that is neither a part of a Saver checkpoint nor the file `checkpoint`."""
    if source.name in ("saved_model.pb", "saved_model.pbtxt"):
        return of_saved_model(source.parent)
    with _content(source) as data:
        if data[-len(MAGIC) :] == MAGIC:
            return of_v1(source)
        if data[:4] == b"\x89HDF":
            return _of_hdf5(source, data)
        if source.suffix == ".keras" and data[:2] == b"PK":
            return _refused(source, "a Keras model", "with Keras 3 on TensorFlow", _KERAS, load=_WHOLE)
        if source.suffix in (".pb", ".pbtxt"):
            return _of_graph(source, data)
    return CheckpointError(
        f"{source}: no file of a checkpoint of tf.train.Saver (PREFIX.index, PREFIX.data-…, PREFIX.meta), and none of "
        "those that can be made one (V1, SavedModel, .pb, .pbtxt, .h5, .keras); name the checkpoint by its prefix"
    )


def find_v1(prefix: Path) -> Path | None:
    """The checkpoint of the V1 format with this name: a file, or the pattern of its shards; None for none."""
    if not prefix.name or not exists(prefix.parent, folder=True):
        return None
    if _is_v1(prefix):
        return prefix
    name = _SHARD.sub("", prefix.name)
    with naming(prefix.parent):
        shards = sorted(each for each in prefix.parent.iterdir() if _SHARD.sub("", each.name) == name != each.name)
    return next((_pattern(each) for each in shards if _is_v1(each)), None)


def of_v1(source: Path) -> CheckpointError:
    """Of a checkpoint of the V1 format: its file, a shard, or the pattern of these."""
    prefix, source = source.with_name(_SHARD.sub("", source.name)), _pattern(source)
    graph = prefix.with_name(prefix.name + ".meta")
    what, lines = "a checkpoint of the old V1 format", _V1 if exists(graph) else _V1_ARRAYS
    return _refused(source, what, "with TensorFlow", lines, target=prefix, graph=graph)


def of_saved_model(folder: Path) -> CheckpointError:
    """Of a SavedModel: of TensorFlow 1, or of TensorFlow 2, whose variables go by objects."""
    inside = folder / "variables" / "variables"
    if not exists(inside.with_name("variables.index")):
        return CheckpointError(f"{folder}: a SavedModel without variables/variables.index; copy that there")
    if OBJECT_GRAPH in Variables(inside).entries:
        return _refused(inside, "a SavedModel of TensorFlow 2", "with TensorFlow", _OBJECTS, target=folder)
    by_names = f"; or convert {inside} as it is, by names alone"
    return _refused(folder, "a SavedModel", "with TensorFlow", _SAVED_MODEL, by_names, tags=_tags(folder))


def _tags(folder: Path) -> list[str]:
    """What a SavedModel's first graph is called: mostly "serve"."""
    path = folder / "saved_model.pb"
    if not exists(path):
        return ["serve"]
    with naming(path):
        try:
            info = message(message(message(read_whole(path, 1 << 29))[2][0])[1][0])
            return [tag.decode("utf-8") for tag in info.get(4, [])]
        except (CheckpointError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise CheckpointError(f"not a SavedModel, or altered ({error}); get the file again") from None


def of_objects(prefix: Path) -> CheckpointError:
    """Of a checkpoint that tf.train.Checkpoint, or Keras's save_weights, wrote."""
    return _refused(prefix, "an object-based checkpoint of TensorFlow 2", "with TensorFlow", _OBJECTS)


def _of_hdf5(source: Path, data: mmap.mmap | bytes) -> CheckpointError:
    """Of a Keras file in HDF5, by words that stand in it as they are."""
    if data.find(b"weight_names") < 0:
        after = "with Keras 3 on TensorFlow, after the code that builds the model"
        return _refused(source, "weights of Keras 3", after, _KERAS, load=_WEIGHTS)
    if data.find(b"model_config") < 0:
        return _refused(source, "weights of a Keras model", "with TensorFlow", _HDF5)
    if re.search(rb"2\.[0-3]\.\d+-tf", data):  # the version of Keras that TensorFlow 1 has
        return _refused(source, "a Keras model of TensorFlow 1", "with TensorFlow 1.15", _KERAS_1)
    return _refused(source, "a Keras model", "with TensorFlow", _HDF5)


def _of_graph(source: Path, data: mmap.mmap | bytes) -> CheckpointError:
    """Of a GraphDef: a frozen one, or one whose variables are kept elsewhere."""
    if data.find(b"VariableV2") >= 0 or data.find(b"VarHandleOp") >= 0:
        return CheckpointError(f"{source}: a graph without weights; name the checkpoint that was saved with it")
    read = _TEXT if source.suffix == ".pbtxt" else _BINARY
    kind = " with --kind, since it has no loss"
    return _refused(source, "a frozen graph, whose weights are constants", "with TensorFlow", _FROZEN, kind, read=read)


def _refused(
    source: Path, what: str, where: str, lines: str, more: str = "", *, target: Path | None = None,
    graph: Path | None = None, tags: list[str] | None = None, **parts: str,
) -> CheckpointError:  # fmt: skip
    """One sentence, and the lines below it. target: what the new checkpoint is called after. graph, tags: values that
    the lines have; parts: lines of theirs."""
    stem = source.name.removesuffix(source.suffix) if source.suffix in _SUFFIXES else source.name
    new = f"{target or source.with_name(stem)}-saver"
    names = {"source": repr(str(source)), "target": repr(new), "graph": repr(str(graph)), "tags": repr(tags)}
    names.update({name: Template(text).substitute(names) for name, text in parts.items()})
    return CheckpointError(
        f"{source}: {what}, which is not read here; {where}, these lines of Python make {new} of it, to be "
        f"converted{more}:\n{Template(lines).substitute(names)}"
    )


def _is_v1(source: Path) -> bool:
    """Whether a file is a table, as V1 checkpoints and indexes are, and by its name no index."""
    if source.suffix == ".index" or not exists(source) or exists(source, folder=True):
        return False
    with _content(source) as data:
        return data[-len(MAGIC) :] == MAGIC


def _pattern(source: Path) -> Path:
    """The pattern of all shards, where a file is one of them."""
    return source.with_name(_SHARD.sub(r"-?????-of-\2", source.name))


@contextmanager
def _content(path: Path) -> Iterator[mmap.mmap | bytes]:
    """A file's bytes, mapped."""
    with naming(path), open_regular(path) as stream:
        if stream.seek(0, 2) == 0:
            yield b""
            return
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield data
