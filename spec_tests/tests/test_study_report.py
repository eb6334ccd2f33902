"""What a study says: its table, sentences and report, the report made anew, and two results files side by side."""

import copy
import itertools
from html.parser import HTMLParser

import pytest

from spec_tests.study import cost, findings, results, verdict
from spec_tests.study.showing import report, terminal_table
from spec_tests.study.store import Found

for package in ("scipy", "statsmodels", "jinja2"):
    pytest.importorskip(package, reason="%s is not installed (the extra `study`)" % package)

FIGURES = 8


@pytest.fixture
def found(whole_study):
    return results.numbers(whole_study[1])


class Page(HTMLParser):
    """Tags that were opened and not closed, what is loaded from elsewhere, ids, links within, and the tags."""

    def __init__(self, text):
        super().__init__()
        self.open, self.loaded, self.ids, self.links, self.tags = [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.tags.append(tag)
        if tag not in ("meta", "link", "br"):
            self.open.append(tag)
        self.loaded += [value for name, value in attributes if name in ("src", "href") and not value.startswith("#")]
        self.links += [value[1:] for name, value in attributes if name == "href" and value.startswith("#")]
        self.ids += [given["id"]] if "id" in given else []

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def without_spans(text):
    return text.replace("<span>", "").replace("</span>", "")


@pytest.fixture(scope="module")
def written(whole_study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    report.write(results.numbers(whole_study[1]), folder)
    return folder


def test_the_page_stands_alone_and_holds_every_figure_and_part(found, written):
    text = (written / "report.html").read_text("utf-8")
    page = Page(text)
    assert page.open == [] and page.loaded == ["data:,"] and "@import" not in text and "url(http" not in text
    assert len(page.ids) == len(set(page.ids)) and set(page.links) <= set(page.ids)
    assert page.tags.count("svg") == FIGURES == len(list((written / "figures").iterdir()))
    assert text.index("same accuracy") < text.index("<table")
    markdown = (written / "report.md").read_text("utf-8")
    for title in ("Parity", "Lockstep", "Accuracy, the same start", "Accuracy, own start", "Series", "Cost"):
        assert "<h2 id=" in text and ">%s</h2>" % title in text and "## %s\n" % title in markdown
    for line in markdown.splitlines():
        if line.startswith("!["):
            assert (written / line.partition("](")[2].rstrip(")")).is_file()
    lines = itertools.groupby(markdown.splitlines(), lambda line: line.startswith("|"))
    tables = [list(group) for is_row, group in lines if is_row]
    assert len(tables) == page.tags.count("table") + 1  # on the page the verdict is a list
    for _, below, *rows in tables:
        assert below == "|" + " --- |" * below.count("---") and rows


def test_a_report_made_anew_from_the_numbers_is_the_same(found, written, tmp_path):
    results.write(tmp_path / "results.json", results.plain(found))
    report.write(results.read(tmp_path), tmp_path / "anew")
    files = [path.relative_to(written) for path in written.rglob("*.*")]
    assert len(files) == 2 + FIGURES
    for name in files:
        assert (tmp_path / "anew" / name).read_bytes() == (written / name).read_bytes()


def test_what_a_page_shows_is_escaped(found, tmp_path, monkeypatch):
    monkeypatch.setattr(report.figures, "all_of", lambda results: {})
    wrong = copy.deepcopy(found)
    wrong["problems"] = ["<script>alert(1)</script>", "\x1b[31m\u202e[here](javascript:alert)"]
    wrong["left_out"] = {"other": "a | b <b>"}
    report.write(wrong, tmp_path)
    text = (tmp_path / "report.html").read_text("utf-8")
    assert "<script>" not in text and "&lt;script&gt;" in text and "a | b &lt;b&gt;" in without_spans(text)
    markdown = (tmp_path / "report.md").read_text("utf-8")
    assert r"a \| b &lt;b&gt;" in markdown and "<script>" not in markdown
    assert r"\x1b[31m\u202e[here]\(javascript:alert)" in markdown and r"\x1b[31m\u202e[here]" in text


def test_a_number_in_place_of_a_name_is_no_traceback(found, tmp_path, monkeypatch):
    monkeypatch.setattr(report.figures, "all_of", lambda results: {})
    wrong = copy.deepcopy(found)
    wrong["parity"][0]["title"] = 3
    with pytest.raises(ValueError, match="no attribute 'split'"):  # which the command tells in a sentence
        report.write(wrong, tmp_path)


def lines(results, place=0):
    return {line["question"]: line for line in verdict.of(results)[place]["lines"]}


def test_the_verdict_says_what_the_numbers_say(found):
    said = lines(found)
    worst = max(
        pair["relative"]
        for row in found["parity"]
        if row["dtype"] == "float64" and row["asks"] == "numbers"
        for pair in row["pairs"]
    )
    assert said["same numbers"]["verdict"] == "equivalent"
    assert "%s in float64" % findings.number(worst) in said["same numbers"]["by"]
    assert said["same training"]["verdict"] == "equivalent"
    assert "MNIST, RNN, 2 steps" in said["same training"]["by"] and "LSTM, 2 steps" in said["same training"]["by"]
    assert said["same accuracy"]["verdict"] == found["paired"]["pairs"][0]["verdict"] == "equivalent"
    assert said["faster"]["verdict"] == "NumPy " + found["backends"]["oracle"]["version"] + " (oracle)"
    assert "MNIST, RNN 2 times (2 to 2)" in said["faster"]["by"]
    (left,) = verdict.undecided(found)
    assert left.endswith(": accuracy from own initial values"), "two seeds decide nothing"


def test_numbers_have_two_digits_and_thousands_are_written_out():
    values = (None, 0, 1e-7, 0.314, 63.2, 1500.0, 1e5, 1.2e6, float("inf"))
    said = ["-", "0", "1.0e-07", "0.31", "63", "1,500", "100,000", "1.2e+06", "inf"]
    assert list(map(findings.number, values)) == said


def test_frameworks_are_named_with_their_versions_and_1_x_as_genuine():
    backends = {
        "a": {"framework": "PyTorch", "version": "2.15.0"},
        "b": {"framework": "TensorFlow", "version": "1.15.5"},
        "c": {"framework": "TensorFlow", "version": "2.21.0"},
        "d": {"framework": "PyTorch", "version": "2.15.0"},
        "e": {},
    }
    names = ["PyTorch 2.15.0 (a)", "genuine TensorFlow 1.15.5", "TensorFlow 2.21.0", "PyTorch 2.15.0 (d)", "e"]
    assert list(verdict.named(backends).values()) == names


def test_problems_tell_what_is_wrong(found):
    wrong = copy.deepcopy(found)
    wrong["parity"][0]["oracle"]["other"]["relative"] = 0.5
    wrong["parity"][0]["within"] = False
    wrong["lockstep"]["pairs"][0].update(ratio=1e6, verdict="more than rounding")
    wrong["initial"][0]["right"] = False
    problems = findings.problems(wrong)
    assert len(problems) == 3 and findings.problems(found) == []
    wrong["accuracy"]["pairs"][0]["verdict"] = "differs"
    assert "differ by more than" in findings.problems(wrong)[2]
    assert "other has an error of 0.5, above the limit of 2.0e-06" in problems[0]
    assert "1.0e+06 times as far as one unit in the last place explains" in problems[1]
    assert "does not draw" in problems[2]


@pytest.fixture
def decided(found):
    """The same, the accuracy from own initial values decided too."""
    copied = copy.deepcopy(found)
    for pair in copied["accuracy"]["pairs"]:
        pair["verdict"] = "equivalent"
    return dict(copied, verdict=verdict.of(copied))


def test_what_is_undecided_is_never_as_it_should_be(found, decided, tmp_path):
    assert verdict.undecided(decided) == []
    assert lines(found)["same accuracy"]["verdict"] == "equivalent"
    assert lines(found)["same accuracy"]["by"].endswith(", undecided")
    open_one = copy.deepcopy(decided)
    open_one["paired"]["pairs"][0]["verdict"] = "undecided"
    open_one["verdict"] = verdict.of(open_one)
    assert [line.rpartition(": ")[2] for line in verdict.undecided(open_one)] == ["same accuracy"]
    report.write_side_by_side({"here": decided, "there": open_one}, tmp_path)
    markdown = (tmp_path / "side-by-side.md").read_text("utf-8")
    assert "here: every question is decided." in markdown and "there: undecided: " in markdown


def test_a_partial_backend_and_one_that_crashes_leave_the_other_lines_as_they_are(found):
    three = copy.deepcopy(found)
    three["backends"] = {**three["backends"], "third": {"framework": "Third", "version": "1"}}
    before = lines(three)
    partial = lines(three, 1)
    assert {line["verdict"] for line in partial.values()} == {"not asked"}
    three["cells"] += [
        {"cell": "%s, third" % part, "part": part, "backend": "third", "status": "failed", "reason": "out of paper"}
        for part in ("parity", "lockstep", "paired", "accuracy")
    ]
    for row in three["parity"]:
        row["failed"]["third"] = "out of paper"
    three["cost"]["failed"]["third"] = "out of paper"
    assert lines(three) == before
    assert {line["verdict"] for line in lines(three, 1).values()} == {"undecided"}
    assert len([problem for problem in findings.problems(three) if "out of paper" in problem]) == 3


def test_every_row_of_the_table_has_a_value_for_each_backend_and_a_limit_where_there_is_one(found):
    rows = terminal_table.rows(found)
    parity = [row for row in rows if row.section == terminal_table.ERRORS]
    assert len(parity) == len(found["parity"]) and all(row.limit and all(row.values) for row in parity)
    titles = " ".join(row.name for row in rows)
    for expected in ("epoch 1: mean loss", "MSE near iteration", "1 ulp away", "90% interval", "training step"):
        assert expected in titles
    assert "ABOVE" not in terminal_table.text(found)


def test_two_results_side_by_side(found, decided, tmp_path):
    other = copy.deepcopy(found)
    other["machine"]["processor"] = "Another <Processor>"
    other["backends"]["newcomer"] = other["backends"].pop("other")
    other["problems"] = ["something is wrong"]
    other["verdict"] = []
    report.write_side_by_side({"here": decided, "there": other}, tmp_path)
    markdown = (tmp_path / "side-by-side.md").read_text("utf-8")
    assert "here: every question is decided." in markdown and "there: something is wrong." in markdown
    (processor,) = [line for line in markdown.splitlines() if line.startswith("| processor")]
    assert processor.count("|") == 4 and processor.endswith("Another &lt;Processor&gt; |")
    assert "Another &lt;Processor&gt;" in without_spans((tmp_path / "side-by-side.html").read_text("utf-8"))
    (facts,) = [line for line in markdown.splitlines() if line.startswith("| newcomer |")]
    assert facts.startswith("| newcomer |  | NumPy")


def test_a_timing_that_the_noise_swallowed_is_named_and_compared_with_nothing(found, tmp_path):
    noisy = {"start_s": [1.0], "first_step_s": [0.1], "mnist/predict": [-0.1, -0.2, 0.1]}
    quiet = dict(noisy, **{"mnist/predict": [0.1, 0.1, 0.2]})
    found["cost"] = cost.summarize(Found({"backends": {"oracle": noisy, "other": quiet}, "failed": {}}, {}))
    assert found["cost"]["ratios"] == []
    assert "below the noise" in terminal_table.text(found)
    halves = {"mnist/predict": [0.1, 0.1, 0.1, -0.2, -0.2], "mnist/step": [0.1, 0.1, 0.1, 0.1, -0.2]}
    medians = cost.summarize(Found({"backends": {"oracle": dict(noisy, **halves)}, "failed": {}}, {}))["backends"]
    assert medians["oracle"]["median_s"] == {"mnist/predict": None, "mnist/step": 0.1}
    report.write(found, tmp_path)
    assert "below the noise" in (tmp_path / "report.md").read_text("utf-8")
    report.write_side_by_side({"here": found, "there": found}, tmp_path)
