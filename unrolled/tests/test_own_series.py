"""A series of one's own: read from CSV or Parquet, split by time without leakage, and cut into windows."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from unrolled.errors import DataError
from unrolled.own_data import scaling, texts
from unrolled.own_data.reading import READINGS, chosen_reading
from unrolled.own_data.scaling import ColumnScaling
from unrolled.own_data.series import known_rows, regressor_data
from unrolled.own_data.tables import read_table
from unrolled.own_data.texts import read_numbers


def csv(path: Path, rows: int = 200) -> Path:
    """Columns day (text), a = 0, 1, 2, …, and b = 1000 - row."""
    lines = ["day,a,b", *("day %d,%d,%d" % (row, row, 1000 - row) for row in range(rows))]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_chosen_columns_of_a_csv_file(tmp_path: Path) -> None:
    table = read_table(csv(tmp_path / "own.csv", 5), ["b", "a"])
    assert table.columns == ["b", "a"] and table.values.tolist() == [[1000 - row, row] for row in range(5)]
    (tmp_path / "one.csv").write_text("1.5\n-2e3\n")
    assert read_table(tmp_path / "one.csv").values.tolist() == [[1.5], [-2000.0]]
    (tmp_path / "excel.csv").write_bytes("\ufeffa;b\r\n1;2\r\n".encode())
    assert read_table(tmp_path / "excel.csv", ["a"]).values.tolist() == [[1.0]]


def test_parquet_is_read_as_csv_is(tmp_path: Path) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = pyarrow.table({"day": ["x", "y"], "a": pyarrow.array([1, 2], "int16"), "b": [0.5, None]})
    parquet.write_table(table, tmp_path / "own.parquet")
    assert read_table(tmp_path / "own.parquet", ["a"]).values.tolist() == [[1.0], [2.0]]
    with pytest.raises(DataError, match="row 1: column 'b' is missing"):
        read_table(tmp_path / "own.parquet", ["a", "b"])
    with pytest.raises(DataError, match="column 'day' holds string, expected numbers"):
        read_table(tmp_path / "own.parquet", ["day"])
    with pytest.raises(DataError, match="has the columns day, a, b; say which"):
        read_table(tmp_path / "own.parquet")
    content = (tmp_path / "own.parquet").read_bytes()
    (tmp_path / "own.parquet").write_bytes(content[:-20])
    with pytest.raises(DataError, match="no whole Parquet file"):
        read_table(tmp_path / "own.parquet", ["a"])


@pytest.mark.parametrize(
    ("text", "columns", "words"),
    [
        ("a,b\n1,2\n", None, "has the columns a, b; say which to predict with --target"),
        ("a,b\n1,2\n", ["c"], "has no column 'c', only a, b"),
        ("a,b\n1,2\n", ["a", "a"], "a column is named twice"),
        ("a,b\n1,2\n3,\n", ["b"], "line 3: column 'b' is empty, expected a finite number"),
        ("a,b\n1,2\n3,inf\n", ["b"], "line 3: column 'b' holds 'inf'"),
        ("a,b\n1,2\n3,4,5\n", ["b"], "line 3: has 3 cells, expected 2"),
        ('a,b\n1,"2\n', ["b"], "no comma-separated values"),
        ("", ["b"], "is empty"),
    ],
)
def test_a_table_that_cannot_be_used(tmp_path: Path, text: str, columns: list[str] | None, words: str) -> None:
    (tmp_path / "own.csv").write_text(text)
    with pytest.raises(DataError) as raised:
        read_table(tmp_path / "own.csv", columns)
    assert words in str(raised.value) and "\n" not in str(raised.value)


def test_no_target_leaves_its_part_and_windows_reach_back_for_what_they_read(tmp_path: Path) -> None:
    window, horizon = 7, 3
    table, shares = csv(tmp_path / "own.csv"), (0.2, 0.1)
    made = regressor_data(table, ["a", "b"], window, horizon, 1, *shares, scale=False, reading="level").made
    assert made.facts["split"] == {"train": [0, 140], "validation": [140, 180], "test": [180, 200]}
    for part, (first, last) in zip((made.train, made.validation, made.test), made.facts["split"].values(), strict=True):
        assert part is not None and part.lengths is None
        reach = 0 if first == 0 else window
        assert len(part.inputs) == last - first + reach - window - horizon + 1
        times = part.inputs[:, :, 0]  # column a is the time
        assert times.min() == first - reach and np.array_equal(times, times[:, :1] + np.arange(window))
        ahead = part.targets.reshape(len(part.targets), window, horizon, 2)
        assert ahead[..., 0].max() == last - 1  # nothing beyond the part is looked at
        assert ahead[:, -1, :, 0].min() >= first  # nor is anything before it forecast from a window's last step
        assert np.array_equal(ahead[..., 0], times[:, :, None] + np.arange(1, horizon + 1))
        assert np.array_equal(ahead[..., 1], 1000 - ahead[..., 0])
    assert (made.program.model.inputs, made.program.model.outputs, made.program.steps) == (2, 6, 7)


def test_the_scaling_knows_only_the_training_part(tmp_path: Path) -> None:
    found = regressor_data(csv(tmp_path / "own.csv"), ["a"], 7, 2, 3, 0.2, 0.1, reading="level")
    train, made, scaling = np.arange(140), found.made, found.scaling.inputs
    np.testing.assert_allclose([scaling.shift[0], scaling.scale[0]], [train.mean(), train.std()])
    assert made.facts["scaling"]["shift"] == [train.mean()]
    assert made.test is not None
    np.testing.assert_allclose(scaling.undo(made.test.inputs)[:, 0, 0], np.arange(173, 192), rtol=1e-6)
    assert made.train is not None  # a stride of 3 is for the training part alone
    np.testing.assert_allclose(scaling.undo(made.train.inputs)[:, 0, 0], np.arange(0, 132, 3), atol=1e-4)


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("reading", READINGS)
def test_what_is_read_and_predicted_is_undone(tmp_path: Path, reading: str, log: bool) -> None:
    values = np.exp(np.cumsum(np.random.default_rng(0).normal(0, 0.1, (80, 2)), axis=0))
    np.savetxt(tmp_path / "own.csv", values, delimiter=",", header="a,b", comments="", fmt="%.17g")
    found = regressor_data(tmp_path / "own.csv", ["a"], 6, 3, covariates=["b"], reading=reading, log=log)
    part = found.made.validation
    assert part is not None and part.inputs.shape[1:] == (6, 2) and part.targets.shape[1:] == (6, 3)
    first = found.made.facts["split"]["validation"][0]
    starts = first - 6 + np.arange(len(part.inputs))
    rows = starts[:, None] + np.arange(6)
    came = values[rows[..., None] + np.arange(1, 4)][..., 0]
    np.testing.assert_allclose(found.scaling.undo(part.targets, values[rows, :1]), came, rtol=1e-5)
    raised = np.exp(np.log(values) + 3) if log else values + 3  # another level is read as the same, but by "level"
    read = [found.scaling.read((np.log(each) if log else each)[rows]) for each in (values, raised)]
    np.testing.assert_allclose(part.inputs, read[0], atol=1e-5)
    assert np.allclose(read[0], read[1], atol=1e-4) == (reading != "level")


def test_the_reading_is_chosen_on_the_validation_part() -> None:
    time, noise = np.arange(200.0), np.random.default_rng(0).normal(size=(200, 1))
    assert chosen_reading(time[:, None], 180, 1) == "difference"
    assert chosen_reading(noise, 180, 1) == "level"
    late = np.concatenate([noise[:180], np.cumsum(noise[180:], axis=0) + 30])  # only the validation part wanders
    assert chosen_reading(late, 180, 1) == "difference"
    assert chosen_reading(np.cumsum(noise, axis=0), 200, 1) == "difference"  # there is no validation part


def test_no_logarithm_of_what_has_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="row 1: column 'a' holds 0, which has no logarithm"):
        regressor_data(csv(tmp_path / "own.csv"), ["a"], 7, 2, log=True)


def test_the_rows_seen_are_found_wherever_they_lie(tmp_path: Path) -> None:
    made = regressor_data(csv(tmp_path / "own.csv"), ["a", "b"], 7, 2, 1, 0.2, 0.1).made
    rows = np.arange(200.0)
    values, known = np.stack([rows, 1000 - rows], 1), made.facts["known"]
    assert known_rows(values, 180, known) == 0
    assert known_rows(np.concatenate([values[-60:], values]), 180, known) == 60
    assert known_rows(values[:180], 180, known) == 0 and known_rows(values[1:], 180, known) is None
    values[90, 0] += 1e-9
    assert known_rows(values, 180, known) is None


def test_a_value_too_far_for_float32_is_named(tmp_path: Path) -> None:
    rows = ["%d" % row for row in range(200)]
    rows[190] = "1e300"
    (tmp_path / "own.csv").write_text("\n".join(["a", *rows]) + "\n")
    with pytest.raises(DataError, match=r"row 191: column 'a' holds 1e.300, too far from the training part"):
        regressor_data(tmp_path / "own.csv", ["a"], 7, 2, 1, 0.2, 0.1)


@pytest.mark.parametrize(
    ("text", "words"),
    [("oops,1\n2,3\n", "line 1: holds numbers and 'oops'"), ("a,b\n1_000,2\n", "line 2: column 'a' holds '1_000'")],
)
def test_numbers_and_text_are_told_apart(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "own.csv").write_text(text)
    with pytest.raises(DataError) as raised:
        read_numbers(tmp_path / "own.csv")
    assert words in str(raised.value)


@pytest.mark.parametrize("piece", [1, 7, 64, 1 << 20])
@pytest.mark.parametrize(
    ("text", "columns"),
    [
        (b"day,a,b\n" + b"".join(b"d%d,%d,%d.5\n" % (row, row, -row) for row in range(50)), ["b", "a"]),
        (b"a;b\r\n\r\n" + b"".join(b"%d;%d.5\r\n" % (row, -row) for row in range(50)), ["b", "a"]),
        (b"a\tb\r" + b"".join(b"%d\t%d.5\r" % (row, -row) for row in range(50)), ["b", "a"]),
        (b'"a","b"\n' + b"".join(b'"%d",%d.5\n' % (row, -row) for row in range(50)), ["b", "a"]),
        (b"day,a,b\n" + b"".join(b'"a ""day""\n,\n",%d,%d.5\n' % (row, -row) for row in range(50)), ["b", "a"]),
        ("\ufeffday,a,b\n".encode() + "".join("é,%d, %d.5\n" % (row, -row) for row in range(50)).encode(), ["b", "a"]),
    ],
)
def test_a_text_is_the_same_wherever_it_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: bytes, columns: list[str], piece: int
) -> None:
    monkeypatch.setattr(texts, "_PIECE", piece)
    monkeypatch.setattr(texts, "_MOST_CELLS", 5)
    (tmp_path / "own.csv").write_bytes(text)
    expected = [[-row - 0.5 if row else 0.5, row] for row in range(50)]
    assert read_table(tmp_path / "own.csv", columns).values.tolist() == expected


@pytest.mark.parametrize("wrong", [b"x", b"", b"1,2", b"1e999", b"1_0", b'"1'])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("piece", [6, 1 << 20])
def test_a_wrong_line_is_named_wherever_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: bytes, piece: int, end: bytes
) -> None:
    monkeypatch.setattr(texts, "_PIECE", piece)
    lines = [b"a,b", b"", *[b"1,2"] * 100, b"3," + wrong, *[b"1,2"] * 20, b""]
    (tmp_path / "own.csv").write_bytes(end.join(lines))
    with pytest.raises(DataError, match="own.csv, line %d: " % (123 if b'"' in wrong else 103)):
        read_table(tmp_path / "own.csv", ["b"])


def test_a_line_or_a_row_without_an_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "_PIECE", 1 << 10)
    monkeypatch.setattr(texts, "_MOST_ROW", 1 << 14)
    (tmp_path / "own.csv").write_bytes(b"a,b\n1," + b"2" * (1 << 15) + b"\n")
    with pytest.raises(DataError, match="line 2: is longer than"):
        read_table(tmp_path / "own.csv", ["b"])
    (tmp_path / "own.csv").write_bytes(b"a,b\n1,2\n" + b'"\n",' * (1 << 14))
    with pytest.raises(DataError, match="no row ends in"):
        read_table(tmp_path / "own.csv", ["b"])


def test_a_wide_and_a_long_file_take_little_more_than_their_arrays(tmp_path: Path) -> None:
    names = ",".join("c%d" % column for column in range(99_999))
    (tmp_path / "wide.csv").write_text(names + "\n" + ",".join(["1"] * 99_999) + "\n")
    (tmp_path / "long.csv").write_bytes(b"a\n" + b"1\n" * 100_000)
    tracemalloc.start()
    try:
        assert read_table(tmp_path / "long.csv").values.shape == (100_000, 1)
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()
    assert read_table(tmp_path / "wide.csv", ["c99998"]).values.tolist() == [[1.0]]


def test_a_constant_column_is_only_shifted() -> None:
    found = ColumnScaling.fitted(np.full((5, 1), 0.1))
    assert found.scale.tolist() == [1.0] and np.abs(found.apply(np.full((2, 1), 0.1))).max() < 1e-7


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"window": 0}, "the window is 0, expected 1"),
        ({"window": 130, "horizon": 11}, "the training part has 140 rows, but .* need 141"),
        ({"window": 18, "horizon": 21}, "the test part has 20 rows, but .* need 21"),
        ({"validation_share": 0.6, "test_share": 0.4}, "shares?"),
        ({"horizon": 1 << 20}, "more than 2\\*\\*20 values per step"),
    ],
)
def test_settings_that_cannot_be_used(tmp_path: Path, settings: dict, words: str) -> None:
    given = {"validation_share": 0.2, "test_share": 0.1, **settings}
    with pytest.raises(DataError, match=words):
        regressor_data(csv(tmp_path / "own.csv"), ["a", "b"], **given)


@pytest.mark.parametrize("values", [None, {}, {"shift": [0.0], "scale": [0.0]}, {"shift": [0.0], "scale": [1.0, 1.0]}])
def test_a_scaling_that_was_altered_is_refused(values: object) -> None:
    with pytest.raises(DataError, match="numbers that can scale"):
        ColumnScaling.from_json(values, 1)


def test_what_is_measured_and_scaled_in_pieces_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(3, 2, (1000, 4)).astype(np.float32)
    whole = ColumnScaling.fitted(values)
    monkeypatch.setattr(scaling, "_AT_ONCE", 100)
    pieces = ColumnScaling.fitted(values)
    np.testing.assert_allclose(pieces.shift, whole.shift, rtol=1e-14)
    np.testing.assert_allclose(pieces.scale, whole.scale, rtol=1e-14)
    scaled = whole.apply(values.reshape(250, 4, 4))
    monkeypatch.undo()
    assert np.array_equal(scaled.reshape(1000, 4), whole.apply(values))


@pytest.mark.parametrize(
    ("text", "header", "names", "rows"),
    [
        ("2019,2020\n50.5,1.25\n51.5,-0.5\n", None, ["2019", "2020"], 2),  # years above fractions
        ("0,1\n3,4\n5,6\n", None, ["0", "1"], 2),  # pandas' own names
        ("0\n3\n5\n", None, ["0"], 3),
        ("7,9\n3.5,4\n", None, ["0", "1"], 2),
        ("0.5,1.5\n3.5,4.5\n", None, ["0", "1"], 2),
        ("2019,2020\n50.5,1.25\n", False, ["0", "1"], 2),
        ("7,9\n3.5,4\n", True, ["7", "9"], 1),
        ("a,b\n3.5,4\n", False, ["a", "b"], 1),
    ],
)
def test_a_header_of_numbers(text: str, header: bool | None, names: list[str], rows: int, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(text)
    found = read_table(tmp_path / "t.csv", names, header)
    assert found.columns == names and len(found.values) == rows
    assert found.header == (None if text.startswith("a") else rows < text.count("\n"))
