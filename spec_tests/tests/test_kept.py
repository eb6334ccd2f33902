"""What backends showed is kept, and served for as long as it is so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spec_tests.conformance import kept, matrix
from spec_tests.conformance.kept import Kept
from spec_tests.tests.test_conform import conform
from unrolled.datasets import recorded
from unrolled.pytest_plugin import SUITE

BACKEND = """
from helper import TIES
from spec_tests.oracle.backend import OracleBackend

class Mine(OracleBackend):
    name = "mine"
    capabilities = frozenset(["in_top_k", "float32"])
    def in_top_k(self, logits, targets, k=1):
        open("asked", "a").write("x")
        return super().in_top_k(logits, targets, k) & (TIES or logits.std(axis=1) > 0)
"""
IN_TOP_K = ("test_in_top_k",)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(BACKEND)
    (tmp_path / "helper.py").write_text("TIES = False\n")
    return tmp_path


def ran(folder: Path, *more: str) -> tuple[int, str, int]:
    """Exit status, what was printed, and how often the backend was asked."""
    (folder / "asked").write_text("")
    arguments = ["--backend", "mine:Mine", "-k", "tie", "--keep", "kept", "--json", "m.json", *more]
    status, output, errors = conform(folder, *arguments, files=IN_TOP_K)
    assert "Traceback" not in errors, errors
    return status, output, len((folder / "asked").read_text())


def test_a_kept_answer_is_the_same_and_asks_nothing(folder: Path) -> None:
    status, _, asked = ran(folder)
    first = json.loads((folder / "m.json").read_text())
    assert status == 1 and asked > 0
    status, output, asked = ran(folder)
    second = json.loads((folder / "m.json").read_text())
    assert (status, asked) == (1, 0) and "kept from 20" in output
    for results in (first, second):
        for name in ("started", "seconds"):
            del results[name]
    assert second["backends"]["mine"].pop("kept") is not first["backends"]["mine"].pop("kept")
    assert second == first


def test_a_mended_helper_is_seen(folder: Path) -> None:
    """A module beside the backend's own, which it imports."""
    assert ran(folder)[0] == 1
    (folder / "helper.py").write_text("TIES = True\n")
    status, _, asked = ran(folder)
    assert status == 0 and asked > 0


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"schema": "unrolled.shown/1"}', b"\xff"])
def test_a_damaged_file_is_no_answer(folder: Path, content: bytes) -> None:
    ran(folder)
    (answer,) = (folder / "kept").iterdir()
    answer.write_bytes(content)
    status, _, asked = ran(folder)
    assert status == 1 and asked > 0


def test_a_question_has_a_place_of_its_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, files = Kept(folder / "kept"), list(matrix.FILES)
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)  # which tf_reference sets where it is imported
    places = {
        opened.place("numpy", "cpu", files, ""),
        opened.place("numpy", "cpu", files[1:], ""),
        opened.place("numpy", "cpu", files, "tie"),
        opened.place("oracle", "cpu", files, ""),
    }
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    places.add(opened.place("numpy", "cpu", files, ""))
    assert len(places) == 5 and None not in places
    assert opened.place("no_such_module:backend", "cpu", files, "") is None
    assert Kept(None).place("numpy", "cpu", files, "") is None


@pytest.mark.parametrize("line", ["from .helper import TIES", "from . import helper", "from .deep import *"])
def test_a_mended_helper_is_seen_by_a_relative_import(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in {
        "__init__": "",
        "backend": line,
        "helper": "TIES = 0",
        "deep/__init__": "from ..helper import TIES",
    }.items():
        (tmp_path / "of_mine" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "of_mine" / (name + ".py")).write_text(text + "\n")
    monkeypatch.syspath_prepend(tmp_path)
    before = Kept(tmp_path).place("of_mine.backend:Mine", "cpu", matrix.FILES, "")
    (tmp_path / "of_mine" / "helper.py").write_text("TIES = 1\n")
    assert before is not None and before != Kept(tmp_path).place("of_mine.backend:Mine", "cpu", matrix.FILES, "")


@pytest.mark.parametrize("place", [SUITE / "conftest.py", SUITE / "marks.py", recorded.files()[0]])
def test_all_that_the_suite_answers_by_counts(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = Kept(tmp_path).place("oracle", "cpu", matrix.FILES, "")
    read = kept.read_whole
    monkeypatch.setattr(kept, "read_whole", lambda path, most: read(path, most) + b"x" * (path == place))
    assert before is not None and before != Kept(tmp_path).place("oracle", "cpu", matrix.FILES, "")
