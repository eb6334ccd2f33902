"""The commands and the Python of the pages: each exists, and runs here, or says above it what it needs."""

import importlib
import shlex

import click
import pytest

from spec_tests.tests import page_runs
from spec_tests.tests.processes import ROOT

# Pages whose code is run elsewhere: it is taken from tested source, or each block is a reproduction.
ELSEWHERE = {"CHAPTER.md": "test_chapter", "spec_tests/DIFFERENCES.md": "test_field"}
PAGES = sorted(
    page.relative_to(ROOT).as_posix()
    for place in (".", "data", "spec_tests", "tf_reference", "torch_impl", "unrolled")
    for page in (ROOT / place).glob("*.md" if place == "." else "**/*.md")
    if page.relative_to(ROOT).as_posix() not in ELSEWHERE
)


def door(room):
    """The click group that `python -m ROOM` opens."""
    module = importlib.import_module(room + ".__main__")
    return module.main if isinstance(module.main, click.Group) else module.make_group()


def check(command, words, parent=None):
    """That the command, its options and the choices it was given exist; whether files do is another matter."""
    context = click.Context(command, parent=parent, info_name=command.name)
    if hasattr(command, "otherwise") and words[0] not in command.commands:
        return check(command.otherwise, words, parent)
    if isinstance(command, click.Group):
        command.parse_args(context, list(words))
        waiting = [*context._protected_args, *context.args]  # where a group puts what its commands take
        _, inner, rest = command.resolve_command(context, waiting)
        return check(inner, rest, context)
    given, _, _ = command.make_parser(context).parse_args(list(words))
    for parameter in command.params:
        if isinstance(parameter.type, click.Choice) and parameter.name in given:
            parameter.type_cast_value(context, given[parameter.name])
    return None


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_exists(page):
    for block in page_runs.blocks(page):
        for words in block.commands() if block.language == "sh" else ():
            for room, arguments in page_runs.ours(words):
                try:
                    check(door(room), arguments)
                except click.ClickException as error:
                    pytest.fail("%s: %s: %s" % (page, shlex.join(words), error.format_message()))


@pytest.mark.parametrize("page", PAGES)
def test_a_test_that_runs_a_block_exists(page):
    for block in page_runs.blocks(page):
        if block.mark == "test":
            path, _, name = block.value.partition("::")
            assert (ROOT / path).exists(), "%s: there is no %s" % (page, path)
            assert not name or "def %s(" % name in (ROOT / path).read_text("utf-8"), "%s has no %s" % (path, name)


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_shows_runs(page, tmp_path):
    pytest.importorskip("torch", reason="the pages' commands are mostly of torch_impl")
    blocks = [block for block in page_runs.blocks(page) if block.mark not in ("needs", "test")]
    lacking = [module for block in blocks for module in page_runs.missing(block)]
    if lacking:
        pytest.skip("%s shows what needs %s" % (page, ", ".join(lacking)))
    if blocks:
        runner = page_runs.Runner(tmp_path)
        page_runs.make_files(runner.folder)
    for block in blocks:
        runner.run(block)


def test_a_block_that_fails_is_seen(tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    monkeypatch.setattr(page_runs, "ROOT", tmp_path)
    for text, said in (
        ("```sh\nls\nls nowhere\n```\n", r"line 1: ls nowhere: status [12]\n.*nowhere"),
        ("```python\nx = 1\n```\n\n```python\nassert x == 2\n```\n", r"(?s)line 5: .*AssertionError"),
    ):
        page.write_text(text)
        runner = page_runs.Runner(tmp_path / str(len(text)))
        with pytest.raises(AssertionError, match=said):
            for block in page_runs.blocks("page.md"):
                runner.run(block)


def test_a_command_that_does_not_exist_is_seen():
    for words in (
        ["shwo"],
        ["show", "length"],
        ["train", "mnist", "--epoch-number", "3"],
        ["train", "mnist", "--cell", "x"],
    ):
        with pytest.raises(click.ClickException):
            check(door("torch_impl"), words)
