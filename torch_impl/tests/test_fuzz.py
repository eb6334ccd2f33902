"""Damaged and misleading files, drawn at random: each is used, or refused in one sentence. See fuzzing.py for more."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from torch_impl.tests.fuzz_kinds import KINDS, Base, make_base
from torch_impl.tests.fuzzing import fuzz, without_training

COUNT = int(os.environ.get("UNROLLED_FUZZ", "400")) // len(KINDS)
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="limits time by SIGALRM")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return make_base(tmp_path_factory.mktemp("fuzz") / "base")


@pytest.mark.parametrize("kind", KINDS)
def test_no_file_does_more_than_be_refused(kind: str, base: Base, tmp_path: Path) -> None:
    with without_training():
        counts, failures = fuzz(kind, range(COUNT), tmp_path, base)
    assert not failures, "\n\n".join(f"{kind} {found.seed}: {found.command}\n{found.what}" for found in failures)
    assert counts["refused"] > COUNT // 4 and counts["used"] + counts["refused"] == COUNT


def test_a_reader_that_fails_otherwise_is_noticed(base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise KeyError("weights")

    monkeypatch.setattr("torch_impl.tf1.understand.infer_from_names", broken)
    counts, failures = fuzz("tf1", range(30), tmp_path, base)
    assert failures and "KeyError" in failures[0].what and counts["failed"] == len(failures)
