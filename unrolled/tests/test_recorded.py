"""The reader of recorded results: a damaged or missing file is named."""

import zipfile

import numpy as np
import pytest

from unrolled.datasets import recorded
from unrolled.errors import DataError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with one small file of recorded results, "few", in place of the bundled ones."""
    monkeypatch.setattr(recorded, "FOLDER", tmp_path)
    case = recorded.Recorded({"method": "forward"}, {"inputs": np.ones((2, 3))}, {"outputs": np.zeros(2)})
    recorded.save(tmp_path / "few.npz", {"first": case})
    return tmp_path


def test_what_was_saved_is_read(folder):
    assert recorded.names() == ["few/first"]
    assert recorded.questions() == {"few/first": {"method": "forward"}}
    found = recorded.load("few/first")
    assert found.case == {"method": "forward"}
    np.testing.assert_array_equal(found.given["inputs"], np.ones((2, 3)))


def truncated(path):
    path.write_bytes(path.read_bytes()[:-30])


def altered(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0xFF
    path.write_bytes(bytes(content))


def without_index(path):
    np.savez(str(path), other=np.ones(2))


def pickled(path):
    np.savez(str(path), index=np.array([{}], dtype=object))


def text(path):
    path.write_text("not an archive")


def no_array(path):
    with zipfile.ZipFile(str(path), "w") as archive:
        archive.writestr("index", "plain")


@pytest.mark.parametrize("damage", [truncated, altered, without_index, pickled, text, no_array])
def test_a_damaged_file_is_named(folder, damage):
    damage(folder / "few.npz")
    for read in (recorded.names, lambda: recorded.load("few/first")):
        try:
            read()
        except DataError as error:
            assert str(error).startswith(str(folder / "few.npz")) and "restore the file" in str(error)
            return
    pytest.fail("neither the list nor the case showed the damage")


def test_a_folder_without_files_is_named(folder):
    (folder / "few.npz").unlink()
    with pytest.raises(DataError, match="holds no recorded results"):
        recorded.names()


@pytest.mark.parametrize("name", ["few/second", "many/first"])
def test_an_unknown_case_is_a_key_error(folder, name):
    with pytest.raises(KeyError, match="no recorded case"):
        recorded.load(name)
