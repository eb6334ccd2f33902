"""`python -m spec_tests compare` and `report` as a user meets them: with processes, and with wrong input."""

import csv
import json
import os

import pytest
from click.testing import CliRunner

from spec_tests.study import command, workers
from spec_tests.tests.small_study import HERE

for package in ("scipy", "statsmodels", "jinja2"):
    pytest.importorskip(package, reason="%s is not installed (the extra `study`)" % package)

SHORT = ["--epochs", "0", "--iterations", "0", "--seeds", "0"]


def call(invoked, *arguments):
    """Exit status, standard output, standard error."""
    done = CliRunner().invoke(invoked, [str(argument) for argument in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


def compare(folder, *names, more=("--rounds", "0")):
    chosen = [argument for name in names for argument in ("--backend", "%s:%s" % (HERE, name))]
    return call(command.compare, *chosen, *SHORT, *more, "--output", folder)


@pytest.fixture(scope="module")
def studied(tmp_path_factory):
    folder = tmp_path_factory.mktemp("studied")
    copy = folder / "copy.json"
    return folder, copy, compare(folder, "Partial", "Second", more=("--rounds", "3", "--jobs", "2", "--json", copy))


def test_a_study_prints_its_verdict_and_table_and_leaves_a_report(studied):
    folder, copy, (status, out, err) = studied
    assert status == 0, out + err
    first = out.splitlines()
    place = next(number for number, line in enumerate(first) if line.startswith("NumPy") and " and NumPy" in line)
    questions = [line[2:15].strip() for line in first[place + 1 : place + 5]]
    assert questions == ["same numbers", "same training", "same accuracy", "faster"]
    assert first[place + 1].split()[2] == "equivalent" and "at most 0 in float32 apart" in first[place + 1]
    assert "two steps by hand, float32" in out and "Every question that was asked is decided" in out.splitlines()[-1]
    assert {path.name for path in folder.iterdir()} >= {
        "report.html",
        "report.md",
        "results.json",
        "cells",
        "copy.json",
    }
    results = json.loads(copy.read_text("utf-8"))
    assert copy.read_bytes() == (folder / "results.json").read_bytes()
    assert results["machine"]["jobs"] == 2 and set(results["cost"]["backends"]) == {"partial", "second"}
    assert results["cost"]["backends"]["partial"]["peak_bytes"] > 1e6
    assert "1/4" in err and "4/4 cost, all backends" in err


def test_the_same_command_again_repeats_nothing(studied):
    folder = studied[0]
    before = json.loads((folder / "results.json").read_text("utf-8"))
    status, _, err = compare(folder, "Partial", "Second", more=("--rounds", "3", "--jobs", "2"))
    assert status == 0 and "4 of 4 pieces are here from an earlier run and are kept" in err
    after = json.loads((folder / "results.json").read_text("utf-8"))
    assert dict(after, seconds=0) == dict(before, seconds=0)


def test_report_makes_the_pages_anew_and_sets_two_side_by_side(studied, tmp_path):
    folder, copy, _ = studied
    status, out, err = call(command.report, folder, "--output", tmp_path)
    assert status == 0, err
    for name in ("report.html", "report.md"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()
    status, out, err = call(command.report, folder, copy, "--output", tmp_path)
    assert status == 0 and (tmp_path / "side-by-side.html").is_file() and "side-by-side.md" in out


def test_tables_are_written_as_csv_and_latex_on_request(studied, tmp_path):
    status, _, err = call(command.report, studied[0], "--csv", "--latex", "--output", tmp_path)
    assert status == 0, err
    names = {path.name for path in (tmp_path / "tables").iterdir()}
    assert {"1-verdict-1.csv", "1-verdict-1.tex", "2-parity-1.csv"} <= names
    with (tmp_path / "tables" / "2-parity-1.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))
    assert rows[0][:2] == ["behaviour", "partial"] and "two steps by hand" in [row[0] for row in rows]
    text = (tmp_path / "tables" / "2-parity-1.tex").read_text("utf-8")
    assert text.startswith("% float32: ") and "\\toprule" in text and r"in\_top\_k" in text
    status, _, err = call(command.report, studied[0], studied[1], "--csv")
    assert status == 2 and "name one RESULTS" in err


def test_an_error_above_its_limit_ends_with_status_1_and_says_which(tmp_path):
    status, out, err = compare(tmp_path, "Partial", "Wrong")
    assert status == 1 and "ABOVE" in out and "Every error" not in out
    assert "two steps by hand in float32: wrong has an error of" in err
    assert "| same numbers | differs |" in (tmp_path / "report.md").read_text("utf-8")
    assert "| same training | not asked |" in (tmp_path / "report.md").read_text("utf-8")


def test_jobs_are_as_many_as_cpus_but_few_where_none_are_asked_for(monkeypatch, tmp_path):
    monkeypatch.setattr(workers, "shares", lambda jobs: [list(range(3 // jobs))] * jobs)
    assert command._jobs("cpu", "local") == 3
    assert command._jobs("cuda", "local") == command._jobs("cpu", "ray") == 1  # pieces would share what is timed
    monkeypatch.setattr(workers, "shares", lambda jobs: [list(range(64 // jobs))] * jobs)
    assert command._jobs("cpu", "local") == command.MOST_JOBS
    monkeypatch.undo()
    status, _, err = compare(tmp_path, "Partial")
    assert status == 0, err
    used = json.loads((tmp_path / "results.json").read_text("utf-8"))["machine"]["jobs"]
    assert used == min(command.MOST_JOBS, len(os.sched_getaffinity(0)))


def damaged(folder, **changes):
    """A results.json with other contents, None to leave an entry out."""
    results = json.loads((folder / "results.json").read_text("utf-8"))
    results.update(changes)
    return {name: value for name, value in results.items() if value is not None}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lambda folder: '{"schema": ', "is not JSON, or damaged"),
        (lambda folder: "[" * 100_000, "is not JSON, or damaged"),
        (lambda folder: "[1, 2]", "has the schema None, expected 'unrolled.study/3'"),
        (lambda folder: json.dumps(damaged(folder, schema="unrolled.study/9")), "has the schema 'unrolled.study/9'"),
        (lambda folder: json.dumps(damaged(folder, parity=None)), "lacks parity"),
        (lambda folder: json.dumps(damaged(folder, parity=[{"title": "a"}])), "does not hold together"),
        (lambda folder: json.dumps(damaged(folder, machine=3)), "does not hold together"),
        (lambda folder: None, "cannot be read (No such file or directory)"),
    ],
)
def test_a_results_file_that_cannot_be_used_is_one_sentence(studied, tmp_path, content, said):
    file, text = tmp_path / "results.json", content(studied[0])
    if text is not None:
        file.write_text(text)
    for arguments in ([file], [file, studied[0]]):
        status, _, err = call(command.report, *arguments, "--output", tmp_path / "out")
        assert status == 1 and err.startswith("Error: %s" % file) and said in err and err.count("\n") == 1, err
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--backend", "no_such_backend"], 1, "unknown backend 'no_such_backend'"),
        (["--backend", "oracle", "--backend", ""], 1, "an empty name"),
        (["--backend", "oracle@/no/python"], 1, "there is no program '/no/python'"),
        (["--backend", "oracle@"], 1, "backend 'oracle@': expected NAME@PYTHON"),
        (["--quick", "--full"], 2, "--quick and --full: name one profile"),
        (["--backend", "oracle", "--device", "cuda"], 1, "the oracle is NumPy"),
        (["--backend", "oracle", "--jobs", "0"], 2, "--jobs"),
        (["--backend", "oracle", "--margin", "-1"], 2, "--margin"),
        (["--backend", "oracle", "--margin", "nan"], 2, "--margin"),
        (["--backend", "oracle", "--limit", "nan"], 2, "--limit"),
        (["--executor", "moon"], 2, "--executor"),
        (["--json", "no/such/folder.json"], 2, "there is no folder"),
    ],
)
def test_wrong_options_are_one_sentence(tmp_path, monkeypatch, arguments, status, said):
    monkeypatch.chdir(tmp_path)
    found, _, err = call(command.compare, *SHORT, "--rounds", "0", *arguments)
    assert found == status and said in err and "Traceback" not in err
    assert not list(tmp_path.rglob("*.html"))


def test_a_folder_that_cannot_be_used_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    status, _, err = compare(tmp_path / "file" / "below", "Partial")
    assert status == 1 and "cannot be used (Not a directory)" in err and err.count("\n") == 1
    status, _, err = compare(tmp_path / "file", "Partial")
    assert status == 2 and "--output" in err
    (tmp_path / "locked" / ".lock").mkdir(parents=True)
    status, _, err = compare(tmp_path / "locked", "Partial")
    assert status == 1 and "cannot be used (Is a directory)" in err and err.count("\n") == 1


@pytest.mark.parametrize("package", ["statsmodels", "matplotlib"])
def test_a_missing_package_is_named_before_anything_is_measured(package, tmp_path, monkeypatch):
    found = command.importlib.util.find_spec
    without = lambda name: None if name == package else found(name)  # noqa: E731
    monkeypatch.setattr(command.importlib.util, "find_spec", without)
    for status, _, err in (compare(tmp_path / "out", "Partial"), call(command.report, tmp_path / "results.json")):
        assert status == 1 and package + " not installed" in err and "pip install 'unrolled[study]'" in err
    assert not (tmp_path / "out").exists()


def test_a_pipe_or_a_device_is_no_results_file(tmp_path):
    os.mkfifo(str(tmp_path / "pipe.json"))
    (tmp_path / "zero.json").symlink_to("/dev/zero")
    for name in ("pipe.json", "zero.json"):
        status, _, err = call(command.report, tmp_path / name)
        assert status == 1 and "cannot be read (not a regular file)" in err and err.count("\n") == 1
