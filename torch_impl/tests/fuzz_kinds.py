"""The kinds of damaged files: each makes one case in a folder, and gives the command line that reads it."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.numpy

from torch_impl.checkpoints.run_files import load_checkpoint
from torch_impl.tests import made_runs
from torch_impl.tests.fuzz_graphs import ZOO, graph, wrongly_converted
from torch_impl.tests.mutations import Random, damaged, forged_tensors, mutated_value, write_checkpoint
from torch_impl.tf1.table import build_table, read_table

__all__ = ["CHECKS", "KINDS", "Base", "make_base"]

TF1 = Path(__file__).parent / "files" / "tf1"
_TF1_KINDS = {"classifier": "classifier", "older": "classifier", "sharded": "classifier", "wrapped": "regressor"}


class Base(NamedTuple):
    """What is damaged: a folder with whole files and runs."""

    folder: Path


def make_base(folder: Path) -> Base:
    """The files and runs, tiny; made once."""
    folder.mkdir()
    tiny = ("--epochs", 2, "--units", 4, "--batch-size", 8, "--test-share", 0.2)
    waves = made_runs.write_waves(folder / "waves.npz", 40)
    tide = made_runs.write_tide(folder / "tide.csv", 80)
    made_runs.train(folder, "classifier", "--data", waves, *tiny)
    columns = ("--column", "level", "--column", "flow", "--window", 6, "--horizon", 2)
    made_runs.train(folder, "regressor", "--data", tide, *columns, *tiny)
    np.save(folder / "wave.npy", np.random.default_rng(0).normal(size=(9, 2)))
    np.savez_compressed(folder / "padded.npz", inputs=np.ones((6, 5, 2)), lengths=[5, 1, 2, 3, 4, 5], labels=[0, 1] * 3)
    (folder / "wave.csv").write_text("a,b\n" + "1.5,2\n3,-4e2\n" * 5)
    images = np.random.default_rng(0).integers(0, 256, (3, 5, 2), np.uint8)
    head = bytes([0, 0, 8, 3]) + b"".join(size.to_bytes(4, "big") for size in images.shape)
    (folder / "some-idx3-ubyte").write_bytes(head + images.tobytes())
    (folder / "more-idx3-ubyte.gz").write_bytes(gzip.compress(head + images.tobytes()))
    _write_optional(folder, images[0])
    with zipfile.ZipFile(ZOO) as archive:
        archive.extractall(folder / "zoo")
    return Base(folder)


def _write_optional(folder: Path, image: np.ndarray) -> None:
    """Formats whose readers are not always installed."""
    try:
        from PIL import Image

        Image.fromarray(image).save(folder / "image.png")
        Image.fromarray(image).save(folder / "image.bmp")
    except ImportError:
        pass
    try:
        import pyarrow
        import pyarrow.parquet

        values = np.genfromtxt(folder / "tide.csv", delimiter=",", skip_header=1, usecols=(1, 2))
        table = pyarrow.table({"day": ["d"] * len(values), "level": values[:, 0], "flow": values[:, 1]})
        pyarrow.parquet.write_table(table, folder / "tide.parquet")
    except ImportError:
        pass


def checkpoint(base: Base, place: Path, random: Random) -> list[str]:
    """A run: its files damaged, or forged so that every checksum is right."""
    program = ("classifier", "regressor")[int(random.integers(2))]
    run = place / "run"
    how = random.integers(5)
    if how == 0:  # the bytes of one file
        shutil.copytree(base.folder / program, run)
        files = sorted(path for path in run.iterdir() if path.suffix in (".json", ".safetensors"))
        _damage(files[int(random.integers(len(files)))], random)
    else:
        found, state = load_checkpoint(base.folder / program)
        tensors = dict(sorted(found.items()))  # safetensors gives them in any order
        if how == 1:
            write_checkpoint(run, forged_tensors(tensors, random), state)
        elif how == 2:
            write_checkpoint(run, _forged_header(safetensors.numpy.save(tensors), random), state)
        elif how == 3:
            write_checkpoint(run, tensors, mutated_value(state, random))
        else:
            part = ("model", "data", "run", "optimizer", "options")[int(random.integers(5))]
            write_checkpoint(run, tensors, {**state, part: mutated_value(state[part], random)})
    inputs = base.folder / ("waves.npz" if program == "classifier" else "tide.csv")
    commands = [
        ["predict", "run", str(inputs), "--format", "json"],
        ["evaluate", "run", "--no-picture"],
        ["train", program, "--resume", "run", "--epochs", "3"],
        ["convert", "run", "tf1/model", "--to-tf1"],
    ]
    return commands[int(random.integers(len(commands)))]


def _forged_header(packed: bytes, random: Random) -> bytes:
    """A safetensors file with a changed header, whose own length is right."""
    size = int.from_bytes(packed[:8], "little")
    header = mutated_value(json.loads(packed[8 : 8 + size]), random)
    text = json.dumps(header).encode() if random.integers(4) else b"[" * 50_000
    return len(text).to_bytes(8, "little") + text + packed[8 + size :]


def tf1(base: Base, place: Path, random: Random) -> list[str]:
    """A TensorFlow 1 checkpoint: its bytes damaged, or its index forged with right checksums."""
    name = list(_TF1_KINDS)[int(random.integers(len(_TF1_KINDS)))]
    files = [Path(shutil.copy(path, place)) for path in sorted(TF1.glob(f"{name}.*")) if path.suffix != ".npz"]
    index = place / f"{name}.index"
    how = random.integers(4)
    if how == 0:
        _damage(files[int(random.integers(len(files)))], random)
    elif how == 1:
        (place / "checkpoint").write_bytes(damaged(f'model_checkpoint_path: "{name}"\n'.encode(), random))
    else:
        table = read_table(index.read_bytes())
        keys = list(table)
        key = keys[int(random.integers(len(keys)))]
        if how == 2:
            table[key] = damaged(table[key], random)
        else:
            table[damaged(key, random)] = table.pop(key)
        index.write_bytes(build_table(table))
    source = "." if how == 1 else name
    activation = "tanh" if _TF1_KINDS[name] == "classifier" else "relu"
    return ["convert", source, "run", "--kind", _TF1_KINDS[name], "--activation", activation]


_TRAPS = [
    ("yaml", b"!!python/object/apply:os.system ['touch trapped']\n"),
    ("yaml", b"epochs: !!python/name:os.system\n"),
    ("yaml", b"a: &a [x, x, x, x, x, x, x, x, x]\n" + b"".join(
        b"%c: &%c [%s]\n" % (c + 1, c + 1, b", ".join([b"*%c" % c] * 9)) for c in range(ord("a"), ord("j")))),
    ("yaml", b"&a [*a]\n"),
    ("yaml", b"{" * 20_000),
    ("json", b"[" * 100_000),
    ("json", b'{"epochs": ' + b"9" * 5000 + b"}"),
    ("toml", b"a = " + b"[" * 20_000),
    ("toml", b"epochs = 0x" + b"f" * 5000),
    ("toml", b"a." * 20_000 + b"b = 1"),
]  # fmt: skip


def configuration(base: Base, place: Path, random: Random) -> list[str]:
    """A file for --config, or the run's own config.json."""
    how = random.integers(5)
    if how == 0:
        shutil.copytree(base.folder / "classifier", place / "run")
        _damage(place / "run" / "config.json", random)
        return ["predict", "run", str(base.folder / "waves.npz")]
    options: dict[str, Any] = {
        "data": str(base.folder / "waves.npz"), "epochs": 2, "units": 4, "batch-size": 8, "learning-rate": 0.01,
        "activation": "tanh", "scale": True, "test_share": 0.2, "seed": 3, "output": "run", "checkpoint-every": 1,
    }  # fmt: skip
    suffix = ("json", "yaml", "toml")[int(random.integers(3))]
    if how == 1:
        suffix, content = _TRAPS[int(random.integers(len(_TRAPS)))]
    elif how == 2:
        content = damaged(_as_text(options, suffix).encode(), random)
    else:
        content = _as_text(mutated_value(options, random, 1), suffix).encode("utf-8", "surrogatepass")
    (place / f"options.{suffix}").write_bytes(content)
    return ["train", "classifier", "--config", f"options.{suffix}", "--output", "run"]


