"""Sequences of one's own: every way to bring them in, and one sentence with the row for all that cannot be used."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unrolled.errors import DataError
from unrolled.own_data.arrays import read_npy
from unrolled.own_data.prepare import classifier_data
from unrolled.own_data.sequences import read_sequences

RANDOM = np.random.default_rng(0)


def sequence(steps: int, inputs: int = 3) -> np.ndarray:
    return RANDOM.normal(size=(steps, inputs)).astype(np.float32)


def refused(path: Path, labelled: bool = True) -> str:
    """The one sentence with which a path is refused."""
    with pytest.raises(DataError) as raised:
        read_sequences(path, labelled)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def folder(path: Path, **classes: dict[str, Any]) -> Path:
    for name, files in classes.items():
        (path / name).mkdir(parents=True)
        for file, content in files.items():
            if isinstance(content, np.ndarray):
                np.save(path / name / file, content)
            else:
                (path / name / file).write_text(content)
    return path


def test_a_folder_with_a_subfolder_per_class(tmp_path: Path) -> None:
    a, b = sequence(4), sequence(2)
    text = "x,y,z\n1,2,3\n4,5,6\n\n7,8,9\n"
    found = read_sequences(folder(tmp_path, up={"b.npy": a, "a.csv": text}, down={"c.npy": b}))
    assert found.classes == ["down", "up"] and found.labels is not None
    assert found.labels.tolist() == [0, 1, 1] and found.lengths.tolist() == [2, 3, 4]
    assert found.names == ["down/c.npy", "up/a.csv", "up/b.npy"]
    assert found.inputs.shape == (3, 4, 3) and found.inputs.dtype == np.float64
    assert np.array_equal(found.inputs[0, :2], b) and not found.inputs[0, 2:].any()
    assert np.array_equal(found.inputs[1, :3], np.arange(1, 10).reshape(3, 3))


def test_images_become_rows_of_pixels(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    pixels = np.arange(20, dtype=np.uint8).reshape(5, 4) * 12
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        image.fromarray(pixels).save(tmp_path / name / "one.png")
    image.fromarray(np.stack([pixels] * 3, 2)).save(tmp_path / "dog" / "two.png")
    image.fromarray(pixels[:3]).save(tmp_path / "dog" / "three.png")
    found = read_sequences(tmp_path)
    assert found.images and found.lengths.tolist() == [5, 5, 3, 5]
    np.testing.assert_allclose(found.inputs[0], pixels / 255.0, atol=1e-6)
    np.testing.assert_allclose(found.inputs[3], pixels / 255.0, atol=1e-6)
    (tmp_path / "dog" / "two.png").write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
    assert "two.png: cannot be read as an image" in refused(tmp_path)


def test_an_npz_file_padded_or_one_by_one(tmp_path: Path) -> None:
    rows = [sequence(4), sequence(2), sequence(3)]
    padded = np.full((3, 4, 3), np.nan)
    for place, row in zip(padded, rows, strict=True):
        place[: len(row)] = row
    np.savez(tmp_path / "padded.npz", inputs=padded, lengths=[4, 2, 3], labels=["no", "yes", "no"])
    np.savez_compressed(tmp_path / "listed.npz", *rows, labels=np.array([7, 9, 7]))
    one, other = read_sequences(tmp_path / "padded.npz"), read_sequences(tmp_path / "listed.npz")
    assert np.array_equal(one.inputs, other.inputs) and one.lengths.tolist() == other.lengths.tolist() == [4, 2, 3]
    assert one.classes == ["no", "yes"] and other.classes == ["7", "9"]
    assert one.labels is not None and one.labels.tolist() == [0, 1, 0]
    np.savez(tmp_path / "one.npz", inputs=np.eye(3), labels=[True, False, True])
    assert "labels is bool [3], expected integers or text" in refused(tmp_path / "one.npz")
    np.savez(tmp_path / "one.npz", inputs=np.eye(3))
    assert read_sequences(tmp_path / "one.npz", labelled=False).inputs.shape == (3, 3, 1)


def altered(**changes: Any) -> dict[str, Any]:
    arrays = {"inputs": np.ones((3, 4, 2)), "labels": np.array([0, 1, 1]), "lengths": np.array([4, 1, 2]), **changes}
    return {name: array for name, array in arrays.items() if array is not None}


def with_nan(row: int, step: int) -> np.ndarray:
    inputs = np.ones((3, 4, 2))
    inputs[row, step, 1] = np.nan
    return inputs


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        (altered(inputs=with_nan(2, 1)), "row 2: nan at step 1, input 1, expected a finite number"),
        (altered(inputs=np.full((3, 4, 2), 1e300)), "row 0: 1e+300 at step 0, input 0"),
        (altered(inputs=np.ones((3, 4, 2), complex)), "the array 'inputs' has the type complex128, expected numbers"),
        (altered(inputs=np.ones(3)), "inputs is float64 [3], expected numbers [rows, steps, inputs]"),
        (altered(inputs=np.ones((3, 0, 2))), "each at least 1"),
        (altered(lengths=np.array([4, 0, 2])), "row 1: its length is 0, expected 1 to 4"),
        (altered(lengths=np.array([4, 5, 2])), "row 1: its length is 5, expected 1 to 4"),
        (altered(lengths=np.array([4.0, 5, 2])), "lengths is float64 [3], expected integers [3]"),
        (altered(labels=np.array([0, 1])), "labels is int64 [2], expected one per row, [3]"),
        (altered(labels=np.array([0, np.nan, 1])), "row 1: its label is nan, expected an integer or text"),
        (altered(labels=np.array([0, 1, 0.5])), "row 2: its label is 0.5"),
        (altered(labels=np.array(["a", "", "b"])), "row 1: its label is empty"),
        (altered(labels=np.array([3, 3, 3])), "labels has 1 classes, expected at least 2"),
        (altered(labels=None), "holds inputs, lengths, but no array 'labels'"),
        (altered(lenghts=np.array([1, 1, 1])), "holds inputs, lenghts, lengths, expected"),
        (altered(inputs=None, arr_0=np.ones((2, 2)), arr_2=np.ones((2, 2))), "expected inputs, labels"),
    ],
)
def test_an_npz_file_that_cannot_be_used(tmp_path: Path, arrays: dict[str, Any], words: str) -> None:
    np.savez(tmp_path / "own.npz", **arrays)
    message = refused(tmp_path / "own.npz")
    assert message.startswith(str(tmp_path / "own.npz")) and words in message


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([np.ones((2, 2)), np.ones((0, 2))], "row 1: is empty"),
        ([np.ones((2, 2)), np.ones((2, 3))], "row 1: has 3 values per step"),
        ([np.ones((2, 2)), np.array([[1.0, np.inf]])], "row 1, step 0: holds inf in column 1"),
        ([np.ones((2, 2)), np.array([["a", "b"]])], "row 1: is <U1 [1, 2], expected numbers"),
    ],
)
def test_listed_sequences_that_cannot_be_used(tmp_path: Path, rows: list[np.ndarray], words: str) -> None:
    np.savez(tmp_path / "own.npz", *rows, labels=np.array([0, 1]))
    assert words in refused(tmp_path / "own.npz")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "a.csv: is empty; a sequence needs at least one step"),
        ("x,y\n", "no line but the names"),
        ("1,2\n3\n", "line 2: has 1 cells, expected 2, as in line 1"),
        ("x,y\n1,2\n3,abc\n", "line 3: column 'y' holds 'abc', expected a finite number"),
        ("x,y\n1,2\n\n3,\n", "line 4: column 'y' is empty"),
        ("1,2\n3,nan\n", "line 2: column '1' holds 'nan'"),
        ("x,x\n1,2\n", "two columns are called 'x'"),
        ("1\0,2\n", "zero bytes"),
    ],
)
def test_a_csv_file_that_cannot_be_used(tmp_path: Path, text: str, words: str) -> None:
    message = refused(folder(tmp_path, up={"a.csv": text}, down={"b.csv": "1,2\n"}))
    assert words in message and "a.csv" in message


def test_folders_that_cannot_be_used(tmp_path: Path) -> None:
    good = {"a.npy": sequence(3)}
    assert "no such file or folder" in refused(tmp_path / "missing")
    (tmp_path / "0").mkdir()
    assert "has 0 subfolders, expected one per class" in refused(tmp_path / "0")
    assert "has 1 subfolders" in refused(folder(tmp_path / "1", up=good))
    assert "holds no files" in refused(folder(tmp_path / "2", up=good, down={}))
    assert "expected only files ending in" in refused(folder(tmp_path / "3", up=good, down={"a.txt": "1"}))
    assert "up/a.npy: has 3 values per step" in refused(folder(tmp_path / "4", up=good, down={"a.npy": sequence(3, 2)}))
    folder(tmp_path / "5", up=good, down=good)
    (tmp_path / "5" / "stray.csv").write_text("1\n")
    assert "a file beside the classes" in refused(tmp_path / "5")
    assert "expected a folder with a subfolder per class, or an .npz file" in refused(tmp_path / "5" / "stray.csv")


def test_nothing_is_unpickled_and_no_header_believed(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "trapped",)

    np.save(tmp_path / "a.npy", np.array([Trap(), 1], object), allow_pickle=True)
    with pytest.raises(DataError, match="not unpickled"):
        read_npy(tmp_path / "a.npy")
    assert not (tmp_path / "trapped").exists()
    np.save(tmp_path / "b.npy", np.ones((2, 3)))
    content = (tmp_path / "b.npy").read_bytes()
    (tmp_path / "c.npy").write_bytes(content.replace(b"(2, 3), }" + b" " * 9, b"(2, 3000000000), }"))
    with pytest.raises(DataError, match=r"is float64 \[2, 3000000000\], which .* takes more than 256 MiB"):
        read_npy(tmp_path / "c.npy")
    (tmp_path / "c.npy").write_bytes(content.replace(b"(2, 3), }" + b" " * 4, b"(2, 3000000)}"))
    with pytest.raises(DataError, match=r"announces float64 .* 48000000 bytes, but 48 follow"):
        read_npy(tmp_path / "c.npy")
    (tmp_path / "d.npy").write_bytes(content[:-1])
    with pytest.raises(DataError, match="48 bytes, but 47 follow"):
        read_npy(tmp_path / "d.npy")
    (tmp_path / "e.npy").write_bytes(content + b"x")
    with pytest.raises(DataError, match="48 bytes, but more follow"):
        read_npy(tmp_path / "e.npy")
    (tmp_path / "f.npy.gz").write_bytes(gzip.compress(content))
    assert np.array_equal(read_npy(tmp_path / "f.npy.gz"), np.ones((2, 3)))


def test_a_classifiers_parts_and_scaling(tmp_path: Path) -> None:
    rows = [sequence(2 + row % 5) * 4 + 10 for row in range(60)]
    np.savez(tmp_path / "own.npz", *rows, labels=np.arange(60) % 3)
    made = classifier_data(tmp_path / "own.npz", validation_share=0.1, test_share=0.2, seed=3)
    assert made.validation is not None and made.test is not None and made.train.lengths is not None
    sizes = [len(part.targets) for part in (made.train, made.validation, made.test)]
    assert sizes == [42, 6, 12] == list(made.facts["rows"].values())
    for part, each in ((made.train, 14), (made.validation, 2), (made.test, 4)):
        assert np.bincount(part.targets).tolist() == [each] * 3
    valid = np.arange(made.train.inputs.shape[1]) < made.train.lengths[:, None]
    np.testing.assert_allclose(made.train.inputs[valid].mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(made.train.inputs[valid].std(0), 1, atol=1e-5)
    assert not made.train.inputs[~valid].any()
    assert (made.program.model.inputs, made.program.model.outputs, made.program.batch) == (3, 3, 32)
    assert made.facts["classes"] == ["0", "1", "2"] and made.facts["lengths"] is True
    # What is tested on has no part in the scaling.
    for row in range(60):
        rows[row] = rows[row] if row % 2 else rows[row] + 1
    np.savez(tmp_path / "test.npz", *[row * 1000 for row in rows], labels=np.arange(60) % 3)
    again = classifier_data(tmp_path / "own.npz", tmp_path / "test.npz", seed=3)
    assert again.test is not None and len(again.test.targets) == 60 and len(again.train.targets) == 54


def test_a_class_without_a_name_in_utf8_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", inputs=np.ones((6, 4, 2)), labels=["a", "\udc80"] * 3)
    with pytest.raises(DataError, match="has no name in UTF-8"):
        classifier_data(tmp_path / "own.npz")


def test_test_data_of_another_kind_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", inputs=np.ones((6, 4, 2)), labels=[0, 1, 0, 1, 0, 1])
    np.savez(tmp_path / "other.npz", inputs=np.ones((3, 4, 3)), labels=[0, 1, 0])
    with pytest.raises(DataError, match="has 3 values per step, the training data 2"):
        classifier_data(tmp_path / "own.npz", tmp_path / "other.npz")
    np.savez(tmp_path / "other.npz", inputs=np.ones((3, 4, 2)), labels=[0, 2, 0])
    with pytest.raises(DataError, match="row 1: its label is '2', which the training data do not have"):
        classifier_data(tmp_path / "own.npz", tmp_path / "other.npz")
    with pytest.raises(DataError, match="no row of class '0' is left to train on"):
        classifier_data(tmp_path / "own.npz", validation_share=0.0, test_share=0.9)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "longdouble"])
def test_labels_may_be_whole_numbers_of_any_float(tmp_path: Path, dtype: str) -> None:
    np.savez(tmp_path / "a.npz", inputs=np.ones((4, 3, 1)), labels=np.array([0, 2, 0, 2], dtype))
    assert read_sequences(tmp_path / "a.npz").classes == ["0", "2"]
    np.savez(tmp_path / "a.npz", inputs=np.ones((4, 3, 1)), labels=np.array([0, 2, 0, np.inf], dtype))
    with pytest.raises(DataError, match="row 3: its label is inf"):
        read_sequences(tmp_path / "a.npz")


@pytest.mark.parametrize("kind", [np.float64, np.int64])
def test_values_are_scaled_before_they_become_float32(kind: type, tmp_path: Path) -> None:
    """Seconds since 1970: float32 has steps of 128 there, and what varies is lost before any scaling could show it."""
    labels = np.arange(60) % 2
    times: np.ndarray = (1_600_000_000 + np.cumsum(1 + labels[:, None] * np.ones((60, 20)), 1)).astype(kind)
    np.savez(tmp_path / "times.npz", inputs=times, labels=labels)
    made = classifier_data(tmp_path / "times.npz")
    assert made.train.inputs.dtype == np.float32 and len(np.unique(made.train.inputs)) > 20
    assert made.facts["scaling"]["scale"][0] == pytest.approx(times.std(), rel=0.2)
    older = classifier_data(tmp_path / "times.npz", rounded=True)  # as a run from before is resumed
    assert len(np.unique(older.train.inputs)) <= 2 and "sha256" not in older.facts


def test_data_are_known_by_their_digest(tmp_path: Path) -> None:
    inputs, labels = np.random.default_rng(0).normal(size=(20, 3, 2)), np.arange(20) % 2
    found = []
    for change in (lambda: None, lambda: inputs.__setitem__((7, 1, 1), 5.0), lambda: labels.__setitem__(0, 1)):
        change()
        np.savez(tmp_path / "own.npz", inputs=inputs, labels=labels)
        found += [classifier_data(tmp_path / "own.npz", scale=scale).facts["sha256"] for scale in (True, False)]
    assert found[0] == found[1] and found[2] == found[3] and len(set(found)) == 3
