"""TensorFlow 1 checkpoints with their graphs, damaged: see fuzz_kinds.py."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from torch_impl.tests.mutations import Random, damaged
from torch_impl.tf1 import protobuf
from torch_impl.tf1.table import build_table, read_table

__all__ = ["ZOO", "graph", "wrongly_converted"]

ZOO = Path(__file__).parent / "files" / "tf1_zoo.zip"


def graph(zoo: Path, place: Path, random: Random) -> list[str]:
    """A TensorFlow 1 checkpoint with its graph: one of its files damaged, or forged so that it still hangs together."""
    names = sorted(path.stem for path in zoo.glob("*.meta"))
    name = names[int(random.integers(len(names)))]
    for path in zoo.glob(f"{name}.*"):
        if path.suffix != ".npz":
            shutil.copy(path, place)
    how, meta, index = random.integers(8), place / f"{name}.meta", place / f"{name}.index"
    if how == 0:
        index.write_bytes(damaged(index.read_bytes(), random))
    elif how == 1:
        data = place / f"{name}.data-00000-of-00001"
        data.write_bytes(damaged(data.read_bytes(), random))
    elif how == 2:
        text = f'model_checkpoint_path: "/home/x/{name}"\nall_model_checkpoint_paths: "{name}"\n'
        (place / "checkpoint").write_bytes(damaged(text.encode(), random))
    elif how == 3:
        table = read_table(index.read_bytes())
        key = list(table)[int(random.integers(len(table)))]
        table[key] = damaged(table[key], random)
        index.write_bytes(build_table(table))
    elif how == 4:
        meta.write_bytes(damaged(meta.read_bytes(), random))
    else:
        meta.write_bytes(_forged_graph(meta.read_bytes(), random))
    return ["convert", "." if how == 2 else name, "run"]


def _forged_graph(meta: bytes, random: Random) -> bytes:
    """A MetaGraphDef with one to three nodes changed: left out, damaged, of another operation or other inputs."""
    whole = list(protobuf.fields(meta))
    for place, (number, _, value) in enumerate(whole):
        if number == 2 and isinstance(value, bytes):
            nodes = list(protobuf.fields(value))
            for _ in range(int(random.integers(1, 4))):
                _change_node(nodes, random)
            whole[place] = (2, protobuf.BYTES, _encoded(nodes))
    return _encoded(whole)


def _change_node(nodes: list[tuple[int, int, int | bytes]], random: Random) -> None:
    place, other = (int(each) for each in random.integers(len(nodes), size=2))
    number, kind, content = nodes[place]
    if number != 1 or nodes[other][0] != 1 or not isinstance(content, bytes):
        return
    how = random.integers(5)
    if how == 0:
        del nodes[place]
        return
    if how == 1:
        nodes[place] = (number, kind, damaged(content, random))
        return
    own = list(protobuf.fields(content))
    theirs = list(protobuf.fields(nodes[other][2]))  # type: ignore[arg-type]
    if how == 2:  # another's operation
        own = [field for field in own if field[0] != 2] + [field for field in theirs if field[0] == 2]
    elif how == 3:  # another node for one of its inputs
        inputs = [number for number, field in enumerate(own) if field[0] == 3]
        names = [field[2] for field in theirs if field[0] == 1]
        if inputs and names:
            own[inputs[int(random.integers(len(inputs)))]] = (3, protobuf.BYTES, names[0])
    else:  # one of its attributes
        held = [number for number, field in enumerate(own) if field[0] == 5]
        if held:
            chosen = held[int(random.integers(len(held)))]
            own[chosen] = (5, protobuf.BYTES, damaged(own[chosen][2], random))  # type: ignore[arg-type]
    nodes[place] = (number, kind, _encoded(own))


def _encoded(fields: list[tuple[int, int, int | bytes]]) -> bytes:
    parts = []
    for number, kind, value in fields:
        if isinstance(value, bytes):
            parts.append(protobuf.bytes_field(number, value))
        elif kind == protobuf.VARINT:
            parts.append(protobuf.varint(number << 3) + protobuf.varint(value))
        else:
            size = 4 if kind == protobuf.FIXED32 else 8
            parts.append(protobuf.varint(number << 3 | kind) + value.to_bytes(size, "little"))
    return b"".join(parts)


def wrongly_converted(zoo: Path, place: Path, output: str) -> str:
    """What is wrong with the run that a checkpoint with its graph became; nothing, where its outputs are those that
    TensorFlow recorded, or it was held against a graph that was altered, or says that it was not."""
    from torch_impl.runs import load_run

    (meta,) = place.glob("*.meta")
    altered = meta.read_bytes() != (zoo / meta.name).read_bytes()
    if altered and ("checked: the graph, computed here" in output or "NOT checked against TensorFlow" in output):
        return ""
    with np.load(zoo / f"{meta.stem}.npz") as truth:
        found = load_run(place / "run").logits(truth["inputs"], truth.get("lengths"))
        apart = np.abs(found - truth["outputs"]).max() / np.abs(truth["outputs"]).max()
    return "" if apart <= 1e-5 else f"its outputs are {apart:.1e} off"
