"""The commands of the pages: each names what exists, and each is run here, or says above it what it needs."""

import importlib
import re
import shlex

import click
import pytest

from spec_tests.tests.processes import ROOT

PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "spec_tests/COMPARISON.md",
    "spec_tests/NEW_BACKEND.md",
    "torch_impl/FROM_TENSORFLOW.md",
    "torch_impl/PERFORMANCE.md",
    "torch_impl/TRAINING.md",
]
# What a reader finds above a block that is not run here: `<!-- needs: a GPU -->`, or one of the two that .ci/run runs.
MARK = re.compile(r"<!-- (needs: [^>]{3,}|main command|test command) -->\n\Z")
OURS = ("torch_impl", "tf_reference", "spec_tests")


def blocks(page):
    """(what it needs or None, its commands) for each block of shell commands."""
    text = (ROOT / page).read_text("utf-8")
    for found in re.finditer(r"^```sh\n(.*?)^```", text, re.S | re.M):
        mark = MARK.search(text[: found.start()])
        lines = [shlex.split(line, comments=True) for line in found[1].replace("\\\n", " ").splitlines()]
        yield mark and mark[1], [line for line in lines if line]


def door(room):
    """The click group that `python -m ROOM` opens."""
    module = importlib.import_module(room + ".__main__")
    return module.main if isinstance(module.main, click.Group) else module.make_group()


def ours(words):
    """(room, its arguments) for every `-m ROOM` among the words, up to an operator of the shell."""
    for place, word in enumerate(words):
        if word in OURS and words[place - 1] == "-m":
            ends = [at for at, other in enumerate(words) if at > place and other in ("&&", "|", ";")]
            yield word, words[place + 1 : (ends or [len(words)])[0]]


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
    for _, lines in blocks(page):
        for words in lines:
            for room, arguments in ours(words):
                try:
                    check(door(room), arguments)
                except click.ClickException as error:
                    pytest.fail("%s: %s: %s" % (page, shlex.join(words), error.format_message()))


def test_a_command_that_does_not_exist_is_seen():
    for words in (
        ["shwo"],
        ["show", "length"],
        ["train", "mnist", "--epoch-number", "3"],
        ["train", "mnist", "--cell", "x"],
    ):
        with pytest.raises(click.ClickException):
            check(door("torch_impl"), words)