def _as_text(options: dict[str, Any], suffix: str) -> str:
    if suffix == "toml":
        return "".join(f"{key} = {json.dumps(value)}\n" for key, value in options.items())
    return json.dumps(options)  # which is YAML too


def data(base: Base, place: Path, random: Random) -> list[str]:
    """Files of one's own: damaged, or made to mislead their readers."""
    if random.integers(4) == 0:
        return _misleading(base, place, random)
    names = [path.name for path in sorted(base.folder.iterdir()) if path.is_file()]
    name = names[int(random.integers(len(names)))]
    content = (base.folder / name).read_bytes()
    if name.endswith((".npz", ".gz")) and random.integers(2):
        content = _inside(name, content, random)
    else:
        content = damaged(content, random)
    (place / name).write_bytes(content)
    return _reading(base, name, random)


def _reading(base: Base, name: str, random: Random) -> list[str]:
    """A command that reads the file."""
    table = name.startswith("tide")
    run = str(base.folder / ("regressor" if table else "classifier"))
    if random.integers(2):
        return ["predict", run, name]
    if table:
        small = ["--window", "6", "--column", "level", "--units", "4", "--output", "run"]
        return ["train", "regressor", "--data", name, *small]
    if name.endswith(".npz"):
        return ["train", "classifier", "--data", name, "--units", "4", "--output", "run"]
    return ["evaluate", run, "--data", name, "--no-picture"]


