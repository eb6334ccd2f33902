"""Machine code kept on disk: what it is called, how long it is fresh, and processes that keep it at the same time.

Code that one process kept and code that another kept are linked together by the names of functions.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from torch_impl import LSTM, RNN, Regressor, Trainer
from torch_impl.unrolling.paths import forced_path
from unrolled.programs import Adam

pytest.importorskip("numba", reason="the compiled path needs Numba")

from torch_impl.training import compiled_steps
from torch_impl.unrolling import activations, compiled_loops, jit, tables, tiles
from torch_impl.unrolling.pointwise import gru, lstm, plain


def kernels() -> list[Any]:
    """All that training and running two kinds in both dtypes takes, as Numba has it."""
    for dtype in (torch.float32, torch.float64):
        for make in (partial(RNN, activation="relu"), LSTM):
            model, inputs = Regressor(make(1, 4, dtype=dtype), 1), torch.ones(2, 3, 1, dtype=dtype)
            with forced_path("compiled"):
                model(inputs).sum().backward()
                Trainer(model, Adam(), inputs, inputs).run(np.zeros((1, 1), int))
    return list(jit._KEPT)


def test_code_kept_on_disk_holds_no_closure() -> None:
    found = kernels()
    assert len(found) > 20
    for code in found:
        file = code._cache._cache_file
        for name in file._load_index().values():
            kept = Path(file._cache_path, name).read_bytes()
            assert code.__name__.encode() in kept
            assert b"_3clocals_3e" not in kept, code  # "<locals>", as it is written in names to be linked


def test_functions_kept_on_disk_have_names_of_their_own() -> None:
    modules = (tiles, activations, tables, compiled_loops, compiled_steps, plain, lstm, gru)
    functions = {id(f): f.py_func for module in modules for f in vars(module).values() if hasattr(f, "py_func")}
    names = {(f.__module__, f.__qualname__) for f in functions.values()}
    assert len(names) == len(functions) and all(name.isidentifier() for _, name in names)


def test_nothing_of_another_kind_is_compiled(tmp_path: Path) -> None:
    code = (
        "import torch; from torch_impl import RNN; from torch_impl.unrolling import jit; "
        "RNN(1, 4)(torch.ones(2, 3, 1))[0].sum().backward(); "
        "print(sorted(c.__name__ for c in jit._KEPT))"
    )
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "UNROLLED_PATH": "compiled"}
    for said in (1, 0):  # compiled, then read
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            cwd=jit.ROOM.parent,
        )
        names = (
            "['backward', 'forward', 'multiply', 'pack', 'tanh_backward', 'tanh_forward', 'unpack', 'weight_gradients']"
        )
        assert done.stdout.strip() == names
        assert done.stderr.count("compiling for this machine") == said


def test_code_is_kept_until_any_of_its_sources_changes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for code in kernels():
        assert code._cache._cache_file._source_stamp == jit.sources()
    stamps = {jit.sources()}
    for name in jit.SOURCES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(jit.ROOM / name, tmp_path / name)
    monkeypatch.setattr(jit, "ROOM", tmp_path)
    assert {jit.sources()} == stamps
    for name in jit.SOURCES:
        with (tmp_path / name).open("a") as file:
            file.write("#")
        stamps.add(jit.sources())
    assert len(stamps) == 1 + len(jit.SOURCES)
    imported = {name for name in sys.modules if name.startswith("torch_impl.")}
    drawn_on = {"torch_impl." + name.removesuffix(".py").replace("/", ".") for name in jit.SOURCES}
    for module in drawn_on:  # what a source imports of this library is a source itself
        text = Path(str(sys.modules[module].__file__)).read_text()
        for package, names in re.findall(r"^from (torch_impl\S*) import (.+)$", text, re.M):
            imported_here = {f"{package}.{name.strip()}" for name in names.split(",")}
            assert package in drawn_on or imported_here <= drawn_on
    assert drawn_on <= imported


def test_a_file_of_the_cache_holds_one_signature_whoever_writes_it(tmp_path: Path) -> None:
    one, other = (jit.CacheFile(str(tmp_path), "function", "stamp") for _ in range(2))
    assert one.load("float32") is None
    # Both have read the empty index; Numba's own files would now be number 1 for both.
    other_index = other._load_index
    other._load_index = lambda: {}
    one.save("float32", "code for float32")
    other.save("float64", "code for float64")
    other._load_index = other_index
    assert one.load("float64") == "code for float64"
    assert one.load("float32") in (None, "code for float32")
    one.save("float32", "code for float32")
    assert (other.load("float32"), other.load("float64")) == ("code for float32", "code for float64")
    assert jit.CacheFile(str(tmp_path), "function", "changed").load("float32") is None


def test_damaged_code_is_compiled_anew_and_an_unwritable_folder_is_no_error(tmp_path: Path) -> None:
    file = jit.CacheFile(str(tmp_path), "function", "stamp")
    file.save("float32", "code")
    for path in tmp_path.iterdir():
        whole = path.read_bytes()
        path.write_bytes(whole[:-3])
        assert file.load("float32") is None
        path.write_bytes(whole)
    assert file.load("float32") == "code"
    jit.CacheFile(str(tmp_path / "missing"), "function", "stamp").save("float32", "code")
