"""`python -m spec_tests conform`: the matrix on the terminal and as JSON, Markdown and HTML, and what it refuses."""

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from spec_tests.backends.loading import Selection
from spec_tests.conformance import matrix, report
from spec_tests.conformance.environments import command, environments
from spec_tests.conformance.matrix import Verdict
from spec_tests.differences import differences
from spec_tests.oracle.backend import OracleBackend

ROOT = Path(__file__).resolve().parents[2]
IN_TOP_K = ("test_in_top_k",)
NASTY = "spec_tests.tests.nasty:"
MINE = """
from spec_tests.oracle.backend import OracleBackend

class Mine(OracleBackend):
    name = "mine"
    capabilities = frozenset(["in_top_k", "float32"])

class Known(Mine):
    name = "known"
    differences = {"test_a_tie_is_a_hit": "ties go to <the first>; mended here"}
    def __init__(self):
        self.expected_failures = {"test_all_classes_tied_are_all_hits": "a | tie <b>"}
    def in_top_k(self, logits, targets, k=1):
        return super().in_top_k(logits, targets, k) & (logits.std(axis=1) > 0)

class Empty(Mine):
    name = "empty"
    capabilities = frozenset(["tanh"])
"""


# The command with these files of the suite alone: collecting all of it takes seconds in each process.
FEW = "from spec_tests.conformance import matrix; matrix.FILES = [f for f in matrix.FILES if f.stem in %r]; "
FEW += "from spec_tests.__main__ import main; main()"


def conform(folder, *arguments, files=(), **environment):
    """The command in that folder: exit status, standard output, standard error."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200", **environment}
    command = [sys.executable, *(["-c", FEW % (files,)] if files else ["-m", "spec_tests"]), "conform", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """Another project's folder, whose own pytest settings would fail any run that heeds them."""
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "mine.py").write_text(MINE)
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
    (folder / "conftest.py").write_text("raise RuntimeError('not for the suite')\n")
    return folder


@pytest.fixture(scope="module")
def ran(elsewhere):
    """One run with a right backend, one that misses ties, one that offers a part, and one with a known failure."""
    pytest.importorskip("jinja2", reason="Jinja2 is not installed (the extra `report`)")
    names = ["oracle", "spec_tests.oracle.faults:ties_missed", "mine:Mine", "mine:Known"]
    arguments = [argument for name in names for argument in ("--backend", name)]
    arguments += ["-k", "a_tie_is_a_hit or classes_tied or chapter_batch"]
    arguments += ["--json", "m.json", "--markdown", "m.md", "--html", "m.html"]
    status, output, errors = conform(elsewhere, *arguments, PYTEST_ADDOPTS="--no-such-option")
    assert status == 1, output + errors
    return output, json.loads((elsewhere / "m.json").read_text("utf-8"))


def row_of(results, behaviour):
    (row,) = (row for row in results["behaviours"] if row["name"] == behaviour)
    return row["cells"]


def test_the_matrix_counts_by_behaviour_and_backend(ran):
    _, results = ran
    assert results["schema"] == matrix.SCHEMA
    assert list(results["backends"]) == ["oracle", "ties_missed", "mine", "known"]
    top_k = {name: cell["counts"] for name, cell in row_of(results, "in_top_k").items()}
    assert top_k["oracle"]["failed"] == 0 < top_k["oracle"]["passed"]
    assert top_k["ties_missed"]["failed"] > 0 < top_k["ties_missed"]["passed"]
    assert top_k["mine"]["not offered"] == 0 < top_k["mine"]["passed"]
    assert row_of(results, "two_step")["mine"]["counts"]["not offered"] == 2
    assert top_k["known"]["known failure"] > 0 == top_k["known"]["failed"]
    for row in results["behaviours"]:
        totals = {sum(cell["counts"].values()) for cell in row["cells"].values()}
        assert len(totals) == 1, "%s: another number of tests for each backend" % row["name"]


def test_capabilities_stand_in_groups_with_what_their_tests_showed(ran):
    output, results = ran
    assert re.search(r"\nmodels:\nin_top_k +\d+ passed +4 FAILED, \d+ passed +\d+ passed +\d known failure, ", output)
    assert re.search(r"\nnetworks:\nbasic_rnn +2 passed +2 passed +not offered +not offered\nlstm +not run ", output)
    groups = [row["group"] for row in results["capabilities"]]
    assert list(dict.fromkeys(groups)) == ["networks", "activations", "unrolling", "models", "precisions"]
    assert groups == sorted(groups, key=list(dict.fromkeys(groups)).index)