def _inside(name: str, content: bytes, random: Random) -> bytes:
    """Damage to what an archive holds; its own checksums are right."""
    if name.endswith(".gz"):
        return gzip.compress(damaged(gzip.decompress(content), random))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    chosen = list(members)[int(random.integers(len(members)))]
    members[chosen] = damaged(members[chosen][:128], random) + members[chosen][128:]  # mostly the header
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for member, part in members.items():
            archive.writestr(member, part)
    return stream.getvalue()


class Trap:
    """What unpickling would run."""

    def __reduce__(self) -> Any:
        return Path.touch, (Path("trapped"),)


def _misleading(base: Base, place: Path, random: Random) -> list[str]:
    path = place / "own.npz"
    how = random.integers(6)
    if how == 0:
        rows = np.array([Trap(), 1], object)
        np.savez(path, inputs=rows, labels=np.array([0, 1]))
    elif how == 1:  # 64 GiB of zeros, by its header and its compression
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            stream = io.BytesIO()
            np.lib.format.write_array_header_1_0(
                stream, {"descr": "<f8", "fortran_order": False, "shape": (1 << 20, 1 << 13, 1)}
            )
            archive.writestr("inputs.npy", stream.getvalue() + bytes(1 << 22))
    elif how == 2:
        with zipfile.ZipFile(path, "w") as archive:
            for row in range(3000):
                archive.writestr(f"../{row}.npy" if row % 2 else f"arr_{row}.npy", b"")
    elif how == 3:
        inputs = np.ones((6, 5, 2))
        inputs.ravel()[int(random.integers(inputs.size))] = [np.nan, np.inf, 1e300][int(random.integers(3))]
        np.savez(path, inputs=inputs, labels=[0, 1] * 3)
    elif how == 4:
        labels: Any = [np.array([2**63] * 6, np.uint64), np.array(["\0"] * 6), np.full(6, np.nan), np.zeros(6, "c16")]
        np.savez(path, inputs=np.ones((6, 5, 2)), labels=labels[int(random.integers(len(labels)))])
    else:
        cells = ["1", "", "nan", "1e999", "x", '"', "\0", "1_0", "-", "9" * 400, "0x10", "\ufeff", "1;2", "é"]
        lines = [",".join(str(random.choice(cells)) for _ in range(3)) for _ in range(6)]
        path = place / "tide.csv"
        path.write_text("day,level,flow\n" + "\n".join(lines))
    return _reading(base, path.name, random)


def _damage(path: Path, random: Random) -> None:
    path.write_bytes(damaged(path.read_bytes(), random))


# What must hold of a case that was used: a sentence where it does not.
CHECKS: dict[str, Callable[[Base, Path, str], str]] = {
    "graph": lambda base, place, output: wrongly_converted(base.folder / "zoo", place, output)
}
KINDS: dict[str, Callable[[Base, Path, Random], list[str]]] = {
    "checkpoint": checkpoint,
    "tf1": tf1,
    "graph": lambda base, place, random: graph(base.folder / "zoo", place, random),
    "configuration": configuration,
    "data": data,
}
