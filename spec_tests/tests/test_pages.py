"""The pages: no link is dead, each difference is shown by a test that exists, and their backends pass."""

import re
import shutil

import pytest

from spec_tests.tests.processes import ROOT, run

PAGES = [
    "README.md",
    "CHAPTER.md",
    "CONTRIBUTING.md",
    "spec_tests/DIFFERENCES.md",
    "spec_tests/NEW_BACKEND.md",
    "spec_tests/backends/PROTOCOL.md",
    "data/README.md",
    "spec_tests/COMPARISON.md",
    "torch_impl/FROM_TENSORFLOW.md",
    "torch_impl/PERFORMANCE.md",
    "torch_impl/TRAINING.md",
]
LINK = re.compile(r"\[(`?)([^]]+?)\1\]\(([^)\s]+)\)")


def links(page):
    return [(text, target) for _, text, target in LINK.findall((ROOT / page).read_text("utf-8"))]


@pytest.mark.parametrize("page", PAGES)
def test_no_link_is_dead(page):
    for text, target in links(page):
        if "://" in target:
            continue
        path = (ROOT / page).parent / target.partition("#")[0]
        assert path.exists(), "%s links to %s, which is not there" % (page, target)
        if text.startswith("test_") and path.suffix == ".py" and text != path.name:
            defined = re.search(r"^def %s\(" % re.escape(text), path.read_text("utf-8"), re.M)
            assert defined, "%s: there is no test %s in %s" % (page, text, target)


def test_each_difference_is_shown_by_a_test():
    text = (ROOT / "spec_tests" / "DIFFERENCES.md").read_text("utf-8")
    parts = re.split(r"^## (\d+)\. ", text, flags=re.M)[1:]
    numbers, paragraphs = [int(number) for number in parts[::2]], parts[1::2]
    assert numbers == list(range(1, len(numbers) + 1)) and len(numbers) >= 15
    for number, paragraph in zip(numbers, paragraphs):
        assert re.search(r"^- \[`test_", paragraph, re.M), "difference %d links to no test" % number


def python_blocks(page):
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text("utf-8"), re.S)


def test_the_readme_is_a_page_that_is_finished():
    lines = (ROOT / "README.md").read_text("utf-8").splitlines()
    assert len(lines) <= 130
    assert not [line for line in lines if len(line) > 100 and "](" not in line]


def suite(folder, *arguments):
    """pytest in a folder of the user's own: its exit status and output."""
    return run(folder, "-q", *arguments, path=[folder], OMP_NUM_THREADS="1")


def test_the_numpy_backend_passes_what_it_declares(tmp_path):
    command = "--unrolled-suite --backend mine:backend"
    assert "pytest %s\n" % command in (ROOT / "README.md").read_text("utf-8")
    shutil.copy(ROOT / "spec_tests" / "examples" / "numpy_backend.py", tmp_path / "mine.py")
    status, output = suite(tmp_path, *command.split())
    assert status == 0, output
    counted = re.search(r"(\d+) passed, (\d+) skipped", output)
    assert counted and int(counted[1]) > 100 < int(counted[2]), output


def test_the_backend_of_the_page_fails_as_told_and_passes_when_mended(tmp_path):
    first, mended = python_blocks("spec_tests/NEW_BACKEND.md")
    (tmp_path / "mine.py").write_text(first)
    arguments = ("--pyargs", "spec_tests.suite.test_in_top_k", "--backend", "mine:Mine")
    status, output = suite(tmp_path, *arguments)
    assert status == 1 and "found a miss, expected a hit" in output, output
    (tmp_path / "mine.py").write_text(first[: first.index("    def in_top_k")] + mended)
    status, output = suite(tmp_path, *arguments)
    assert status == 0, output


def test_the_jax_backend_passes_what_it_declares(tmp_path):
    pytest.importorskip("jax", reason="JAX is not installed (the extra `jax`)")
    selected = "in_top_k or static_dynamic or counting or one_step or decoding_stops or forget_bias or reset_gate"
    backend = "spec_tests.examples.jax_backend:backend"
    status, output = suite(tmp_path, "--unrolled-suite", "--backend", backend, "-k", selected)
    assert status == 0, output