def test_the_largest_error_stands_beside_its_limit(ran):
    output, results = ran
    cell = row_of(results, "two_step")["oracle"]
    assert cell["largest"]["quantity"] == "outputs" and 0 < cell["largest"]["error"] <= cell["largest"]["limit"]
    assert re.search(r"two_step .*\n +\d\.\de-\d\d of 2e-06 ", output)
    named = {(row["quantity"], row["dtype"]) for row in results["errors"]}
    assert named == {("outputs", "float32"), ("outputs", "float64")}
    assert all(set(row["errors"]) == {"oracle", "ties_missed"} for row in results["errors"])


def test_a_failure_is_told_in_a_sentence(ran):
    output, results = ran
    tests = {one["test"] for one in results["failures"]}
    assert "test_a_tie_is_a_hit" in tests and {one["backend"] for one in results["failures"]} == {"ties_missed"}
    assert re.search(
        r"ties_missed failed 4 tests, by cause:\n(.|\n)*found a miss, expected a hit\n    in test_a_tie",
        output,
    )
    assert "1 of 4 backends failed tests: ties_missed in " in output
    (known,) = {one["reason"] for one in results["known_failures"]}
    assert known == "a | tie <b>"


def test_the_markdown_is_tables_of_equal_width(ran, elsewhere):
    lines = (elsewhere / "m.md").read_text("utf-8").splitlines()
    headers = [i for i, line in enumerate(lines) if line.startswith("| ---")]
    assert len(headers) == 4
    for i in headers:
        width = lines[i].count("|")
        for line in lines[i - 1 : lines.index("", i)]:
            assert len(re.findall(r"(?<!\\)\|", line)) == width, line
    assert "a | tie <b>" in "\n".join(lines)


class Page(HTMLParser):
    """What a page would load, where it leads, and its open tags."""

    def __init__(self):
        super().__init__()
        self.loads, self.leads, self.tags, self.seen = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        if tag not in ("meta", "link", "input"):
            self.tags.append(tag)
        found = self.leads if tag == "a" else self.loads
        found += [value for name, value in attrs if name in ("src", "href") and not value.startswith("data:")]

    def handle_endtag(self, tag):
        assert self.tags.pop() == tag


def test_the_page_is_whole_escaped_and_loads_nothing(ran, elsewhere):
    text = (elsewhere / "m.html").read_text("utf-8")
    page = Page()
    page.feed(text)
    assert page.tags == [] and page.loads == [] and "script" not in page.seen and "url(" not in text
    assert "a | tie &lt;b&gt;" in text and "@media print" in text and "1 of 4 backends failed" in text


def test_what_is_known_is_joined_with_the_page_of_differences(ran, elsewhere):
    """By the name of the test: what it is about, why it matters, and a link that leads to the page's heading."""
    text = (elsewhere / "m.html").read_text("utf-8")
    page = Page()
    page.feed(text)
    paths = {(elsewhere / lead.partition("#")[0]).resolve() for lead in page.leads}
    assert paths == {ROOT / "spec_tests" / "DIFFERENCES.md"}
    assert {lead.partition("#")[2] for lead in page.leads} <= {each.anchor for each in differences()}
    leading = text[text.index("<h2>What differs") : text.index("<h2>Backends by family")]
    assert "<h3>in_top_k</h3>" in leading and "so a tie is a hit" in leading and "a | tie &lt;b&gt;" in leading
    assert "ties go to &lt;the first&gt;" in leading


def test_the_families_unfold_without_a_script(ran, elsewhere):
    """Every column that a checkbox unfolds has a cell in each row, under a rule of the style sheet."""
    _, results = ran
    text = (elsewhere / "m.html").read_text("utf-8")
    assert [family["name"] for family in results["families"]] == ["RNN"]
    (family,) = results["families"]
    assert [each["name"] for each in family["behaviours"]] == ["in_top_k", "two_step"]
    assert "main:has(#unfold-1:checked) .of-1 { display: table-cell; }" in text and 'id="unfold-1"' in text
    assert len(re.findall(r"<t[hd][^>]* of-1[ \"]", text)) == 2 * (1 + len(results["backends"]))


@pytest.mark.parametrize(
    ("needs", "family"),
    [
        ([], "RNN"),
        (["basic_rnn", "tanh"], "RNN"),
        (["lstm", "projection"], "LSTM"),
        (["keras_gru"], "GRU"),
        (["lstm", "gru", "layers"], "structures"),
        (["gru", "lstm"], "GRU"),
    ],
)
def test_a_test_is_of_one_family(needs, family):
    assert matrix.family_of(needs) == family


