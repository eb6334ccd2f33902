"""FROM_TENSORFLOW.md: its code computes what it says, in each framework that is installed; its commands print it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from torch_impl.tests import porting
from torch_impl.tests.converting import convert


@pytest.mark.parametrize("framework", porting.NEEDS)
def test_the_code_of_the_page_gives_the_same_network_in_every_framework(framework: str) -> None:
    if porting.missing(framework):
        pytest.skip(f"{framework} is not installed")
    found = porting.differences(framework)
    assert set(found) == {name for name, other in porting.blocks() if other == framework and name != "setup"}
    assert len(found) >= 2 and all(0 < difference < 1e-6 for difference in found.values()), found


def test_the_page_shows_what_a_conversion_prints(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for path in recorded.glob("contrib_relu.[!n]*"):
        shutil.copy(path, path.name.replace("contrib_relu", "model.ckpt"))
    result = convert("model.ckpt", "my-run")
    assert result.exit_code == 0, result.output
    (shown,) = re.findall(r"```text\n(.*?)```", porting.PAGE.read_text("utf-8"), re.DOTALL)
    rounding = re.compile(r"the same to \S+ of")
    assert rounding.sub("", result.stdout) == rounding.sub("", shown)
