"""Machine code kept on disk: what it is called, how long it is fresh, and processes that keep it at the same time.

Code that one process kept and code that another kept are linked together by the names of functions.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from torch_impl import RNN, Regressor, Trainer
from torch_impl.unrolling.paths import forced_path
from unrolled.programs import Adam

pytest.importorskip("numba", reason="the compiled path needs Numba")

from torch_impl.training import compiled_steps
from torch_impl.unrolling import activations, compiled_loops, jit, layout, tiles


def cached_functions() -> list[Any]:
    for dtype in (torch.float32, torch.float64):
        model, inputs = Regressor(RNN(1, 4, "relu", dtype=dtype), 1), torch.ones(2, 3, 1, dtype=dtype)
        with forced_path("compiled"):
            model(inputs).sum().backward()
            Trainer(model, Adam(), inputs, inputs).run(np.zeros((1, 1), int))
    return [layout.pack, layout.unpack_gradients, compiled_loops.forward, compiled_loops.backward, compiled_steps.train]


def test_code_kept_on_disk_holds_no_closure() -> None:
    for function in cached_functions():
        file = function._cache._cache_file
        kept = [Path(file._cache_path, name).read_bytes() for name in file._load_index().values()]
        assert len(kept) >= 2
        for code in kept:
            assert function.py_func.__name__.encode() in code
            assert b"_3clocals_3e" not in code, function  # "<locals>", as it is written in names to be linked


def test_functions_kept_on_disk_have_names_of_their_own() -> None:
    modules = (tiles, activations, layout, compiled_loops, compiled_steps)
    functions = {id(f): f.py_func for module in modules for f in vars(module).values() if hasattr(f, "py_func")}
    names = {(f.__module__, f.__qualname__) for f in functions.values()}
    same = {2: 1, 4: 0}[tiles.MAX_WIDTH]  # without AVX-512 the widest column is the double one
    assert len(names) == len(functions) - same
    assert all(name.isidentifier() for _, name in names)


def test_code_is_kept_until_any_of_its_sources_changes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for function in (*cached_functions(), activations.tanh_):
        assert function._cache._cache_file._source_stamp == jit.sources()
    stamps = {jit.sources()}
    for name in jit.SOURCES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
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