def test_the_page_says_how_its_environments_are_made():
    def backend(asked, framework, version, python, **more):
        facts = dict(framework=framework, version=version, python=python, **more)
        return {"asked": asked, "facts": facts}

    backends = {
        "torch.nn": backend("torch.nn", "PyTorch", "2.14.1+cu130", "3.11.7"),
        "keras.jax@py3.12": backend("keras.jax@k/bin/python", "Keras", "3.15.1", "3.12.1", on="jax 0.10.2"),
        "old": backend("tf_reference@my tf/bin/python", "TensorFlow", "1.15.5", "3.7.16"),
        "mine": backend("mine:Mine", "own", "1", "3.11.7"),
    }
    results = {"backends": backends, "left_out": ["test_mnist.py"], "expression": "", "device": "cpu"}
    here, keras, old = environments(results)
    assert here.backends == ["torch.nn", "mine"]
    assert here.lines == ["pip install 'unrolled[test,report]' torch==2.14.1"]
    assert keras.lines == ["python3.12 -m venv k", "k/bin/pip install numpy keras==3.15.1 jax==0.10.2"]
    pins = "tensorflow==1.15.5 'protobuf<3.21' 'numpy<1.19'"
    assert old.lines == ["python3.7 -m venv 'my tf'", "'my tf'/bin/pip install " + pins]
    said = command(results, "m.html")
    assert said.startswith("python -m spec_tests conform --quick --backend torch.nn --backend keras.jax@k/bin/python ")
    assert "--backend 'tf_reference@my tf/bin/python' " in said and said.endswith(" --html m.html")


def test_a_backend_that_passes_ends_with_status_0_and_writes_no_more_than_asked(elsewhere):
    before = sorted(elsewhere.iterdir())
    status, output, errors = conform(elsewhere, "-k", "a_tie_is_a_hit", UNROLLED_BACKENDS="mine:Mine")
    assert status == 0, output + errors
    assert "mine passes every test that was run of what it offers." in output
    assert [path for path in sorted(elsewhere.iterdir()) if path.name != "__pycache__"] == [
        path for path in before if path.name != "__pycache__"
    ]


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--backend", "nobody"], 1, "Error: --backend: unknown backend 'nobody'"),
        (["--backend", ""], 1, "an empty name"),
        (["--backend", "mine:Mine", "--backend", ""], 1, "an empty name"),
        (["--backend", "mine:Mine", "--device", "cuda"], 1, "the oracle is NumPy"),
        (["--backend", "mine:Mine", "-k", "no_such_test"], 1, "no test of the suite matches 'no_such_test'"),
        (["--backend", "mine:Mine", "-k", "and and"], 1, "the suite could not be run: "),
        (["--backend", "mine:Empty", "-k", "tie"], 1, "nothing was tested of empty"),
        (["--backend", "mine:Mine", "--json", "no/such/m.json"], 2, "there is no folder"),
        (["--backend", "mine:Mine", "--html", "."], 2, "is a directory"),
        (["--backend", "mine:Mine", "--keep", "mine.py/kept"], 2, "mine.py/kept cannot be made (Not a directory)"),
    ],
    ids=[
        "unknown",
        "empty",
        "empty beside another",
        "device",
        "no test",
        "no expression",
        "nothing",
        "folder",
        "file",
        "keep",
    ],
)
def test_wrong_input_is_one_sentence(elsewhere, arguments, status, said):
    found, output, errors = conform(elsewhere, *arguments)
    assert (found, said in errors) == (status, True), output + errors
    assert "Traceback" not in output + errors


def a_backend(name):
    backend = OracleBackend()
    backend.name = name
    return backend


def difference(relative):
    return {"quantity": "outputs", "dtype": "float32", "tensor": "outputs", "relative": relative, "limit": 1e-6}


def test_the_gravest_outcome_decides_and_an_infinite_error_is_written():
    verdicts = [
        Verdict("a", "cell", "test_x", "1", "passed", "", [difference(1e-9), difference(3e-7)]),
        Verdict("a", "cell", "test_x", "2", "failed", "it is off", [difference(float("inf"))]),
        Verdict("b", "cell", "test_x", "1", "passed", "", [difference(2e-7)]),
        Verdict("b", "cell", "test_x", "2", "known failure", "as told", [difference(float("inf"))]),
    ]
    found = matrix.matrix(Selection([a_backend("a"), a_backend("b")], {}), verdicts, {"cell": "the cell"})
    (row,) = found["behaviours"]
    assert [report.verdict(row["cells"][name]["counts"]) for name in "ab"] == ["failed", "known failure"]
    assert row["cells"]["a"]["largest"] == {
        "quantity": "outputs", "dtype": "float32", "error": "infinite", "limit": 1e-6
    }  # fmt: skip
    assert found["errors"][0]["errors"] == {"a": "infinite", "b": 2e-7}
    json.dumps(found, allow_nan=False)


