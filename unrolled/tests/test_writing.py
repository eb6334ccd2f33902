"""Files are written whole or not at all, through no link, and keep the permissions of what they replace."""

import os
import stat
import sys
from pathlib import Path

import pytest

from unrolled import writing
from unrolled.writing import open_own, replace_file, temporary_of

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="has no such permissions and links")


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_keeps_the_permissions_of_the_one_it_replaces(tmp_path):
    path, before = tmp_path / "file", os.umask(0o022)
    try:
        for kept in (0o600, 0o664, 0o640):
            path.write_bytes(b"old")
            path.chmod(kept)
            replace_file(path, b"new")
            assert path.read_bytes() == b"new" and mode(path) == kept
        replace_file(tmp_path / "another", b"new")
        assert mode(tmp_path / "another") == 0o644
    finally:
        os.umask(before)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["another", "file"]


def test_no_link_is_written_through(tmp_path, monkeypatch):
    (tmp_path / "victim").write_text("precious")
    monkeypatch.setattr(writing.os, "urandom", lambda count: b"\0" * count)  # the worst: a name that was foretold
    (tmp_path / ".file.00000000.partial").symlink_to(tmp_path / "victim")
    with pytest.raises(FileExistsError):
        replace_file(tmp_path / "file", b"new")
    assert (tmp_path / "victim").read_text() == "precious" and not (tmp_path / "file").exists()
    (tmp_path / "log").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError):
        open_own(tmp_path / "log", "a")
    os.mkfifo(str(tmp_path / "pipe"))
    with pytest.raises(OSError):
        open_own(tmp_path / "pipe", "a")
    assert (tmp_path / "victim").read_text() == "precious"


def test_temporary_names_are_not_the_same_twice(tmp_path, monkeypatch):
    names, modes = [], []
    (tmp_path / "file").touch(0o600)

    def noted(path, flags, mode=0o777):
        names.append(Path(path).name)
        modes.append(mode)
        return opened(path, flags, mode)

    opened = os.open
    monkeypatch.setattr(writing.os, "open", noted)
    for _ in range(2):
        replace_file(tmp_path / "file", b"")
    made = [name for name in names if name.startswith(".file.")]
    assert modes[0] == 0o600  # from the first moment on
    assert len(set(made)) == 2 and {temporary_of(name) for name in made} == {"file"}
    assert temporary_of(".gitignore") is None and temporary_of("file.0123abcd.partial") is None


def test_what_is_opened_to_append_to_is_not_emptied(tmp_path):
    for text in ("one\n", "two\n"):
        with open_own(tmp_path / "log", "a", encoding="utf-8") as stream:
            stream.write(text)
    assert (tmp_path / "log").read_text() == "one\ntwo\n"
