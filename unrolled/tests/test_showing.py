"""Names out of files are shown escaped, by every command."""

import click
import pytest
from click.testing import CliRunner

from unrolled.command_line.door import Door
from unrolled.showing import shown, shown_lines


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a b, naïve 日本", "a b, naïve 日本"),
        ("\x1b[2J", r"\x1b[2J"),
        ("\x9b2J", r"\x9b2J"),
        ("a\nb\r", r"a\nb\r"),
        ("\u202eabc", r"\u202eabc"),
        ("\ud800", r"\ud800"),
    ],
)
def test_what_is_not_printable_becomes_its_escape(name, expected):
    assert shown(name) == expected and shown_lines("x\n" + name.replace("\n", "")) == "x\n" + expected.replace(
        r"\n", ""
    )


@pytest.mark.parametrize("failure", [click.ClickException, click.UsageError, click.BadParameter])
def test_a_failure_is_told_in_one_line_without_control_characters(failure):
    @click.command()
    def fails():
        raise failure("no such file: a\n\x1b[31m\u202eb")

    main = Door("main", commands={"fails": fails})
    result = CliRunner().invoke(main, ["fails"])
    assert result.exit_code and r"a\n\x1b[31m\u202eb" in result.stderr