@pytest.fixture(scope="module")
def nasty(tmp_path_factory):
    """A backend that does everything wrong, in this Python and under another, one that dies at once, and a right one:
    what was printed, and the results."""
    folder = tmp_path_factory.mktemp("nasty")
    names = [NASTY + name for name in ("Nasty", "Nasty@" + sys.executable, "dies_at_once")]
    arguments = [argument for name in [*names, "mine:Mine"] for argument in ("--backend", name)]
    (folder / "mine.py").write_text(MINE)
    arguments += ["-k", "tie", "--json", "m.json", "--markdown", "m.md"]
    status, output, errors = conform(folder, *arguments, files=IN_TOP_K, UNROLLED_WORKER_SECONDS="5")
    assert status == 1 and "Traceback" not in errors, output + errors
    assert "\x1b" not in output + (folder / "m.md").read_text("utf-8")
    return output, json.loads((folder / "m.json").read_text("utf-8"))


def test_whatever_a_backend_does_it_costs_itself_alone(nasty):
    output, results = nasty
    assert [name.split("@")[0] for name in results["backends"]] == ["nasty", "nasty", NASTY + "dies_at_once", "mine"]
    here, there, dead, mine = results["backends"].values()
    wholes = [sum(backend["counts"].values()) for backend in (here, there, mine)]
    assert wholes == [11] * 3, "every row is whole"
    assert mine["counts"]["failed"] == 0 < mine["counts"]["passed"] and not mine["lost"]
    # What it does to its arguments is seen by the worker, and in this Python by the tests that ask for it.
    assert (here["counts"]["failed"], there["counts"]["failed"]) == (5, 6)
    assert dead["lost"].startswith("was killed by SIGABRT before the first test; its last words")
    assert "%sdies_at_once was given up: was killed by SIGABRT" % NASTY in output
    assert "2 of 4 backends failed tests: nasty in 5, nasty@" in output
    assert "1 of 4 could not be tested to the end: %sdies_at_once." % NASTY in output


@pytest.mark.parametrize("where", ["in this process", "in another"])
def test_what_it_did_is_told_in_sentences(nasty, where):
    _, results = nasty
    name = list(results["backends"])[where == "in another"]
    told = "\n".join(one["reason"] for one in results["failures"] if one["backend"] == name)
    for said in {
        "in this process": (
            "the backend did not come back within 5 seconds (UNROLLED_WORKER_SECONDS sets the limit) and was killed in "
            "the middle of this test; it was here:\n  File",
            "killed by SIGABRT in the middle of this test; its last words:\nFatal Python error: Aborted\n  File",
            "the backend ended its process with status 3 in the middle of this test",
            "nasty: in_top_k returned a list of 4, expected bool [4]",
            r"RuntimeError: half a character: \ud800, and an escape: \x1b[2J",
        ),
        "in another": (
            "did not finish in_top_k within 5 seconds and was killed (UNROLLED_WORKER_SECONDS sets the limit)",
            "was killed by SIGABRT in the middle of in_top_k; its last words:\n",
            "ended with status 3 in the middle of in_top_k; its last words:\ngood bye",
            "in_top_k returned a list of 4, expected bool [4]",
            r"in_top_k raised RuntimeError: half a character: \ud800, and an escape: \x1b[2J",
            "in_top_k has modified targets, but no argument is ever modified",
        ),
    }[where]:
        assert said in told, told


def test_two_names_of_one_backend_are_two_rows(elsewhere):
    arguments = ["--backend", "oracle", "--backend", "spec_tests.oracle.backend:backend", "-k", "a_tie_is_a_hit"]
    status, output, errors = conform(elsewhere, *arguments, files=IN_TOP_K)
    assert status == 0, output + errors
    assert "All 2 backends pass every test that was run of what they offer." in output


def test_a_conclusion_says_what_is_so():
    """No backend passes everything where failures of it are known."""

    def said(**counts):
        none = {"failed": 0, "known failure": 0}
        backends = {name: {"counts": dict(none, **each), "lost": ""} for name, each in counts.items()}
        return report.conclusion({"backends": backends, "left_out": [], "expression": ""})

    assert said(a={}, b={}) == "All 2 backends pass every test of what they offer."
    known = said(a={}, b={"known failure": 2})
    assert known == "All 2 backends pass every test of what they offer, but for known failures: 2 of b."
    failed = said(a={"failed": 3}, b={"known failure": 2})
    assert failed == "1 of 2 backends failed tests: a in 3. Known failures: 2 of b."
