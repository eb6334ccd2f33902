"""A table's times: each after the one before, or one sentence; and columns that look as if they told them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from unrolled.errors import DataError
from unrolled.own_data import texts
from unrolled.own_data.series import regressor_data
from unrolled.own_data.tables import read_table
from unrolled.own_data.times import seconds_of

DAYS = [str(np.datetime64("2023-11-01") + day) for day in range(100)]


def table(path: Path, times: list[str], name: str = "day") -> Path:
    path.write_text("\n".join([name + ",a", *("%s,%d.5" % (time, row) for row, time in enumerate(times))]) + "\n")
    return path


@pytest.mark.parametrize(
    ("cell", "seconds"),
    [
        ("1970-01-02", 86400.0),
        ("1970/01/02", 86400.0),
        ("1970-02", 31 * 86400.0),
        ("1970-01-01T01:30", 5400.0),
        ("1970-01-01 01:30:00.25", 5400.25),
        ("1970-01-01T01:30:00Z", 5400.0),
        ("1970-01-01T01:30:00+01:00", 1800.0),
        ("1970-01-01T013000-0030", 7200.0),
        ("2023-02-31", None),
        ("31.12.2023", None),
        ("today", None),
        ("12", None),
    ],
)
def test_dates_and_timestamps(cell: str, seconds: float | None) -> None:
    assert seconds_of(cell) == seconds


@pytest.mark.parametrize("piece", [40, 1 << 20])
@pytest.mark.parametrize(
    ("times", "words"),
    [
        (DAYS, "day: 100 rows from 2023-11-01 to 2024-02-08, 1 day apart"),
        ([day.replace("-", "") for day in DAYS], "from 2023-11-01 to 2024-02-08, 1 day apart"),
        (["%d" % (1_700_000_000 + 600 * row) for row in range(100)], "from 1700000000 to 1700059400, 600 apart"),
        (["%d" % row for row in range(1900, 2000)], "from 1900 to 1999, 1 apart"),
        (["%s 06:30" % day for day in DAYS], "from 2023-11-01T06:30:00 to 2024-02-08T06:30:00, 1 day"),
        (
            ["%d-%02d" % (1990 + row // 12, 1 + row % 12) for row in range(100)],  # months differ, and are no gaps
            "from 1990-01-01 to 1998-04-01, 31 days apart",
        ),
        (DAYS[:40] + DAYS[47:], "mostly 1 day apart, but 1 rows are not, and line 42 is 8 days after the row before"),
    ],
)
def test_what_is_said_of_times_in_order(
    times: list[str], words: str, piece: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(texts, "_PIECE", piece)
    found = read_table(table(tmp_path / "t.csv", times), ["a"], time="day")
    assert found.columns == ["a"] and found.values[:, 0].tolist() == [row + 0.5 for row in range(len(times))]
    assert len(found.notes) == 1 and words in found.notes[0]


@pytest.mark.parametrize(
    ("times", "words"),
    [
        (
            DAYS[::-1],
            "column 'day' begins with the newest row, 2024-02-08, and ends with the oldest; turn the rows round",
        ),
        (DAYS[:50] + DAYS[60:] + DAYS[50:60], "line 92: column 'day' goes back from 2024-02-08 to 2023-12-21; sort"),
        ([DAYS[row] for row in np.random.default_rng(0).permutation(100)], "sort the rows by it"),
        (DAYS[:50] + DAYS[49:], "line 52: column 'day' has 2023-12-20 again; keep one row for each time"),
        (DAYS * 3, "has each time 3 times (line 102 goes on with 2023-11-01); several series cannot"),
        ([day for day in DAYS for _ in range(2)], "has each time 2 times (line 3 goes on with 2023-11-01); several"),
        ([*DAYS[:50], "12", *DAYS[50:]], "line 52: the time 'day' is '12', expected a date or timestamp such as"),
        (["1", "2", "2024-01-03"] * 40, "line 4: the time 'day' is '2024-01-03', expected numbers, dates"),
        (["31.12.2023"] * 100, "line 2: the time 'day' is '31.12.2023', expected numbers, dates such as 2024-05-31"),
    ],
)
def test_times_that_cannot_be_are_one_sentence(times: list[str], words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as raised:
        regressor_data(table(tmp_path / "t.csv", times), window=5, time="day")
    assert words in str(raised.value) and "\n" not in str(raised.value)


def test_a_time_is_not_read_as_a_value(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", DAYS)
    found = regressor_data(path, window=5, time="day")
    assert found.made.facts["columns"] == ["a"] and found.made.facts["time"] == "day"
    with pytest.raises(DataError, match="'day' is the time, and to be read as well"):
        read_table(path, ["day", "a"], time="day")
    with pytest.raises(DataError, match="has no column 'when', only day, a"):
        read_table(path, ["a"], time="when")


def test_times_of_parquet(tmp_path: Path) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    days = np.array(DAYS, "datetime64[D]")
    for kind in ("date32", "timestamp"):
        column = pyarrow.array(days if kind == "date32" else days.astype("datetime64[ns]"))
        written = pyarrow.table({"day": column, "a": np.arange(100.0)})
        parquet.write_table(written, tmp_path / "t.parquet")
        found = read_table(tmp_path / "t.parquet", time="day")
        assert found.notes == ["day: 100 rows from 2023-11-01 to 2024-02-08, 1 day apart"]
        assert "'day' looks like times" in read_table(tmp_path / "t.parquet", ["a"]).notes[0]
        parquet.write_table(written.slice(50).take(list(range(49, -1, -1))), tmp_path / "t.parquet")
        with pytest.raises(DataError, match="begins with the newest row"):
            read_table(tmp_path / "t.parquet", ["a"], time="day")


@pytest.mark.parametrize("unit", ["s", "zone"])
def test_a_column_of_parquet_that_nobody_asked_for_costs_a_hint_at_most(unit: str, tmp_path: Path) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    kind = pyarrow.timestamp("us", "No/Where") if unit == "zone" else pyarrow.timestamp("ms")
    beyond = pyarrow.array([0 if unit == "zone" else 1 << 60] * 20, pyarrow.int64()).cast(kind)
    parquet.write_table(pyarrow.table({"stamp": beyond, "a": np.arange(20.0)}), tmp_path / "t.parquet")
    found = read_table(tmp_path / "t.parquet", ["a"])
    assert found.values[:, 0].tolist() == list(range(20)) and not found.notes


@pytest.mark.parametrize("form", ["text", "categories", "large"])
@pytest.mark.parametrize("shown", [DAYS, [day.replace("-", "") for day in DAYS]])
def test_dates_as_text_in_parquet_are_read_as_the_hint_says(shown: list[str], form: str, tmp_path: Path) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "t.parquet"

    def write(days: Sequence[str | None]) -> None:
        cells = pyarrow.array(days, pyarrow.large_string() if form == "large" else pyarrow.string())
        cells = cells.dictionary_encode() if form == "categories" else cells
        parquet.write_table(pyarrow.table({"day": cells, "a": np.arange(float(len(days)))}), path, row_group_size=30)

    write(shown)
    assert "column 'day' looks like times; --time day" in read_table(path, ["a"]).notes[0]
    found = read_table(path, ["a"], time="day")
    assert found.values.tolist() == [[row] for row in range(100)]
    assert found.notes == ["day: 100 rows from 2023-11-01 to 2024-02-08, 1 day apart"]
    write(shown[::-1])
    with pytest.raises(DataError, match="begins with the newest row, 2024-02-08"):
        read_table(path, ["a"], time="day")
    for cell, words in (
        (None, "row 50: the time 'day' is missing"),
        ("later", "row 50: the time 'day' is 'later', exp"),
    ):
        write([*shown[:50], cell, *shown[51:]])
        with pytest.raises(DataError, match=words):
            read_table(path, ["a"], time="day")


@pytest.mark.parametrize(
    ("name", "cells", "words"),
    [
        ("day", DAYS, "column 'day' looks like times; --time day"),
        ("when", ["%d" % (1_700_000_000 + 600 * row) for row in range(50)], "column 'when' looks like times"),
        ("year", ["%d" % year for year in range(1900, 1950)], "column 'year' looks like times"),
        (
            "store",
            ["north"] * 30 + ["south"] * 30,
            "column 'store' holds text that repeats; if it tells several series",
        ),
        ("day", ["05/31/2024"] * 30, "'day' looks like dates in a form that is not read; as 2024-05-31 they are"),
        ("day", ["%d.12.23 10:15" % (1 + row) for row in range(30)], "dates in a form that is not read; as 2024-05-31"),
        ("day", ["May %d 2024" % (1 + row) for row in range(30)], "dates in a form that is not read; as 2024-05-31"),
        ("flow", ["%.1f" % row if row % 3 else "" for row in range(1, 50)], None),
        ("store_id", ["1"] * 30 + ["2"] * 30, "column 'store_id' looks like ids"),
        ("flow", ["%.1f" % (row * row) for row in range(50)], None),
        ("note", ["text %d" % row for row in range(50)], None),
        ("open", ["True", "False"] * 25, None),  # yes or no is no text that tells series apart
    ],
)
def test_a_column_that_looks_like_times_or_ids_is_named(
    name: str, cells: list[str], words: str | None, tmp_path: Path
) -> None:
    notes = read_table(table(tmp_path / "t.csv", cells, name), ["a"]).notes
    assert not notes if words is None else len(notes) == 1 and words in notes[0]


def test_a_series_itself_does_not_look_like_times(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a\n" + "".join("%d\n" % row for row in range(1, 101)))
    assert not read_table(tmp_path / "t.csv").notes
    (tmp_path / "t.csv").write_text("a\n" + "".join("%d\n" % row for row in range(1_700_000_000, 1_700_000_100)))
    assert not read_table(tmp_path / "t.csv").notes
